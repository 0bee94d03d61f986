//! Every incident explains itself, and what it says comes true when it is done.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tests::daemon::Daemon;
use tests::http::{ask, field, post};
use tests::loopback::until;
use tests::traffic;

use crate::bench::{Bench, said};

const PATIENCE: Duration = Duration::from_secs(5);
const HOST: &str = "shop.example";

/// A loopback address that nobody has spoken from: what is known of a source is not to matter.
fn stranger(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(u32::from_be_bytes([127, 1, 0, 0]) + number).into()
}

struct Sent<'a> {
    bench: &'a Bench,
    strangers: u32,
}

impl Sent<'_> {
    fn by(&self, from: IpAddr, request: &[u8]) -> u16 {
        ask(from, self.bench.gateway, request, PATIENCE).unwrap().status
    }

    fn by_a_stranger(&mut self, request: &[u8]) -> u16 {
        self.strangers += 1;
        self.by(stranger(self.strangers), request)
    }
}

/// `request` without what stands at `place`, as an honest client would have sent it.
fn without(request: &[u8], place: &str) -> Vec<u8> {
    let text = String::from_utf8(request.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let (line, fields) = head.split_once("\r\n").unwrap();
    let [method, target, version] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (mut line, mut fields, mut body) = (line.to_owned(), fields.to_owned(), body.to_owned());
    let emptied = |pairs: &str, separator: &str, name: &str| {
        let kept = pairs.split(separator).map(|pair| {
            let is_it = pair.trim().split('=').next() == Some(name);
            if is_it { format!("{name}=1") } else { pair.to_owned() }
        });
        kept.collect::<Vec<_>>().join(separator)
    };
    match place.split_once(':') {
        None => line = format!("{method} /?{query} {version}"),
        Some(("query", name)) => line = format!("{method} {path}?{} {version}", emptied(query, "&", name)),
        Some(("header", name)) => {
            let lines = fields.split("\r\n").map(|field| {
                let (own, value) = field.split_once(": ").unwrap();
                match name.strip_prefix("cookie.") {
                    Some(cookie) if own == "Cookie" => format!("{own}: {}", emptied(value, "; ", cookie)),
                    None if own.eq_ignore_ascii_case(name) => format!("{own}: 1"),
                    _ => field.to_owned(),
                }
            });
            fields = lines.collect::<Vec<_>>().join("\r\n");
        }
        Some(("body", name)) => match serde_json::from_str::<Value>(&body) {
            Ok(mut object) => {
                object[name] = json!("1");
                body = object.to_string();
            }
            Err(_) => body = emptied(&body, "&", name),
        },
        Some(_) => panic!("{place}"),
    }
    let lines = fields.split("\r\n").map(|field| match field.strip_prefix("Content-Length: ") {
        Some(_) => format!("Content-Length: {}", body.len()),
        None => field.to_owned(),
    });
    format!("{line}\r\n{}\r\n\r\n{body}", lines.collect::<Vec<_>>().join("\r\n")).into_bytes()
}

/// Makes the exceptions of `scopes`; their ids.
fn except(daemon: &Daemon, scopes: &Value) -> Vec<String> {
    let made = scopes.as_array().unwrap().iter().map(|scope| {
        let mut body = scope.clone();
        body["comment"] = json!("a test");
        let answer = daemon.ask("POST", "/api/v1/exceptions", &body.to_string()).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["unknown_rules"], json!([]), "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    });
    made.collect()
}

/// Which of `attacks` pass when they are replayed by the daemon's exceptions.
fn replayed(bench: &Bench, attacks: &[Vec<u8>]) -> BTreeSet<usize> {
    let file = bench.dir().join("replayed.jsonl");
    let lines: Vec<_> = (0..attacks.len())
        .map(|at| {
            let raw = BASE64_STANDARD.encode(&attacks[at]);
            let line =
                json!({ "id": at.to_string(), "label": "attack", "category": at.to_string(), "raw": raw });
            line.to_string()
        })
        .collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let told = bench.answer(&["replay", file.to_str().unwrap()]).unwrap();
    assert!(told["exceptions"].is_number(), "the daemon says them: {told}");
    let detected = |at: &usize| told["categories"][at.to_string()]["attack"]["detected"].as_u64().unwrap();
    (0..attacks.len()).filter(|at| detected(at) == 0).collect()
}

/// Which of `incidents` would have passed by the daemon's exceptions, weighed again.
fn weighed_again(bench: &Bench, incidents: &[(IpAddr, String)]) -> BTreeSet<usize> {
    let told = bench.answer(&["replay", "--against", "24h"]).unwrap();
    let named = told["named"].as_array().unwrap();
    // Others lose a part of what was held against them, and are still refused.
    let passing = named.iter().filter(|changed| changed["would_be"] == "pass");
    let number = |changed: &Value| incidents.iter().position(|(_, id)| changed["incident"] == **id).unwrap();
    passing.map(number).collect()
}

/// The incidents that a preview names, and its own.
fn previewed(preview: &Value, incidents: &[(IpAddr, String)], own: usize) -> BTreeSet<usize> {
    let named = preview["incidents"].as_array().unwrap();
    assert_eq!(preview["admitted"], named.len(), "all are named");
    let number = |admitted: &Value| incidents.iter().position(|(_, id)| admitted["id"] == **id).unwrap();
    named.iter().map(number).chain([own]).collect()
}

fn remove(daemon: &Daemon, ids: &[String]) {
    for id in ids {
        daemon.ask("DELETE", &format!("/api/v1/exceptions/{id}"), "").unwrap();
    }
}

#[test]
fn every_incident_of_the_demo_explains_itself_and_what_it_says_comes_true() {
    let bench = Bench::new().unwrap();
    let daemon = bench.start().unwrap();
    let mut sent = Sent { bench: &bench, strangers: 0 };
    let attacks: Vec<_> = traffic::attacks(HOST).into_iter().map(|attack| attack.request).collect();
    let incidents: Vec<(IpAddr, String)> = attacks
        .iter()
        .map(|attack| {
            sent.strangers += 1;
            let from = stranger(sent.strangers);
            let refused = ask(from, bench.gateway, attack, PATIENCE).unwrap();
            assert_eq!(refused.status, 403, "{}", String::from_utf8_lossy(attack));
            (from, field(&refused.head, "X-SkyShield-Incident").unwrap().to_owned())
        })
        .collect();
    let explain = |id: &str| daemon.json(&format!("/api/v1/explain/{id}"));
    // The records are a group commit away, for as long as the disk takes; a preview looks at all of them.
    until("every incident is kept", || Ok(incidents.iter().all(|(_, id)| explain(id).is_ok()))).unwrap();
    let explained: Vec<Value> = incidents.iter().map(|(_, id)| explain(id).unwrap()).collect();

    // What a preview says is what a replay of the same shows, of what was kept and of the requests themselves.
    assert_eq!(weighed_again(&bench, &incidents), BTreeSet::new());
    assert_eq!(replayed(&bench, &attacks), BTreeSet::new());
    for (at, explained) in explained.iter().enumerate() {
        let made = except(&daemon, &explained["exceptions"]);
        assert_eq!(weighed_again(&bench, &incidents), previewed(&explained["preview"], &incidents, at));
        remove(&daemon, &made);
        let made = except(&daemon, &explained["exceptions_for_all"]);
        let told = previewed(&explained["preview_for_all"], &incidents, at);
        assert_eq!(weighed_again(&bench, &incidents), told, "{explained}");
        assert_eq!(replayed(&bench, &attacks), told, "{explained}");
        remove(&daemon, &made);
    }

    for ((attack, (from, id)), explained) in attacks.iter().zip(&incidents).zip(&explained) {
        let incident = &explained["incident"];
        assert_eq!(incident["id"], **id);
        let adds = incident["terms"].as_array().unwrap().iter().map(|term| term["adds"].as_f64().unwrap());
        let score = incident["score"].as_f64().unwrap();
        assert_eq!(format!("{:.3}", adds.sum::<f64>()), format!("{score:.3}"), "{explained}");
        let surest = &incident["terms"][0];
        assert!(!surest["matched"].as_str().unwrap().is_empty() && surest["place"].is_object(), "{surest}");

        // The change that it names is enough.
        let places = explained["change"]["places"].as_array().unwrap();
        assert!(!places.is_empty(), "{explained}");
        let changed =
            places.iter().fold(attack.clone(), |request, place| without(&request, place.as_str().unwrap()));
        let status = sent.by_a_stranger(&changed);
        assert_eq!(status, 200, "{}\n{explained}", String::from_utf8_lossy(&changed));

        // The narrowest exception lets it through, from there and nowhere else.
        let made = except(&daemon, &explained["exceptions"]);
        assert!(!made.is_empty(), "{explained}");
        assert_eq!(sent.by(*from, attack), 200, "{explained}");
        assert_eq!(sent.by_a_stranger(attack), 403, "{explained}");
        remove(&daemon, &made);
        assert_eq!(sent.by_a_stranger(attack), 403, "a removed exception lets nothing through");
    }

    // Without its source, it lets in what its preview names, and nothing else.
    for (at, explained) in explained.iter().enumerate() {
        let preview = &explained["preview_for_all"];
        assert_eq!(preview["looked_at"], attacks.len() - 1);
        let told = previewed(preview, &incidents, at);
        let made = except(&daemon, &explained["exceptions_for_all"]);
        let passed: BTreeSet<usize> =
            (0..attacks.len()).filter(|&other| sent.by_a_stranger(&attacks[other]) == 200).collect();
        assert_eq!(passed, told, "{explained}");
        remove(&daemon, &made);
    }
    daemon.stop().unwrap();
}

#[test]
fn exceptions_are_made_listed_used_and_removed_and_outlive_the_daemon() {
    let bench = Bench::new().unwrap();
    let daemon = bench.start().unwrap();
    let mut sent = Sent { bench: &bench, strangers: 0 };
    let attack = &traffic::attacks(HOST)[0].request;
    let words = ["exceptions", "add", "--rule", "sqli.*", "--place", "query:id", "--route", "/products"];
    let made = bench.answer(&[&words[..], &["--ttl", "1h", "--comment", "a report"]].concat()).unwrap();
    assert_eq!((&made["by"], &made["comment"]), (&json!("root"), &json!("a report")));
    assert!(made["ttl_seconds"].as_u64().unwrap() > 3590);
    assert_eq!(sent.by_a_stranger(attack), 200);
    daemon.stop().unwrap();

    let daemon = bench.start().unwrap();
    assert_eq!(sent.by_a_stranger(attack), 200);
    let listed = bench.answer(&["exceptions", "list"]).unwrap();
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["used"]), (&made["id"], &json!(1)));
    let metrics = daemon.get("/api/v1/monitoring/prometheus/").unwrap();
    assert!(metrics.contains("skyshield_exceptions_used_total 1"), "{metrics}");
    let id = made["id"].as_str().unwrap();
    bench.answer(&["exceptions", "remove", id]).unwrap();
    assert_eq!(sent.by_a_stranger(attack), 403);
    for wrong in [
        &["exceptions", "remove", id][..],
        &["exceptions", "add", "--rule", "*"],
        &["exceptions", "add", "--rule", "sqli.*", "--place", "somewhere"],
        &["explain", "01ARZ3NDEKTSV4RRFFQ69G5FAV"],
    ] {
        assert_eq!(bench.skyshield(wrong).unwrap().status.code(), Some(1), "{wrong:?}");
    }
    let unknown = bench.skyshield(&["exceptions", "add", "--rule", "sqli.unoin"]).unwrap();
    assert!(said(&unknown).contains("no built-in rule is called sqli.unoin"), "{}", said(&unknown));
    let told = said(&bench.skyshield(&["explain", &stranger(3).to_string()]).unwrap());
    assert!(told.contains("earlier-incidents"), "{told}");
    daemon.stop().unwrap();
}

#[test]
fn the_number_on_an_answer_without_an_incident_leads_to_its_reason() {
    let bench = Bench::new().unwrap();
    let daemon = bench.start().unwrap();
    let hasty = stranger(1);
    let login = post(HOST, "/login", "application/x-www-form-urlencoded", "a=b");
    let pages: Vec<_> = (0..6).map(|_| ask(hasty, bench.gateway, &login, PATIENCE).unwrap()).collect();
    let page = &pages[5];
    assert_eq!(page.status, 429);
    let (number, wait) = (field(&page.head, "x-skyshield-incident"), field(&page.head, "retry-after"));
    let told = said(&bench.skyshield(&["explain", number.unwrap()]).unwrap());
    let why = format!("over its quota, and within it again after {} s", wait.unwrap());
    assert!(told.contains(&format!("to        {hasty}\nso        turned away: it was {why}")), "{told}");
    daemon.stop().unwrap();
}
