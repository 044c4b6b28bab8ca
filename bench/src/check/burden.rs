//! Whose signatures the replicas checked in the measured phase: `signatures.csv`, and what is too much for one source (R4 of the
//! attack catalogue).
//!
//! A correct client or peer sends no bad signature at all, and each costs a verification of its own. Good ones are what a replica
//! is there for; but no peer has more to say than the others, except the primary, whose proposals hold a signature for each
//! request that is executed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;

use crate::record::AtomicFile;
use crate::scenario::Quantity as _;
use crate::scenario::schema::ResourceBounds;

/// The name of the file in a repeat's directory.
pub const SIGNATURES_FILE: &str = "signatures.csv";
const HEADER: &str = "replica,seconds,executed,source,number,checks,bad";
/// A shorter time says nothing of a rate, seconds.
const SPAN_MIN_S: f64 = 1.0;

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A replica, by number.
    Peer(u32),
    /// A client, by number.
    Client(u32),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Peer(id) => write!(f, "replica {id}"),
            Source::Client(id) => write!(f, "client {id}"),
        }
    }
}

/// What one replica checked for one source in the measured phase, whichever of its processes did it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burden {
    /// The replica that did the work.
    pub replica: u32,
    /// How long it was watched, seconds.
    pub seconds: f64,
    /// Requests that it executed meanwhile.
    pub executed: u64,
    /// For whom.
    pub source: Source,
    /// Signatures checked; `None` for clients, of which a replica names only those with the most.
    pub checks: Option<u64>,
    /// Those of them that were bad; of a client never too many, and too few only if another one had more before the phase began.
    pub bad: u64,
}

impl Burden {
    fn per_second(&self, signatures: u64) -> f64 {
        signatures as f64 / self.seconds.max(SPAN_MIN_S)
    }
}

/// The highest rates, signatures a second, and what exceeds its bound.
#[derive(Debug, Default)]
pub(super) struct Fairness {
    /// Bad ones of one source in one replica.
    pub(super) bad: f64,
    /// What one peer had checked beyond its fair share.
    pub(super) lead: f64,
    /// A sentence each.
    pub(super) over: Vec<String>,
}

/// Judges what `correct` replicas checked.
pub(super) fn fairness(
    burdens: &[Burden],
    bounds: &ResourceBounds,
    correct: impl Fn(u32) -> bool,
) -> Fairness {
    let mut fairness = Fairness::default();
    let mut peers: BTreeMap<u32, Vec<(u64, &Burden)>> = BTreeMap::new();
    for burden in burdens.iter().filter(|one| correct(one.replica)) {
        let rate = burden.per_second(burden.bad);
        fairness.bad = fairness.bad.max(rate);
        if rate > bounds.bad_signatures.per_second() {
            fairness.over.push(format!(
                "replica {} checked {rate:.0} bad signatures of {} a second, more than {}",
                burden.replica,
                burden.source,
                bounds.bad_signatures.render()
            ));
        }
        if let (Source::Peer(_), Some(checks)) = (burden.source, burden.checks) {
            peers
                .entry(burden.replica)
                .or_default()
                .push((checks, burden));
        }
    }
    for (replica, mut of) in peers {
        of.sort_by_key(|(checks, _)| std::cmp::Reverse(*checks));
        let [(most, burden), (next, _), ..] = of[..] else {
            continue;
        };
        let rate = burden.per_second(most.saturating_sub(next + burden.executed));
        fairness.lead = fairness.lead.max(rate);
        if rate > bounds.peer_lead.per_second() {
            fairness.over.push(format!(
                "replica {replica} checked {rate:.0} signatures of {} a second more than of any other and than it executed requests, \
                 more than {}",
                burden.source,
                bounds.peer_lead.render()
            ));
        }
    }
    fairness
}

/// Writes `signatures.csv`.
///
/// # Errors
/// The disk's.
pub fn write_burdens(path: &Path, burdens: &[Burden]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    writeln!(file, "{HEADER}")?;
    for each in burdens {
        let (source, number) = match each.source {
            Source::Peer(id) => ("peer", id),
            Source::Client(id) => ("client", id),
        };
        let checks = each
            .checks
            .map(|checks| checks.to_string())
            .unwrap_or_default();
        writeln!(
            file,
            "{},{:.3},{},{source},{number},{checks},{}",
            each.replica, each.seconds, each.executed, each.bad
        )?;
    }
    file.commit()
}

