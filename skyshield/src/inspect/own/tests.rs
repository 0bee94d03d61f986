use super::*;
use crate::inspect::{Header, Inspection, Inspector, Request};

const HEAD: &str = "[[rule]]\nid = 'own.x'\ndescription = 'x'\n";

fn rules(text: &str) -> Result<OwnRules, String> {
    let mut draft = Draft::default();
    for (_, written) in read(text).map_err(|error| error.to_string())? {
        draft.add(written, &"test".into())?;
    }
    Ok(draft.finish())
}

/// An inspector with what follows the rule's head.
fn inspector(rest: &str, limits: Limits) -> Inspector {
    let own = rules(&format!("{HEAD}{rest}")).unwrap();
    Inspector::new(Limits { own, ..limits })
}

fn get(inspector: &Inspector, route: &str, target: &str) -> Inspection {
    inspector
        .inspect_on(route, &Request { method: b"GET", target: target.as_bytes(), headers: &[], body: b"" })
}

#[test]
fn each_kind_of_match_finds_what_it_says_and_no_more() {
    let rows = [
        ("contains = ['xyzzy', 'plugh']", "a PLUGH b", "plug"),
        ("contains = ['%']", "50%", "50"),
        ("equals = ['admin']", "Admin", "admins"),
        ("equals = ['admin'], case_sensitive = true", "admin", "Admin"),
        ("starts_with = ['tmp-']", "tmp-1", "a tmp-1"),
        ("ends_with = ['.bak']", "a.bak", "a.bak.txt"),
        ("regex = '^v[0-9]{3}$'", "V123", "v1234"),
        ("regex = '(?:foo|bar)baz'", "xBARbaz", "barqux"),
        ("regex = '(?i)stra\u{df}e'", "STRA\u{df}e", "strasse"),
    ];
    for (what, hit, miss) in rows {
        let rest = format!("match = {{ {what} }}\nexamples = {{ hit = ['{hit}'], miss = ['{miss}'] }}\n");
        rules(&format!("{HEAD}{rest}")).unwrap_or_else(|error| panic!("{what}: {error}"));
        let turned = format!("match = {{ {what} }}\nexamples = {{ hit = ['{miss}'], miss = ['{hit}'] }}\n");
        rules(&format!("{HEAD}{turned}")).unwrap_err();
    }
}

#[test]
fn each_place_is_looked_at_and_no_other() {
    for place in ["path", "query", "body", "text", "cookie", "header", "agent", "filename", "file"] {
        let rest = format!(
            "place = ['{place}']\nmatch = {{ contains = ['xyzzy'] }}\nexamples = {{ hit = ['xyzzy'], miss = ['plugh'] }}\n"
        );
        let inspector = inspector(&rest, Limits::default());
        let found =
            |inspection: &Inspection| inspection.findings.iter().any(|finding| finding.rule == "own.x");
        assert_eq!(found(&get(&inspector, "default", "/xyzzy")), place == "path");
        assert_eq!(found(&get(&inspector, "default", "/?a=xyzzy")), place == "query");
        let headers = [Header { name: b"cookie", value: b"a=xyzzy" }];
        let request = Request { method: b"GET", target: b"/", headers: &headers, body: b"" };
        assert_eq!(found(&inspector.inspect(&request)), place == "cookie");
        let headers = [Header { name: b"user-agent", value: b"xyzzy" }];
        let request = Request { method: b"GET", target: b"/", headers: &headers, body: b"" };
        assert_eq!(found(&inspector.inspect(&request)), ["agent", "header"].contains(&place));
    }
}

#[test]
fn a_rule_keeps_to_its_names_and_routes() {
    let rest = "names = ['role']\nroutes = ['shop']\nmatch = { equals = ['admin'] }\n\
        examples = { hit = ['admin'], miss = ['user'] }\n";
    let inspector = inspector(rest, Limits::default());
    let rows = [
        ("shop", "/?role=admin", 1),
        ("shop", "/?ROLE=admin", 1),
        ("shop", "/?name=admin", 0),
        ("default", "/?role=admin", 0),
    ];
    for (route, target, expected) in rows {
        assert_eq!(get(&inspector, route, target).findings.len(), expected, "{route} {target}");
    }
    let headers = [Header { name: b"content-type", value: b"application/json" }];
    let body = br#"{"user":{"role":"admin"}}"#;
    let nested = Request { method: b"POST", target: b"/", headers: &headers, body };
    assert_eq!(inspector.inspect_on("shop", &nested).findings.len(), 1);
}

#[test]
fn a_transformation_reads_the_value_as_it_says() {
    let rest = |reading: &str, example: &str| {
        format!(
            "place = ['query']\ntransformation = ['{reading}']\nmatch = {{ contains = ['<b>'] }}\n\
             examples = {{ hit = ['{example}'], miss = ['b'] }}\n"
        )
    };
    for (reading, example) in [("once", "<b>"), ("deep", "%3Cb%3E"), ("html", "&lt;b&gt;")] {
        rules(&format!("{HEAD}{}", rest(reading, example))).unwrap();
    }
    rules(&format!("{HEAD}{}", rest("once", "%3Cb%3E"))).unwrap_err();
}

