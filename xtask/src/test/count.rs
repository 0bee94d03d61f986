//! Counting from what the runners print: libtest and libtest-mimic share these lines.

use std::fmt::Write as _;

/// What became of a group's tests.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
    failed_names: Vec<String>,
    /// Names, with the reason where the runner gives it.
    ignored_names: Vec<String>,
    /// Names under the last `failures:` of the run in hand.
    listed: Option<Vec<String>>,
    /// Runs that failed without a failed test: they did not build, or died.
    broken_runs: u64,
    failed_before: u64,
}

impl Count {
    /// Takes a line into account; says whether people should see it. The numbers are those of the
    /// runner's closing line: a test may write into the line that announces it.
    pub(crate) fn see(&mut self, line: &str) -> bool {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
            self.ignored += number_before(result, " ignored");
            self.failed_names.extend(self.listed.take().unwrap_or_default());
            return !result.starts_with("ok. 0 passed; 0 failed; 0 ignored;");
        }
        if line == "failures:" {
            self.listed = Some(Vec::new());
        } else if let Some(listed) = &mut self.listed
            && let Some(name) = line.strip_prefix("    ").filter(|name| !name.contains(' '))
        {
            listed.push(name.to_owned());
        }
        let announced = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "));
        if let Some((name, reason)) =
            announced.and_then(|(name, rest)| Some((name, rest.strip_prefix("ignored")?)))
        {
            let reason = reason.trim_matches([',', ' ', '(', ')']);
            let stop = if reason.is_empty() { "" } else { ": " };
            self.ignored_names.push(format!("{}{stop}{reason}", name.trim_end()));
        }
        let passed = announced.is_some_and(|(_, outcome)| outcome == "ok");
        !(passed || line.is_empty() || line == "running 0 tests")
    }

    /// A run has ended.
    pub(crate) fn ended(&mut self, success: bool) {
        if !success && self.failed == self.failed_before {
            self.broken_runs += 1;
        }
        self.failed_before = self.failed;
        self.listed = None;
    }

    /// Whether anything failed.
    pub(crate) fn is_red(&self) -> bool {
        self.broken_runs > 0 || self.failed > 0
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    text.split_once(word).and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

/// One screen: a line a group, then the names of what failed or was ignored.
pub(crate) fn summary(counts: &[(&str, Count)]) -> String {
    let mut text = String::from("\ngroup     passed  failed  ignored\n");
    let mut notes = String::new();
    for (group, count) in counts {
        let Count { passed, failed, ignored, .. } = count;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{group:<9} {passed:>6}  {failed:>6}  {ignored:>7}");
        for name in &count.failed_names {
            let _ = writeln!(notes, "failed   {group}  {name}");
        }
        if count.broken_runs > 0 {
            let _ = writeln!(
                notes,
                "failed   {group}  {} of its runs did not build, or died: see above",
                count.broken_runs
            );
        }
        for name in &count.ignored_names {
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
             \nfailures:\n\n---- c::breaks stdout ----\n    at_some_place\n\
             \nfailures:\n    c::breaks\n\n\
             test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n",
            false,
        );
        assert_eq!((count.passed, count.failed, count.ignored), (2, 1, 1));
        assert_eq!(count.failed_names, ["c::breaks"]);
        assert_eq!(count.ignored_names, ["b::skipped: no root"]);
        assert!(count.is_red() && count.broken_runs == 0);
    }

    #[test]
    fn a_test_that_writes_into_its_own_line_is_counted() {
        let count = count(
            "test loads          ... listening on 127.0.0.1\nok\n\
             test attaches       ... ignored (needs root)\n\
             test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n",
            true,
        );
        assert_eq!((count.passed, count.ignored), (1, 1));
        assert_eq!(count.ignored_names, ["attaches: needs root"]);
        assert!(!count.is_red());
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