/// Reads `signatures.csv`.
///
/// # Errors
/// A sentence that names the line.
pub fn read_burdens(path: &Path) -> Result<Vec<Burden>, String> {
    let unreadable = |why: &str| format!("{} cannot be read: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error.to_string()))?;
    let mut burdens = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        match (number, parse(line)) {
            (1, _) if line == HEADER => {}
            (_, Some(one)) if number > 1 && seen.insert((one.replica, one.source)) => {
                burdens.push(one);
            }
            _ => return Err(unreadable(&format!("line {number} is no count"))),
        }
    }
    Ok(burdens)
}

fn parse(line: &str) -> Option<Burden> {
    let fields: Vec<&str> = line.split(',').collect();
    let [replica, seconds, executed, source, number, checks, bad] = fields[..] else {
        return None;
    };
    let number = number.parse().ok()?;
    Some(Burden {
        replica: replica.parse().ok()?,
        seconds: seconds.parse().ok()?,
        executed: executed.parse().ok()?,
        source: match source {
            "peer" => Source::Peer(number),
            "client" => Source::Client(number),
            _ => return None,
        },
        checks: match checks {
            "" => None,
            checks => Some(checks.parse().ok()?),
        },
        bad: bad.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::scenario::{Source as File, load};

    fn burden(replica: u32, source: Source, checks: Option<u64>, bad: u64) -> Burden {
        Burden {
            replica,
            seconds: 10.0,
            executed: 20_000,
            source,
            checks,
            bad,
        }
    }

    /// Two correct replicas and a Byzantine one over 10 s under the bounds that a scenario has if it names none: 4,000/s and
    /// 5,000/s. The primary, 0, had all requests in its proposals.
    fn run(change: impl Fn(&mut Burden)) -> Vec<Burden> {
        let mut burdens = Vec::new();
        for replica in 1..4 {
            for peer in (0..4).filter(|peer| *peer != replica) {
                let checks = if peer == 0 { 60_000 } else { 20_000 };
                burdens.push(burden(replica, Source::Peer(peer), Some(checks), 0));
            }
            burdens.push(burden(replica, Source::Client(7), None, 20_000));
        }
        burdens.iter_mut().for_each(change);
        burdens
    }

    fn judged(burdens: &[Burden]) -> Fairness {
        let bounds = load(&[File::Embedded("quickstart")], &[]).unwrap();
        let bounds = bounds.scenario.check.resources;
        fairness(burdens, &bounds, |id| id != 3)
    }

    #[test]
    fn what_a_defence_lets_through_is_fair() {
        let fair = judged(&run(|_| {}));
        assert_eq!(
            (fair.over.len(), fair.bad, fair.lead),
            (0, 2_000.0, 2_000.0)
        );
    }

    #[test]
    fn a_source_of_more_bad_signatures_than_that_is_named_with_the_replica_that_checked_them() {
        for (source, name) in [
            (Source::Client(7), "client 7"),
            (Source::Peer(3), "replica 3"),
        ] {
            let fair = judged(&run(|one| {
                if one.replica == 2 && one.source == source {
                    one.bad = 41_000;
                }
            }));
            assert_eq!(
                fair.over,
                [format!(
                    "replica 2 checked 4100 bad signatures of {name} a second, more than 4000/s"
                )]
            );
        }
    }

    #[test]
    fn a_peer_that_floods_with_good_signatures_is_named_and_a_primary_that_proposes_is_not() {
        let flooded = |checks| {
            let burdens = run(|one| {
                if (one.replica, one.source) == (1, Source::Peer(3)) {
                    one.checks = Some(checks);
                }
            });
            judged(&burdens).over
        };
        assert_eq!(flooded(130_000), Vec::<String>::new());
        assert_eq!(
            flooded(131_000),
            [
                "replica 1 checked 5100 signatures of replica 3 a second more than of any other and than it executed requests, \
              more than 5000/s"
            ]
        );
    }

    #[test]
    fn what_a_byzantine_replica_checks_is_its_own_affair() {
        let fair = judged(&run(|one| {
            if one.replica == 3 {
                one.bad = 1_000_000;
            }
        }));
        assert!(fair.over.is_empty());
    }

    #[test]
    fn what_is_written_is_read_and_no_source_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SIGNATURES_FILE);
        let burdens = run(|_| {});
        write_burdens(&path, &burdens).unwrap();
        assert_eq!(read_burdens(&path).unwrap(), burdens);
        let text = std::fs::read_to_string(&path).unwrap();
        for (changed, line) in [
            (text.replace(",peer,", ",peers,"), 2),
            (text.clone() + "1,10.000,20000,peer,0,1,1\n", 14),
            (text.replace("replica,", ""), 1),
        ] {
            std::fs::write(&path, changed).unwrap();
            let why = read_burdens(&path).unwrap_err();
            assert!(why.ends_with(&format!("line {line} is no count")), "{why}");
        }
    }
}
