//! Whom a fault hits, decided when it strikes.

use std::collections::BTreeSet;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::cluster::Snapshot;
use crate::scenario::schema::{Choice, FaultTarget};

/// What the choice rests on.
pub(super) struct Situation<'s> {
    /// Replicas.
    pub(super) n: usize,
    /// Faults tolerated.
    pub(super) f: usize,
    /// Replicas that faults hold.
    pub(super) held: &'s BTreeSet<usize>,
    /// Replicas that are Byzantine.
    pub(super) liars: &'s BTreeSet<usize>,
    /// What the replicas said just now.
    pub(super) snapshot: &'s Snapshot,
}

/// The replicas to hit.
///
/// # Errors
/// Why there is none: a sentence.
pub(super) fn choose(
    target: &FaultTarget,
    situation: &Situation<'_>,
    random: &mut ChaCha8Rng,
) -> Result<Vec<usize>, String> {
    let Situation { n, held, .. } = *situation;
    match target {
        FaultTarget::Replicas(ids) => Ok(ids.iter().map(|id| *id as usize).collect()),
        FaultTarget::Chosen(Choice::All) => Ok((0..n).collect()),
        FaultTarget::Chosen(Choice::Random) => Ok(vec![random.random_range(0..n)]),
        FaultTarget::Chosen(Choice::RandomCorrect) => {
            let free: Vec<usize> = (0..n)
                .filter(|id| !held.contains(id) && !situation.liars.contains(id))
                .collect();
            if free.is_empty() {
                return Err("every correct replica is held by a fault already".to_owned());
            }
            Ok(vec![free[random.random_range(0..free.len())]])
        }
        FaultTarget::Chosen(Choice::Primary) => primary(situation).map(|id| vec![id]),
    }
}

/// The primary of the highest view that f + 1 replicas report, so that at least one correct one does. If a fault holds it,
/// the cluster is about to leave that view: then the primary of the next one that is not held.
fn primary(situation: &Situation<'_>) -> Result<usize, String> {
    let Situation {
        n,
        f,
        held,
        snapshot,
        ..
    } = *situation;
    let fresh = || snapshot.heard().map(|(_, status)| status);
    let mut views: Vec<u64> = fresh().map(|status| status.view).collect();
    views.sort_unstable_by(|one, other| other.cmp(one));
    let Some(view) = views.get(f) else {
        return Err(format!(
            "only {} replicas said in which view they are, and {} are needed to know the primary",
            views.len(),
            f + 1
        ));
    };
    let in_view = fresh().find(|status| status.view == *view);
    let primary = in_view.map_or(0, |status| usize::from(status.primary));
    (0..n)
        .map(|later| (primary + later) % n)
        .find(|id| !held.contains(id))
        .ok_or_else(|| "every replica is held by a fault already".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use replica::observer::status::ReplicaStatus;

    /// Five replicas in these views; `None` does not answer, though its old status is known.
    fn snapshot(views: [Option<u64>; 5]) -> Snapshot {
        let status = |view: Option<u64>| ReplicaStatus {
            view: view.unwrap_or(9),
            primary: u16::try_from(view.unwrap_or(9) % 5).unwrap_or_default(),
            ..ReplicaStatus::default()
        };
        Snapshot {
            replicas: views.iter().map(|view| Some(status(*view))).collect(),
            answered: views
                .iter()
                .map(|view| view.map(|_| std::time::Instant::now()))
                .collect(),
        }
    }

    fn chosen(
        target: Choice,
        views: [Option<u64>; 5],
        held: &[usize],
    ) -> Result<Vec<usize>, String> {
        let situation = Situation {
            n: 5,
            f: 1,
            held: &held.iter().copied().collect(),
            liars: &BTreeSet::from([4]),
            snapshot: &snapshot(views),
        };
        let mut random = ChaCha8Rng::seed_from_u64(7);
        choose(&FaultTarget::Chosen(target), &situation, &mut random)
    }

    #[test]
    fn the_primary_is_that_of_the_highest_view_which_f_plus_1_report() {
        let primary = |views| chosen(Choice::Primary, views, &[]);
        assert_eq!(primary([Some(0); 5]), Ok(vec![0]));
        // A lone claim of a high view may be a lie, and old news of a silent one count for nothing.
        assert_eq!(
            primary([Some(8), Some(1), Some(1), Some(0), None]),
            Ok(vec![1])
        );
        assert_eq!(
            primary([Some(7), Some(7), Some(1), Some(0), None]),
            Ok(vec![2])
        );
        assert!(primary([Some(0), None, None, None, None]).is_err());
    }

    #[test]
    fn a_primary_that_is_down_already_makes_the_next_one_the_target() {
        let views = [None, None, Some(0), Some(0), Some(0)];
        assert_eq!(chosen(Choice::Primary, views, &[0]), Ok(vec![1]));
        assert_eq!(chosen(Choice::Primary, views, &[0, 1]), Ok(vec![2]));
    }

    #[test]
    fn a_correct_replica_is_drawn_among_those_that_no_fault_holds() {
        let views = [Some(0); 5];
        assert_eq!(
            chosen(Choice::RandomCorrect, views, &[0, 1, 2]),
            Ok(vec![3]),
            "4 lies"
        );
        assert!(chosen(Choice::RandomCorrect, views, &[0, 1, 2, 3, 4]).is_err());
        assert_eq!(chosen(Choice::All, views, &[0]).map(|all| all.len()), Ok(5));
    }
}