#[test]
fn what_comes_of_a_rule_is_its_action() {
    let rest = |action: &str| {
        format!(
            "action = '{action}'\nconfidence = 0.1\nmatch = {{ contains = ['xyzzy'] }}\n\
             examples = {{ hit = ['xyzzy'], miss = ['x'] }}\n"
        )
    };
    for (action, weighed, observed, demanded) in
        [("weigh", 1, 0, false), ("refuse", 1, 0, true), ("observe", 0, 1, false)]
    {
        let found = get(&inspector(&rest(action), Limits::default()), "default", "/?q=xyzzy");
        assert_eq!(
            (found.findings.len(), found.observed.len(), found.demands_refusal),
            (weighed, observed, demanded),
            "{action}"
        );
    }
}

#[test]
fn a_rule_by_its_id_is_turned_off_or_only_observed() {
    let attack = "/?q=%3Cscript%3Ealert(1)%3C/script%3E";
    let ids = |found: &[crate::inspect::Finding]| {
        found.iter().map(|finding| finding.rule.to_string()).collect::<Vec<_>>()
    };
    let plain = get(&Inspector::new(Limits::default()), "default", attack);
    let id = ids(&plain.findings).remove(0);
    let off = Inspector::new(Limits { disable: vec![id.clone()], ..Limits::default() });
    assert!(!ids(&get(&off, "default", attack).findings).contains(&id));
    let limits = Limits { observe: vec![id.clone()], ..Limits::default() };
    let found = get(&Inspector::new(limits.clone()), "default", attack);
    assert_eq!(ids(&found.observed), std::slice::from_ref(&id));
    assert!(!ids(&found.findings).contains(&id));
    let info = infos(&limits).find(|info| info.id == id).unwrap();
    assert_eq!(info.action, Some(Action::Observe));
    let wrong = Limits { disable: vec!["xss.scrpt-tag".to_owned()], ..Limits::default() };
    let (key, what) = unknown_id(&wrong).unwrap();
    assert_eq!(key, "inspect.disable");
    assert!(what.contains("did you mean `xss.script-tag`?"), "{what}");
    assert_eq!(unknown_id(&limits), None);
}

#[test]
fn as_many_rules_as_are_allowed_are_all_asked_and_one_more_is_refused() {
    let one = |at: usize| {
        format!(
            "[[rule]]\nid = 'own.{at}'\ndescription = 'x'\nmatch = {{ equals = ['w{at}'] }}\n\
             examples = {{ hit = ['w{at}'], miss = ['x'] }}\n"
        )
    };
    let text: String = (0..MAX_RULES).map(one).collect();
    let inspector = Inspector::new(Limits { own: rules(&text).unwrap(), ..Limits::default() });
    for at in [0, 127, 128, MAX_RULES - 1] {
        assert_eq!(get(&inspector, "default", &format!("/?q=w{at}")).findings.len(), 1, "{at}");
    }
    let error = rules(&format!("{text}{}", one(MAX_RULES))).unwrap_err();
    assert!(error.contains("more than 256 rules"), "{error}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn the_words_of_a_pattern_never_hide_a_match(
        pattern in "(abc|xyzzy|[a-c]{1,3}|\\(foo\\|bar\\)|\\^|\\$|b\\+|\\.\\*|\\(\\?i\\)){1,4}",
        text in "(abc|xyzzy|foo|bar|[a-cA-C]| ){0,6}",
    ) {
        let form = format!("{HEAD}place = ['query']\nmatch = {{ regex = '''{pattern}''' }}\nexamples = {{ hit = ['a'], miss = ['b'] }}\n");
        let (_, written) = read(&form).unwrap().remove(0);
        if let Ok((compiled, _)) = compile::compile(&written) {
            let plain = regex::bytes::RegexBuilder::new(&pattern)
                .unicode(false).case_insensitive(true).dot_matches_new_line(true).build().unwrap();
            let limits = Limits { own: OwnRules::of(written, compiled), ..Limits::default() };
            let found = get(&Inspector::without_built_in(limits), "default", &format!("/?{}", text.replace(' ', "+")));
            proptest::prop_assert_eq!(!found.findings.is_empty(), plain.is_match(text.as_bytes()), "{} {}", pattern, text);
        }
    }

    #[test]
    fn no_file_makes_the_reader_panic(text in "(\\[\\[rule\\]\\]|id|match|examples|=|\\{|\\}|'[a-z(]{0,5}'|\\[|\\]|\n| ){0,30}") {
        let _either = rules(&text);
    }
}
