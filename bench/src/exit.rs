//! How the program ends: exit codes that scripts rely on.

use std::process::ExitCode;

use crate::record::{Run, RunStatus, RunVerdict};

/// Why the program ends, from the mildest to the gravest: of several runs the gravest decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything was as it should be.
    #[default]
    Ok,
    /// Two results differ by more than they may.
    Regression,
    /// An objective or an expectation was missed.
    Missed,
    /// Somebody stopped the run; partial results are written and marked.
    Interrupted,
    /// The command line or a scenario is wrong; nothing was started.
    Usage,
    /// The machine does not allow it: a port is taken, a directory cannot be written, a limit is too low.
    Environment,
    /// Something went wrong that is none of the others.
    Runtime,
    /// The cluster stood still longer than it may.
    Liveness,
    /// Replicas or answers contradict each other.
    Safety,
}

impl Exit {
    /// The number that the calling process sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Runtime => 1,
            Self::Usage => 2,
            Self::Missed => 3,
            Self::Safety => 4,
            Self::Liveness => 5,
            Self::Environment => 6,
            Self::Regression => 7,
            // As a shell reports a process that SIGINT ended.
            Self::Interrupted => 130,
        }
    }

    /// What a run calls for. A contradiction counts however the run ended; what a run that was cut short did not reach
    /// proves nothing.
    #[must_use]
    pub const fn of(run: &Run) -> Self {
        match (run.verdict, run.status) {
            (RunVerdict::SafetyViolation, _) => Self::Safety,
            (_, RunStatus::Interrupted) => Self::Interrupted,
            (RunVerdict::LivenessViolation, _) => Self::Liveness,
            (_, RunStatus::Failed) => Self::Runtime,
            (RunVerdict::SloMissed, RunStatus::Completed) => Self::Missed,
            (RunVerdict::Pass, RunStatus::Completed) => Self::Ok,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_scripts_rely_on() {
        let codes = [
            (Exit::Ok, 0),
            (Exit::Runtime, 1),
            (Exit::Usage, 2),
            (Exit::Missed, 3),
            (Exit::Safety, 4),
            (Exit::Liveness, 5),
            (Exit::Environment, 6),
            (Exit::Regression, 7),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in codes {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }

    #[test]
    fn a_contradiction_is_reported_even_by_a_run_that_was_cut_short() {
        let run = |verdict, status| Run {
            verdict,
            status,
            ..Run::default()
        };
        use RunStatus::{Completed, Failed, Interrupted};
        use RunVerdict::{LivenessViolation, Pass, SafetyViolation, SloMissed};
        for (verdict, status, exit) in [
            (Pass, Completed, Exit::Ok),
            (SloMissed, Completed, Exit::Missed),
            (LivenessViolation, Completed, Exit::Liveness),
            (SafetyViolation, Completed, Exit::Safety),
            (SafetyViolation, Interrupted, Exit::Safety),
            (SloMissed, Interrupted, Exit::Interrupted),
            (LivenessViolation, Interrupted, Exit::Interrupted),
            (Pass, Failed, Exit::Runtime),
            (LivenessViolation, Failed, Exit::Liveness),
        ] {
            assert_eq!(Exit::of(&run(verdict, status)), exit);
        }
    }

    #[test]
    fn the_gravest_of_several_ends_decides() {
        assert_eq!(
            [Exit::Missed, Exit::Safety, Exit::Ok].into_iter().max(),
            Some(Exit::Safety)
        );
        assert!(Exit::Liveness > Exit::Missed && Exit::Runtime > Exit::Interrupted);
    }
}
