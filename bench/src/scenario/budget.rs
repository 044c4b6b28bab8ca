//! How many replicas a fault plan holds at once. Up to f the protocol promises safety and liveness, beyond f safety only
//! (and that only while the replicas' disks are not lost).

use std::collections::BTreeSet;
use std::time::Duration;

use super::byzantine::Byzantine;
use super::fault::{Choice, Fault, FaultKind, FaultTarget, Strike, spoken};
use super::outsider::OutsiderFault;
use super::schema::Scenario;
use crate::outsider::Holds;

/// A time in which more than f replicas are faulty by plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// Where it begins.
    pub from: Duration,
    /// Where it ends; `None`: never. Equal to `from` if all are to be back at once.
    pub to: Option<Duration>,
    /// The most at once.
    pub faulty: u32,
}

impl Excess {
    /// As a sentence names it: `between 65 s and 68 s`.
    pub fn interval(&self) -> String {
        match self.to {
            Some(to) if to == self.from => format!("at {}", spoken(self.from)),
            Some(to) => format!("between {} and {}", spoken(self.from), spoken(to)),
            None => format!("from {} on", spoken(self.from)),
        }
    }
}

impl Scenario {
    /// Where the fault plan holds more than f replicas, in order. A rule such as `primary` is counted as a replica of its
    /// own: what it will hit is not known before.
    pub fn excesses(&self) -> Vec<Excess> {
        excesses(&self.faults, &self.lies(), self.cluster.n, self.cluster.f)
    }

    /// Byzantine replicas count while they may strike; before and after they are as honest as the others.
    fn lies(&self) -> Vec<(Strike, FaultTarget)> {
        let lie = |entry: &Byzantine| {
            let (at, back_at) = entry.window();
            let target = FaultTarget::Replicas(entry.replica.ids().to_vec());
            (Strike { at, back_at }, target)
        };
        self.byzantine
            .iter()
            .map(lie)
            .chain(self.stolen_keys())
            .collect()
    }

    /// Who has a replica's key is that replica, too.
    fn stolen_keys(&self) -> impl Iterator<Item = (Strike, FaultTarget)> + '_ {
        self.faults.iter().filter_map(|fault| {
            let FaultKind::Outsider(OutsiderFault {
                key_of: Some(id),
                until,
                ..
            }) = fault.kind
            else {
                return None;
            };
            let strike = Strike {
                at: fault.at,
                back_at: until,
            };
            Some((strike, FaultTarget::Replicas(vec![id])))
        })
    }

    /// Clients of the cluster that are none of the load: who attacks with a client's key has this one.
    pub fn outside_clients(&self) -> u32 {
        let with_key = |fault: &Fault| match &fault.kind {
            FaultKind::Outsider(fault) => fault.attack.holds() != Holds::Nothing,
            _ => false,
        };
        u32::from(self.faults.iter().any(with_key))
    }
}

/// One strike and what it counts for.
struct Hold<'p> {
    strike: Strike,
    target: &'p FaultTarget,
}

impl Hold<'_> {
    /// Whether it holds its target at this time; one that is over at once does so at its own time.
    fn at(&self, time: Duration) -> bool {
        let Strike { at, back_at } = self.strike;
        at <= time && back_at.is_none_or(|back| time < back || (at == back && time == at))
    }
}

fn excesses(faults: &[Fault], lies: &[(Strike, FaultTarget)], n: u32, f: u32) -> Vec<Excess> {
    let lies = lies.iter().map(|(strike, target)| Hold {
        strike: *strike,
        target,
    });
    let holds: Vec<Hold<'_>> = faults
        .iter()
        .filter_map(|fault| Some((fault, fault.counted()?)))
        .flat_map(|(fault, target)| fault.strikes().map(move |strike| Hold { strike, target }))
        .chain(lies)
        .collect();
    let times: BTreeSet<Duration> = holds
        .iter()
        .flat_map(|hold| std::iter::once(hold.strike.at).chain(hold.strike.back_at))
        .collect();
    let mut excesses: Vec<Excess> = Vec::new();
    let mut open = false;
    for time in times {
        let held = |hold: &&Hold<'_>| hold.at(time);
        let faulty = count(holds.iter().filter(held), n);
        let lasting = holds
            .iter()
            .filter(held)
            .filter(|hold| hold.strike.back_at != Some(time));
        let lasts = count(lasting, n) > f;
        match excesses.last_mut().filter(|_| open) {
            Some(last) if faulty > f => {
                last.faulty = last.faulty.max(faulty);
                last.to = if lasts { None } else { Some(time) };
            }
            Some(last) => last.to = Some(time),
            None if faulty > f => excesses.push(Excess {
                from: time,
                to: if lasts { None } else { Some(time) },
                faulty,
            }),
            None => {}
        }
        open = faulty > f && lasts;
    }
    excesses
}

