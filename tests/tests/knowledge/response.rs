//! Rules of response, from an incident to what they say.

use tests::loopback::until;
use tests::standin::{Manner, StandIn};

use crate::shop::{Shop, key_file};

const ATTACK: &str = "/?q=1%27%20union%20select%20password%20from%20users--";

#[test]
fn rules_ban_call_and_ask_for_a_login_and_leave_lines_in_the_audit_log() {
    let dir = tempfile::tempdir().unwrap();
    let secret = key_file(dir.path(), "a-secret-of-the-hook").unwrap();
    let hook = StandIn::always(Manner::status(204, "")).unwrap();
    let shop = Shop::open(&format!(
        "[risk]\nban = 1.0\n\n[limits.user]\nheader = \"X-User\"\n\n\
         [[response.rules]]\nname = \"twice\"\nwhen = {{ findings = [\"sqli\"], count = 2 }}\n\
         then = [{{ act = \"ban\", ttl_secs = 600 }}, {{ act = \"webhook\", url = \"{}/sky\", secret_file = \"{secret}\" }}]\n\n\
         [[response.rules]]\nname = \"login\"\nwhen = {{ findings = [\"xss\"] }}\n\
         then = [{{ act = \"require_login\", secs = 600 }}, {{ act = \"notify\" }}]\n\n\
         [[response.rules]]\nname = \"trial\"\nwhen = {{ score = 0.5 }}\ndry_run = true\n\
         then = [{{ act = \"ban\", ttl_secs = 60 }}]\n",
        hook.url()
    ))
    .unwrap();
    let daemon = &shop.daemon.daemon;
    assert_eq!(shop.get("45.5.0.1", ATTACK).unwrap().status, 403);
    assert_eq!(shop.get("45.5.0.1", "/").unwrap().status, 200, "once is not twice, and a trial bans nobody");
    shop.get("45.5.0.1", ATTACK).unwrap();
    until("it is banned", || Ok(shop.get("45.5.0.1", "/")?.status == 403)).unwrap();
    let ban = &daemon.decisions().unwrap()[0];
    assert_eq!((&ban["reason"], &ban["layer"]), (&"response: twice".into(), &"request".into()));
    until("the hook was called", || Ok(!hook.asked().is_empty())).unwrap();
    let call = &hook.asked()[0];
    assert!(call.starts_with("POST /sky ") && call.contains("\"source\":\"45.5.0.1\""), "{call}");
    assert!(call.to_ascii_lowercase().contains("x-skyshield-signature: sha256="), "{call}");
    assert!(!call.contains("password"), "nothing of the request is passed on: {call}");

    shop.get("45.5.0.2", "/?q=%3Cscript%3Ealert(1)%3C/script%3E").unwrap();
    until("it has to log in", || Ok(shop.get("45.5.0.2", "/")?.status == 403)).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nX-User: anna\r\n\
                   X-Forwarded-For: 45.5.0.2\r\nConnection: close\r\n\r\n";
    assert_eq!(shop.daemon.ask(request.as_bytes()).unwrap().status, 200, "a user is let in");
    assert_eq!(shop.get("45.5.0.3", "/").unwrap().status, 200);

    until("it is in the audit log", || {
        let log = daemon.get("/api/v1/audit?limit=1000")?;
        Ok(["response ban", "response webhook", "response require_login", "response notify"]
            .iter()
            .all(|act| log.contains(act))
            && log.contains("\"dry_run\":true"))
    })
    .unwrap();
    assert_eq!(daemon.json("/api/v1/audit/verify").unwrap()["whole"], true);
}

#[test]
fn a_class_that_is_tightened_lets_fewer_in() {
    let shop = Shop::open(
        "[limits.classes.default]\nrequests = 20\nwindow_secs = 3600\n\n\
         [[response.rules]]\nname = \"tight\"\nwhen = { findings = [\"sqli\"] }\n\
         then = [{ act = \"tighten\", class = \"default\", fold = 10, secs = 600 }]\n",
    )
    .unwrap();
    let let_in = |client: &str| {
        (0..30).filter(|_| shop.get(client, "/").is_ok_and(|answer| answer.status == 200)).count()
    };
    assert_eq!(let_in("45.6.0.1"), 20);
    shop.get("45.6.0.2", ATTACK).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(let_in("45.6.0.3"), 2);
}

#[test]
fn a_payload_and_a_neighbourhood_that_were_seen_before_are_indicators_of_the_next_attack() {
    let rule = |name: &str, when: &str| {
        format!(
            "[[response.rules]]\nname = \"{name}\"\nwhen = {{ {when} }}\nthen = [{{ act = \"notify\" }}]\ncooldown_secs = 0\n\n"
        )
    };
    let shop = Shop::open(
        &[
            rule("payload", "indicators = [\"payload\"], confidence = 0.3"),
            rule("prefix", "indicators = [\"prefix\"], confidence = 0.3"),
            rule("guesser", "findings = [\"login.guessing\"]"),
        ]
        .concat(),
    )
    .unwrap();
    let daemon = &shop.daemon.daemon;
    let applied = |rule: &str, source: &str| {
        let log = daemon.get("/api/v1/audit?limit=1000")?;
        let entries = serde_json::from_str::<serde_json::Value>(&log)?["items"].clone();
        let text = |entry: &serde_json::Value| entry.to_string();
        let is_it = |entry: &serde_json::Value| text(entry).contains(rule) && text(entry).contains(source);
        anyhow::Ok(entries.as_array().is_some_and(|all| all.iter().any(is_it)))
    };
    for (n, source) in ["45.8.0.1", "45.8.0.2", "45.8.0.3"].into_iter().enumerate() {
        shop.get(source, ATTACK).unwrap();
        // What an incident teaches is learned beside the answer.
        until("it is an indicator", || {
            let path = "/api/v1/indicators?kind=address";
            Ok(daemon.json(path)?["items"].as_array().is_some_and(|known| known.len() > n))
        })
        .unwrap();
    }
    shop.get("45.8.0.4", ATTACK).unwrap();
    for rule in ["payload", "prefix"] {
        until("the rule applies", || applied(rule, "45.8.0.4")).unwrap();
        assert!(!applied(rule, "45.8.0.1").unwrap(), "the first is like nobody before");
    }
    assert!(!applied("guesser", "45.8.0").unwrap());
}
