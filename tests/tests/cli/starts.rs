//! Starting, stopping and starting again.

use std::fs;
use std::net::TcpListener;

use crate::bench::{Bench, said};

#[test]
fn a_place_that_is_taken_is_named() {
    let bench = Bench::new().unwrap();
    for (address, told) in [
        (bench.gateway, "gateway.listen: the gateway cannot listen on"),
        (bench.api, "api.listen"),
        (bench.metrics, "api.metrics_listen"),
    ] {
        let _taken = TcpListener::bind(address).unwrap();
        let output = bench.failed_start().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        for part in [told, &address.to_string(), "in use"] {
            assert!(said(&output).contains(part), "{}\nand not: {part}", said(&output));
        }
        assert!(!bench.state().exists() && !bench.socket().exists(), "something was begun");
    }
    fs::write(bench.socket(), "not a socket").unwrap();
    let output = bench.failed_start().unwrap();
    assert!(said(&output).contains("api.socket") && said(&output).contains("no socket"), "{}", said(&output));
    assert_eq!(fs::read(bench.socket()).unwrap(), b"not a socket", "somebody's file was taken away");
}

#[test]
fn two_daemons_do_not_share_a_store() {
    let (first, second) = (Bench::new().unwrap(), Bench::new().unwrap());
    let daemon = first.start().unwrap();
    let config = fs::read_to_string(second.config()).unwrap();
    let shared = config.replace(&second.state().display().to_string(), &first.state().display().to_string());
    fs::write(second.config(), shared).unwrap();
    let output = second.failed_start().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("another skyshield holds this store"), "{}", said(&output));
    assert!(!second.socket().exists(), "its socket was left behind");

    let config =
        config.replace(&second.socket().display().to_string(), &first.socket().display().to_string());
    fs::write(second.config(), config).unwrap();
    let output = second.failed_start().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("another skyshield answers there"), "{}", said(&output));
    assert!(!second.state().exists(), "something was begun");
    first.answer(&["status"]).unwrap();
    daemon.stop().unwrap();
    assert!(!first.socket().exists(), "a stopped daemon leaves no socket that nobody answers");
}

#[test]
fn what_an_operator_did_outlives_a_crash() {
    let bench = Bench::new().unwrap();
    let daemon = bench.start().unwrap();
    bench.answer(&["ban", "203.0.113.7"]).unwrap();
    bench.answer(&["ban", "203.0.113.8"]).unwrap();
    bench.answer(&["lift", "203.0.113.8"]).unwrap();
    bench.answer(&["tokens", "add", "ops"]).unwrap();
    // No pause: what was answered is on disk.
    daemon.kill().unwrap();
    let daemon = bench.start().unwrap();
    let listed = bench.answer(&["decisions"]).unwrap();
    let sources: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| &item["source"]).collect();
    assert_eq!(sources, ["203.0.113.7"]);
    assert_eq!(bench.answer(&["tokens", "list"]).unwrap()["items"].as_array().unwrap().len(), 1);
    let next = bench.answer(&["ban", "203.0.113.9"]).unwrap();
    assert_eq!(next["id"], 3, "numbers are never used twice");
    daemon.stop().unwrap();
}

#[test]
fn a_stop_is_clean_and_soon() {
    let bench = Bench::new().unwrap();
    let daemon = bench.start().unwrap();
    let took = daemon.stop().unwrap();
    assert!(took.as_secs() < 5, "an idle daemon took {took:?} to stop");
    // What it leaves behind is no obstacle to the next.
    bench.start().unwrap().stop().unwrap();
}