/// Replicas that these hold, at most.
fn count<'h, 'p: 'h>(holds: impl Iterator<Item = &'h Hold<'p>>, n: u32) -> u32 {
    let mut named = BTreeSet::new();
    let mut others = 0_u32;
    for hold in holds {
        match hold.target {
            FaultTarget::Replicas(ids) => named.extend(ids.iter().copied()),
            FaultTarget::Chosen(Choice::All) => return n,
            FaultTarget::Chosen(_) => others += 1,
        }
    }
    u32::try_from(named.len())
        .unwrap_or(u32::MAX)
        .saturating_add(others)
        .min(n)
}

#[cfg(test)]
mod tests {
    use super::super::fault::{Again, FaultKind};
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn kill(target: FaultTarget, at: u64, back: Option<u64>) -> Fault {
        Fault {
            at: s(at),
            kind: FaultKind::Kill {
                restart_at: back.map(s),
                wipe: false,
            },
            target,
            again: None,
        }
    }

    fn index(id: u32) -> FaultTarget {
        FaultTarget::Replicas(vec![id])
    }

    fn said(faults: &[Fault]) -> Vec<String> {
        let all = excesses(faults, &[], 5, 1);
        all.iter()
            .map(|one| format!("{} {}", one.faulty, one.interval()))
            .collect()
    }

    #[test]
    fn f_at_once_and_one_after_the_other_are_within_the_budget() {
        let primary = || FaultTarget::Chosen(Choice::Primary);
        assert_eq!(said(&[kill(primary(), 1, None)]), [""; 0]);
        let one_by_one = [kill(index(0), 1, Some(2)), kill(index(1), 2, Some(3))];
        assert_eq!(said(&one_by_one), [""; 0]);
        let same_twice = [kill(index(0), 1, Some(4)), kill(index(0), 2, Some(3))];
        assert_eq!(said(&same_twice), [""; 0]);
    }

    #[test]
    fn the_interval_of_an_excess_is_the_overlap() {
        let overlap = [kill(index(0), 60, Some(68)), kill(index(1), 65, Some(70))];
        assert_eq!(said(&overlap), ["2 between 65 s and 68 s"]);
        let for_ever = [
            kill(index(0), 1, None),
            kill(FaultTarget::Chosen(Choice::Primary), 5, None),
        ];
        assert_eq!(said(&for_ever), ["2 from 5 s on"]);
        let touching = [
            kill(index(0), 1, Some(9)),
            kill(index(1), 2, Some(4)),
            kill(index(2), 4, Some(6)),
        ];
        assert_eq!(said(&touching), ["2 between 2 s and 6 s"]);
    }

    #[test]
    fn a_liar_counts_while_it_may_strike_and_once_if_it_is_killed_as_well() {
        let lie = |at, back| {
            let strike = Strike {
                at: s(at),
                back_at: back,
            };
            vec![(strike, index(0))]
        };
        let said = |faults: &[Fault], lies: &[_]| {
            let all = excesses(faults, lies, 5, 1);
            all.iter().map(Excess::interval).collect::<Vec<_>>()
        };
        let one_down = [kill(index(1), 3, Some(6))];
        assert_eq!(said(&one_down, &lie(0, None)), ["between 3 s and 6 s"]);
        assert_eq!(said(&one_down, &lie(0, Some(s(3)))), [""; 0]);
        assert_eq!(said(&[kill(index(0), 3, None)], &lie(0, None)), [""; 0]);
    }

    #[test]
    fn all_at_once_is_beyond_the_budget_however_short() {
        let restart = Fault {
            kind: FaultKind::Restart {
                restart_at: None,
                wipe: false,
            },
            ..kill(FaultTarget::Chosen(Choice::All), 5, None)
        };
        assert_eq!(said(std::slice::from_ref(&restart)), ["5 at 5 s"]);
        // What lasts beyond that moment is within the budget.
        let meanwhile = [kill(index(0), 1, Some(9)), restart];
        assert_eq!(said(&meanwhile), ["5 at 5 s"]);
    }

    #[test]
    fn strikes_that_overlap_the_next_one_add_up() {
        let every = |every| Fault {
            again: Some(Again {
                every: s(every),
                until: s(7),
            }),
            ..kill(FaultTarget::Chosen(Choice::RandomCorrect), 1, Some(3))
        };
        assert_eq!(said(&[every(2)]), [""; 0]);
        assert_eq!(said(&[every(1)]), ["2 between 2 s and 7 s"]);
    }
}
