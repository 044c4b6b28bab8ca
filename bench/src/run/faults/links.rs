//! Faults of the network: what is laid over the links, from its beginning to its end.

use std::collections::BTreeSet;

use super::timeline::{Faults, Injected, lock};
use crate::cluster::{ControlLine, Failed};
use crate::emulation::{Change, Overlay};
use crate::scenario::schema::{FaultKind, Strike};

impl Faults {
    /// One fault of the links, seen from `targets`, from its beginning to its end.
    pub(super) fn strike_links(
        &self,
        targets: &[usize],
        strike: &Strike,
        kind: &FaultKind,
        mut injected: Injected,
    ) {
        let n = u32::try_from(self.n).unwrap_or(u32::MAX);
        let ids: Vec<u32> = targets.iter().map(|id| *id as u32).collect();
        let (overlay, what) = match kind {
            FaultKind::Partition(partition) => {
                let links = partition.cuts(n, &ids);
                let change = Change::cut();
                (Overlay { links, change }, partition.spoken(n, &ids))
            }
            FaultKind::Link(fault) => {
                let links = fault.links(n, &ids);
                let change = fault.conditions.change();
                let what = format!("{} on {} links", fault.conditions.spoken(), links.len());
                (Overlay { links, change }, what)
            }
            FaultKind::Rebind => return self.rebind(targets, injected),
            _ => return,
        };
        if let (true, [one]) = (named_alone(kind), targets) {
            injected.target = Some(*one);
        }
        self.note(&format!("{}: {what}", kind.name()));
        injected.what = Some(what);
        self.event("fault", &injected, &[]);
        // Who is cut off is as good as away: other faults that look for a correct replica look elsewhere.
        let away: Vec<usize> = match kind {
            FaultKind::Partition(_) => targets.to_vec(),
            _ => Vec::new(),
        };
        let mut held = lock(&self.held);
        let away: Vec<usize> = away.into_iter().filter(|id| held.insert(*id)).collect();
        drop(held);
        let mut result = self.lay(overlay, strike);
        for id in away {
            lock(&self.held).remove(&id);
        }
        match &mut result {
            Ok(true) => {
                injected.end = Some(self.since(self.plan.clock.now_ns()));
                self.note(&format!("{} is over", kind.name()));
                self.event("fault-end", &injected, &[]);
            }
            Ok(false) => {}
            Err(why) => {
                self.note(why);
                self.event("fault-failed", &injected, &[("why", why.clone().into())]);
                injected.failed = Some(why.clone());
            }
        }
        lock(&self.injected).push(injected);
    }

    /// Changes the ports of these replicas. It is over when they were told.
    fn rebind(&self, targets: &[usize], injected: Injected) {
        for id in targets {
            let mut injected = Injected {
                target: Some(*id),
                ..injected.clone()
            };
            self.note(&format!("rebind replica {id}"));
            self.event("fault", &injected, &[]);
            let times = self
                .plan
                .network
                .as_ref()
                .map_or(1, |network| network.moved(*id));
            match self.plan.members.tell(*id, ControlLine::Moved { times }) {
                Ok(()) => injected.end = Some(self.since(self.plan.clock.now_ns())),
                Err(why) => injected.failed = Some(why),
            }
            lock(&self.injected).push(injected);
        }
    }

    /// Lays something over the links and takes it away when its time has come. Whether it was taken away.
    fn lay(&self, overlay: Overlay, strike: &Strike) -> Result<bool, Failed> {
        let Some(network) = &self.plan.network else {
            return Err("the links of this cluster are not emulated".to_owned());
        };
        let senders: BTreeSet<usize> = overlay.links.iter().map(|(from, _)| *from).collect();
        let key = network.lay(overlay);
        let told = self.tell_links(&senders);
        let ends = strike
            .back_at
            .is_some_and(|back_at| self.sleep_until(back_at));
        if !ends {
            return told.map(|()| false);
        }
        network.mesh().lift(key);
        told.and(self.tell_links(&senders)).map(|()| true)
    }

    /// Tells these replicas what their links do now.
    fn tell_links(&self, senders: &BTreeSet<usize>) -> Result<(), Failed> {
        let Some(network) = &self.plan.network else {
            return Ok(());
        };
        // Of two faults that change at the same time, the later word must hold what both have done.
        let mesh = network.mesh();
        let tell = |id: &usize| {
            self.plan
                .members
                .tell(*id, ControlLine::Links(mesh.of(*id)))
        };
        let told: Vec<Result<(), Failed>> = senders.iter().map(tell).collect();
        told.into_iter().collect()
    }
}

/// Whether the fault is about its target alone.
fn named_alone(kind: &FaultKind) -> bool {
    match kind {
        FaultKind::Partition(partition) => partition.is_of_target(),
        FaultKind::Link(fault) => fault.from.is_empty(),
        _ => true,
    }
}
