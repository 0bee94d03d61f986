//! What inspection costs, counted: so that the bound on it holds whatever the machine does beside.

use super::*;

/// Which has no time for 64 KiB.
static HURRIED: LazyLock<Inspector> =
    LazyLock::new(|| Inspector::new(Limits { steps: 250_000, ..Limits::default() }));

/// What is paid grows with the bytes and not faster, and is at least their splitting: so the default bound
/// on steps bounds the time, whose worst per step the bench measures.
#[test]
fn the_steps_grow_with_the_request_and_not_faster() {
    let plenty = Inspector::new(Limits { steps: u64::MAX, values: usize::MAX, ..Limits::default() });
    let shapes = [
        "%2525", "${", "{\"", "/*", "\\u00", "&#x", "--b\r\n", "a=b&", "a='-&", "'or 1=1 ", "<a on=", "../",
        "=on",
    ];
    for shape in shapes {
        for kind in [FORM, "application/json", "text/xml"] {
            let steps = |repeats: usize| {
                let body = format!("q={}", shape.repeat(repeats));
                let headers = [Header { name: b"Content-Type", value: kind.as_bytes() }];
                let request =
                    Request { method: b"POST", target: b"/", headers: &headers, body: body.as_bytes() };
                (plenty.steps(&request), body.len() as u64)
            };
            let ((once, len), (twice, _)) = (steps(2000), steps(4000));
            assert!(once > 3 * len, "{shape} as {kind}: {once} steps for {len} bytes");
            assert!(twice < once * 9 / 4, "{shape} as {kind}: {once} steps, twice as long {twice}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Of 64 KiB of anything, no more is done than the bound on steps allows.
    #[test]
    fn no_request_of_64_kib_takes_more_than_the_steps_allow(
        piece in "(union|select|sleep\\(|'|\"|--|/\\*|\\*/|<|script|>|on|=|%|%25|u00|c0|ae|\\.\\./|\\$\\{|:-|\\}|;|&|#x|\\\\|\\(|1| |\\[|\\{|,|\n|[a-z]){1,40}",
        raw in proptest::collection::vec(any::<u8>(), 1..40),
        kind in proptest::sample::select(vec![FORM, "application/json", "text/xml", "text/plain", "multipart/form-data"]),
    ) {
        for piece in [piece.as_bytes(), &raw] {
            let body = piece.repeat(64 * 1024 / piece.len());
            let headers = [Header { name: b"content-type", value: kind.as_bytes() }];
            let request = Request { method: b"POST", target: b"/", headers: &headers, body: &body };
            for inspector in [&*INSPECTOR, &*HURRIED] {
                let spent = inspector.steps(&request);
                prop_assert!(spent <= inspector.limits.steps);
                let found = inspector.inspect(&request);
                prop_assert_eq!(found.left_unread() == Some("steps"), found.limits_reached.contains(&"steps"));
            }
        }
    }
}
