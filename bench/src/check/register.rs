//! One key as a sequential object: what each operation demands of the value and what it leaves.

use std::collections::HashMap;

use crate::record::{HistoryLine, HistoryResult, LineStatus};
use crate::workload::OperationKind;

/// A value of one key as a small number; [`ABSENT`] is no value.
pub(super) type ValueId = u32;

/// The key is absent.
pub(super) const ABSENT: ValueId = 0;

/// What an operation that took effect (or failed) demands of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Demand {
    /// The state is this one.
    Is(ValueId),
    /// The state is any but this one.
    IsNot(ValueId),
    /// Nothing.
    Any,
}

/// An operation on one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Action {
    /// What it demands of the state at its point.
    pub(super) demand: Demand,
    /// What it leaves; `None` leaves the state as it is.
    pub(super) writes: Option<ValueId>,
}

impl Action {
    pub(super) fn holds(self, state: ValueId) -> bool {
        match self.demand {
            Demand::Is(value) => state == value,
            Demand::IsNot(value) => state != value,
            Demand::Any => true,
        }
    }

    pub(super) fn after(self, state: ValueId) -> ValueId {
        self.writes.unwrap_or(state)
    }

    /// The value whose presence it proves: that of a read, or the expectation of a successful cas.
    pub(super) const fn observes(self) -> Option<ValueId> {
        match self.demand {
            Demand::Is(value) if value != ABSENT => Some(value),
            _ => None,
        }
    }

    /// A put or an update that took effect: it wants no certain value, and leaves one.
    pub(super) fn is_plain_write(self) -> bool {
        matches!(self.demand, Demand::Any | Demand::IsNot(ABSENT))
            && self.writes.is_some_and(|value| value != ABSENT)
    }

    pub(super) fn is_delete(self) -> bool {
        self.writes == Some(ABSENT)
    }

    /// A cas that failed.
    pub(super) fn is_failed_cas(self) -> bool {
        self.writes.is_none() && matches!(self.demand, Demand::IsNot(value) if value != ABSENT)
    }
}

/// Numbers for the values of one key.
#[derive(Debug, Default)]
pub(super) struct Values {
    ids: HashMap<String, ValueId>,
    names: Vec<String>,
}

impl Values {
    fn id(&mut self, name: &str) -> ValueId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        self.names.push(name.to_owned());
        let id =
            ValueId::try_from(self.names.len()).expect("a key has fewer than four billion values");
        self.ids.insert(name.to_owned(), id);
        id
    }

    pub(super) fn name(&self, id: ValueId) -> &str {
        (id as usize)
            .checked_sub(1)
            .and_then(|index| self.names.get(index))
            .map_or("absent", String::as_str)
    }

    pub(super) fn count(&self) -> usize {
        self.names.len() + 1
    }
}

/// What a history line says about its key. `Ok(None)`: nothing (a read without an answer). For an unknown outcome the action is that of a success, and whether it
/// happened is left open.
///
/// # Errors
/// A sentence, if no execution can explain the line (a put that failed).
pub(super) fn action_of(line: &HistoryLine, values: &mut Values) -> Result<Option<Action>, String> {
    let text = |field: &Option<String>| {
        field
            .clone()
            .ok_or_else(|| format!("a {} without the field it needs", line.op.name()))
    };
    let failed = line.status == LineStatus::Fail;
    let action = |demand, writes| Ok(Some(Action { demand, writes }));
    match line.op {
        OperationKind::Read if line.status == LineStatus::Unknown => Ok(None),
        OperationKind::Read | OperationKind::Put if failed => Err(format!(
            "a {} that failed, which no {0} does",
            line.op.name()
        )),
        OperationKind::Read => match &line.result {
            Some(HistoryResult::Value(Some(value))) => action(Demand::Is(values.id(value)), None),
            Some(HistoryResult::Value(None)) => action(Demand::Is(ABSENT), None),
            _ => Err("a read without a result".to_owned()),
        },
        OperationKind::Create if failed => action(Demand::IsNot(ABSENT), None),
        OperationKind::Create => action(Demand::Is(ABSENT), Some(values.id(&text(&line.value)?))),
        OperationKind::Update | OperationKind::Delete if failed => action(Demand::Is(ABSENT), None),
        OperationKind::Update => {
            action(Demand::IsNot(ABSENT), Some(values.id(&text(&line.value)?)))
        }
        OperationKind::Put => action(Demand::Any, Some(values.id(&text(&line.value)?))),
        OperationKind::Delete => action(Demand::IsNot(ABSENT), Some(ABSENT)),
        OperationKind::Cas if failed => {
            action(Demand::IsNot(values.id(&text(&line.expect)?)), None)
        }
        OperationKind::Cas => {
            let expect = values.id(&text(&line.expect)?);
            action(Demand::Is(expect), Some(values.id(&text(&line.value)?)))
        }
        OperationKind::Scan | OperationKind::Txn => Ok(None),
    }
}
