//! Counting from what the runners print: libtest and libtest-mimic share these lines.

use std::fmt::Write as _;

/// What became of a group's tests.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    passed: u64,
    /// Names of tests, and of runs that ended badly without naming one.
    failed: Vec<String>,
    /// Names of tests, with the reason where the runner gives it.
    ignored: Vec<String>,
    red_run: bool,
}

impl Count {
    /// Takes a line into account; says whether people should see it.
    pub(crate) fn see(&mut self, line: &str) -> bool {
        let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        else {
            return !(line.is_empty() || line == "running 0 tests" || is_empty_result(line));
        };
        if outcome == "ok" || outcome.starts_with("ok ") {
            self.passed += 1;
            return false;
        }
        if outcome.starts_with("FAILED") || outcome.starts_with("failed") {
            self.failed.push(name.trim_end().to_owned());
        } else if let Some(reason) = outcome.strip_prefix("ignored") {
            let reason = reason.trim_start_matches([',', ' ']);
            let stop = if reason.is_empty() { "" } else { ": " };
            self.ignored.push(format!("{}{stop}{reason}", name.trim_end()));
        }
        true
    }

    /// A run has ended. One that failed without naming a test did not build, or died.
    pub(crate) fn ended(&mut self, success: bool) {
        if !success {
            self.red_run = true;
        }
    }

    /// Whether anything failed.
    pub(crate) fn is_red(&self) -> bool {
        self.red_run || !self.failed.is_empty()
    }
}

/// A binary without tests, of which a workspace has many.
fn is_empty_result(line: &str) -> bool {
    line.starts_with("test result: ok. 0 passed; 0 failed; 0 ignored;")
}

/// One screen: a line a group, then the names of what failed or was ignored.
pub(crate) fn summary(counts: &[(&str, Count)]) -> String {
    let mut text = String::from("\ngroup     passed  failed  ignored\n");
    let mut notes = String::new();
    for (group, count) in counts {
        let (failed, ignored) = (count.failed.len(), count.ignored.len());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{group:<9} {:>6}  {failed:>6}  {ignored:>7}", count.passed);
        for name in &count.failed {
            let _ = writeln!(notes, "failed   {group}  {name}");
        }
        if count.red_run && failed == 0 {
            let _ = writeln!(notes, "failed   {group}  a run did not build, or died: see above");
        }
        for name in &count.ignored {
            let _ = writeln!(notes, "ignored  {group}  {name}");
        }
    }
    let red = counts.iter().any(|(_, count)| count.is_red());
    let _ = writeln!(text, "{notes}test: {}", if red { "FAILED" } else { "ok" });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lines: &str, success: bool) -> Count {
        let mut count = Count::default();
        for line in lines.lines() {
            count.see(line);
        }
        count.ended(success);
        count
    }

    #[test]
    fn outcomes_are_counted_and_reasons_kept() {
        let count = count(
            "running 4 tests\n\
             test a::passes ... ok\n\
             test a::panics - should panic ... ok\n\
             test b::skipped ... ignored, no root\n\
             test c::breaks ... FAILED\n\
             test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n",
            false,
        );
        assert_eq!(count.passed, 2);
        assert_eq!(count.failed, ["c::breaks"]);
        assert_eq!(count.ignored, ["b::skipped: no root"]);
        assert!(count.is_red());
    }

    #[test]
    fn a_run_that_died_is_red_although_no_test_failed() {
        let count = count("test a ... ok\n", false);
        assert!(count.is_red());
        assert!(summary(&[("unit", count)]).contains("did not build, or died"));
    }

    #[test]
    fn passing_tests_and_empty_binaries_stay_quiet() {
        let mut count = Count::default();
        assert!(!count.see("test a ... ok"));
        assert!(!count.see("running 0 tests"));
        assert!(!count.see("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"));
        assert!(count.see("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"));
        assert!(count.see("thread 'a' panicked at src/lib.rs:1:1:"));
    }
}
