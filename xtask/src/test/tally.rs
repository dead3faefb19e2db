//! Counts tests from what test runners print at their end.
//!
//! Reads text only; whether a step passed is its exit status, not this count.

/// Tests that ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Ended well.
    pub passed: u64,
    /// Did not.
    pub failed: u64,
    /// Were left out by the runner.
    pub skipped: u64,
}

impl Tally {
    /// Adds what a line says, if it is a runner's closing line: nextest's `Summary`, libtest's `test result:`,
    /// pytest's `== … in 1.2s ==`.
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim();
        let closes = (line.starts_with("Summary [") && line.contains("run:"))
            || line.starts_with("test result:")
            || (line.starts_with('=') && line.ends_with('=') && line.contains(" in "));
        if !closes {
            return;
        }
        let words: Vec<&str> = line
            .split(|character: char| !character.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let [count, what] = pair else { continue };
            let Ok(count) = count.parse::<u64>() else { continue };
            match *what {
                "passed" => self.passed += count,
                "failed" | "error" | "errors" => self.failed += count,
                "skipped" | "ignored" => self.skipped += count,
                // Nextest's word for tests that ran out of time; libtest's and pytest's other words say nothing new.
                "timed" => self.failed += count,
                _ => {}
            }
        }
    }

    /// Adds another count.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn closing_lines_of_every_runner() {
        let table = [
            ("     Summary [   0.412s] 21 tests run: 21 passed, 0 skipped", (21, 0, 0)),
            (
                "     Summary [   1.0s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 3 skipped",
                (9, 3, 3),
            ),
            ("test result: FAILED. 20 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out", (20, 1, 2)),
            ("============ 5 passed, 1 failed, 2 errors, 3 skipped in 0.12s ============", (5, 3, 3)),
            ("============ 1 passed, 1 warning in 12.5s (0:00:12) ============", (1, 0, 0)),
            ("error: 3 passed, 4 failed", (0, 0, 0)),
            ("=== test session starts ===", (0, 0, 0)),
        ];
        for (line, (passed, failed, skipped)) in table {
            let mut tally = Tally::default();
            tally.read(line);
            assert_eq!(tally, Tally { passed, failed, skipped }, "{line}");
        }
    }
}
