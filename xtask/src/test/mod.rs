//! `cargo xtask test`: installs what the tests need and runs all of them.
//!
//! Every step runs even when an earlier one failed; the closing table says which. A step that cannot run here says
//! why, it never disappears.

mod sdk;
mod step;
mod steps;
mod tally;

use std::process::ExitCode;
use std::time::Instant;
pub(crate) use step::Options;
use step::{Outcome, Step};
use steps::STEPS;
use tally::Tally;

struct Row {
    name: &'static str,
    outcome: Outcome,
    seconds: f64,
}

/// Runs the steps asked for.
///
/// # Errors
/// When a step is asked for that does not exist.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    if options.list {
        for step in STEPS {
            println!("{:<8} {}", step.name, step.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    if let Some(unknown) = options.only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("no step `{unknown}`; there are {}", names.join(", ")));
    }
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|step| match options.only.is_empty() {
            true => options.long || !step.long_only,
            false => options.only.iter().any(|name| name == step.name),
        })
        .collect();
    let rows: Vec<Row> = chosen
        .iter()
        .enumerate()
        .map(|(index, step)| {
            println!("\n── {}/{} {}: {}", index + 1, chosen.len(), step.name, step.about);
            let start = Instant::now();
            let outcome = (step.run)(options);
            Row { name: step.name, outcome, seconds: start.elapsed().as_secs_f64() }
        })
        .collect();
    Ok(close(&rows))
}

/// Prints the closing table and the line test readers understand.
fn close(rows: &[Row]) -> ExitCode {
    println!("\n{:<8} {:<8} {:>8}  tests", "step", "result", "seconds");
    let mut total = Tally::default();
    let mut all_well = true;
    for row in rows {
        let (result, tally, note) = match &row.outcome {
            Outcome::Passed(tally) => ("ok", *tally, ""),
            Outcome::Failed(tally, why) => ("FAILED", *tally, why.as_str()),
            Outcome::Skipped(why) => ("skipped", Tally::default(), why.as_str()),
        };
        let tests = match tally {
            Tally { passed: 0, failed: 0, skipped: 0 } => String::new(),
            Tally { passed, failed, .. } => format!("{passed} passed, {failed} failed"),
        };
        let gap = if tests.is_empty() || note.is_empty() { "" } else { ": " };
        let line = format!("{:<8} {result:<8} {:>8.1}  {tests}{gap}{note}", row.name, row.seconds);
        println!("{}", line.trim_end());
        all_well &= result != "FAILED";
        total.add(counted(&row.outcome, tally));
    }
    println!("\n{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A step without tests of its own counts as one; a step that failed counts at least one failure.
fn counted(outcome: &Outcome, tally: Tally) -> Tally {
    let empty = tally == Tally::default();
    match outcome {
        Outcome::Passed(_) if empty => Tally { passed: 1, ..tally },
        Outcome::Passed(_) => tally,
        Outcome::Failed(..) => Tally { failed: tally.failed.max(1), ..tally },
        Outcome::Skipped(_) => Tally { skipped: 1, ..tally },
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Tally, counted};

    #[test]
    fn every_step_counts() {
        let ran = Tally { passed: 3, failed: 0, skipped: 1 };
        let table = [
            (Outcome::Passed(ran), ran),
            (Outcome::Passed(Tally::default()), Tally { passed: 1, ..Tally::default() }),
            (Outcome::Failed(ran, String::new()), Tally { failed: 1, ..ran }),
            (Outcome::Skipped(String::new()), Tally { skipped: 1, ..Tally::default() }),
        ];
        for (outcome, expected) in table {
            let tally = match &outcome {
                Outcome::Passed(tally) | Outcome::Failed(tally, _) => *tally,
                Outcome::Skipped(_) => Tally::default(),
            };
            assert_eq!(counted(&outcome, tally), expected);
        }
    }
}
