//! When a behaviour strikes: a window of time, of views, of slots; in which role; how often; and
//! whether it stops once it has been found out.

use std::time::Duration;

use consensus::{SeqNo, View};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chance::Chance;
use crate::span::Span;

/// The part that a replica plays in its view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// It is the primary of its view.
    Primary,
    /// It is not.
    Backup,
}

/// Conditions that all must hold. The empty one always does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Trigger {
    /// Not before this long into the measured phase. Without `from` and `to` a behaviour strikes
    /// from the start of the process, warm-up included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Span>,
    /// Not from this long into the measured phase on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Span>,
    /// Of the occasions, this share: 0 to 1, all of them by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Only in these views: first and last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<[u64; 2]>,
    /// Only for these slots: first and last. What is about no slot does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seqs: Option<[u64; 2]>,
    /// Only as the primary of the view, or only as a backup.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Stops when this member has been found out: a proof against it has come by, or its view was
    /// left while it was the primary.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub until_detected: bool,
}

/// What a trigger looks at.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Time since the measured phase began; `None` before.
    pub measured: Option<Duration>,
    /// The view.
    pub view: View,
    /// What the occasion is about, if it is about a slot.
    pub seq: Option<SeqNo>,
    /// Role in the view.
    pub part: Part,
    /// Has it been found out?
    pub detected: bool,
}

impl Trigger {
    /// Do all conditions but chance hold?
    pub fn is_open(&self, moment: &Moment) -> bool {
        let timely = match (self.from, self.to, moment.measured) {
            (None, None, _) => true,
            (_, _, None) => false,
            (from, to, Some(measured)) => {
                from.is_none_or(|from| measured >= from.0) && to.is_none_or(|to| measured < to.0)
            }
        };
        let within = |range: Option<[u64; 2]>, number: Option<u64>| match (range, number) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some([first, last]), Some(number)) => (first..=last).contains(&number),
        };
        timely
            && within(self.views, Some(moment.view.0))
            && within(self.seqs, moment.seq.map(|seq| seq.0))
            && self.part.is_none_or(|part| part == moment.part)
            && !(self.until_detected && moment.detected)
    }

    /// Does it strike on this occasion? Draws once if the rest holds.
    pub fn strikes(&self, moment: &Moment, chance: &mut Chance) -> bool {
        self.is_open(moment) && chance.is(self.probability.unwrap_or(1.0))
    }

    /// What is wrong with it, as a sentence with the remedy.
    ///
    /// # Errors
    /// If it can never strike.
    pub fn check(&self) -> Result<(), String> {
        if let Some(share) = self.probability
            && !(0.0..=1.0).contains(&share)
        {
            return Err(format!(
                "probability {share} is no share: write a number from 0 to 1"
            ));
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(format!(
                "from {from} is not before to {to}: swap them or drop one"
            ));
        }
        for (name, range) in [("views", self.views), ("seqs", self.seqs)] {
            if let Some([first, last]) = range
                && first > last
            {
                return Err(format!(
                    "{name} [{first}, {last}] is empty: write the first and the last, both included"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Moment = Moment {
        measured: Some(Duration::from_secs(5)),
        view: View(3),
        seq: Some(SeqNo(70)),
        part: Part::Primary,
        detected: false,
    };

    fn open(change: impl Fn(&mut Trigger)) -> bool {
        let mut trigger = Trigger::default();
        change(&mut trigger);
        trigger.is_open(&MOMENT)
    }

    #[test]
    fn a_trigger_holds_if_each_of_its_conditions_does() {
        assert!(open(|_| {}));
        assert!(open(|it| it.from = Some(Span::millis(5_000))));
        assert!(!open(|it| it.from = Some(Span::millis(5_001))));
        assert!(!open(|it| it.to = Some(Span::millis(5_000))));
        assert!(open(|it| it.to = Some(Span::millis(5_001))));
        assert!(open(|it| it.views = Some([3, 3])));
        assert!(!open(|it| it.views = Some([4, 9])));
        assert!(open(|it| it.seqs = Some([1, 70])));
        assert!(!open(|it| it.seqs = Some([71, 80])));
        assert!(open(|it| it.part = Some(Part::Primary)));
        assert!(!open(|it| it.part = Some(Part::Backup)));
        assert!(open(|it| it.until_detected = true));
    }

    #[test]
    fn a_window_of_time_waits_for_the_measured_phase_and_no_window_does_not() {
        let early = Moment {
            measured: None,
            ..MOMENT
        };
        let window = Trigger {
            from: Some(Span::default()),
            ..Trigger::default()
        };
        assert!(!window.is_open(&early));
        assert!(Trigger::default().is_open(&early));
    }

    #[test]
    fn it_stops_when_it_was_found_out_only_if_it_says_so() {
        let found = Moment {
            detected: true,
            ..MOMENT
        };
        let shy = Trigger {
            until_detected: true,
            ..Trigger::default()
        };
        assert!(!shy.is_open(&found));
        assert!(Trigger::default().is_open(&found));
    }

    #[test]
    fn a_trigger_that_can_never_strike_is_refused_with_the_remedy() {
        let wrong = |change: fn(&mut Trigger)| {
            let mut trigger = Trigger::default();
            change(&mut trigger);
            trigger.check().unwrap_err()
        };
        assert!(wrong(|it| it.probability = Some(30.0)).contains("0 to 1"));
        assert!(wrong(|it| it.views = Some([2, 1])).contains("views"));
        assert!(wrong(|it| it.seqs = Some([2, 1])).contains("seqs"));
        let back = wrong(|it| {
            it.from = Some(Span::millis(2));
            it.to = Some(Span::millis(1));
        });
        assert!(back.contains("swap"));
        assert_eq!(Trigger::default().check(), Ok(()));
    }

    #[test]
    fn chance_is_drawn_for_each_occasion() {
        let half = Trigger {
            probability: Some(0.5),
            ..Trigger::default()
        };
        let mut chance = Chance::new(1);
        let struck = (0..100)
            .filter(|_| half.strikes(&MOMENT, &mut chance))
            .count();
        assert!((30..70).contains(&struck), "{struck}");
    }
}
