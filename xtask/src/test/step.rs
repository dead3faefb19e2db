//! What a step of the test run is, and how one ends.

use super::tally::Tally;
use crate::shell;
use std::process::Command;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also fuzz every target for a minute.
    #[arg(long)]
    pub long: bool,
    /// Run only the named steps.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// List the steps and what they do.
    #[arg(long)]
    pub list: bool,
}

/// How a step ended.
pub(crate) enum Outcome {
    /// All was well, with tests counted where the step runs tests.
    Passed(Tally),
    /// Something was not.
    Failed(Tally, String),
    /// It could not run here, or there was nothing to run.
    Skipped(String),
}

/// One step of the test run.
pub(crate) struct Step {
    /// Name for `--only` and the table.
    pub name: &'static str,
    /// What it checks.
    pub about: &'static str,
    /// Does it.
    pub run: fn(&Options) -> Outcome,
    /// Takes too long for every day.
    pub long_only: bool,
}

impl Outcome {
    /// Runs a command: its exit status is the result, the tests it reports are counted.
    pub(crate) fn of(command: Command) -> Self {
        let mut tally = Tally::default();
        match shell::shown(command, |line| tally.read(line)) {
            Ok(()) => Self::Passed(tally),
            Err(why) => Self::Failed(tally, why),
        }
    }

    /// Failed before any test ran.
    pub(crate) fn failed(why: String) -> Self {
        Self::Failed(Tally::default(), why)
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Tally};
    use crate::shell::command;

    #[test]
    fn the_exit_status_decides_and_tests_are_counted() {
        let script = "echo 'test result: ok. 2 passed; 1 failed; 0 ignored'; exit";
        let ran = Tally { passed: 2, failed: 1, skipped: 0 };
        let run = |status: &str| Outcome::of(command("sh", &["-c", &format!("{script} {status}")]));
        assert!(matches!(run("0"), Outcome::Passed(tally) if tally == ran));
        assert!(matches!(run("1"), Outcome::Failed(tally, _) if tally == ran));
    }
}
