//! Configurations that are wrong: each is said with its place and its cure, and nothing is begun.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tests::certificates::Authority;

use crate::bench::{Bench, said};

/// What is wrong, and what is to be said of it after the file's name.
const WRONG: &[(&str, &str)] = &[
    ("[risk]\nrefuze = 0.8\n", ":2:1: unknown key `refuze`; did you mean `refuse`?"),
    ("[risks]\nrefuse = 0.8\n", ":1:2: unknown key `risks`; did you mean `risk`?"),
    ("[dataplane]\ninterfase = \"eth0\"\n", ":2:1: unknown key `interfase`; did you mean `interface`?"),
    ("[dataplane]\nmode = \"fast\"\n", ":2:8: unknown variant `fast`, expected one of"),
    ("[dataplane]\nmax_bans = -1\n", ":2:12: invalid value"),
    ("[dataplane]\nmax_bans = 99999999999\n", ":2:12: invalid value"),
    ("[dataplane]\nmax_bans = \"many\"\n", ":2:12: invalid type"),
    ("[dataplane]\ndry_run = 1\n", ":2:11: invalid type"),
    ("[gateway]\nlisten = \"0.0.0.0:80\"\n", ":2:10: invalid type"),
    ("[gateway]\nlisten = [\"0.0.0.0\"]\n", ":2:"),
    ("[gateway]\nlisten = [\"0.0.0.0:99999\"]\n", ":2:"),
    ("[gateway]\nlisten = []\n", ":2: gateway.listen"),
    ("[gateway]\nupstream = \"\"\n", ":2:"),
    ("[gateway]\nupstream = \"https://example.org\"\n", ":2:"),
    ("[gateway]\nupstream = \"127.0.0.1:0\"\n", ":2:"),
    ("[gateway]\ntrusted_proxies = [\"10.0.0.0/99\"]\n", ":2:"),
    ("[gateway]\nbody_over_limit = \"ignore\"\n", ":2:19: unknown variant `ignore`"),
    ("[gateway.limits]\nhead_secs = 0\n", ":2: gateway.limits.head_secs"),
    ("[gateway.limits]\nhed_secs = 5\n", ":2:1: unknown key `hed_secs`; did you mean `head_secs`?"),
    ("[gateway.headers]\nprofile = \"none\"\n", ":2:11: unknown variant `none`"),
    ("[gateway.tls]\nlisten = [\"127.0.0.1:0\"]\n", ":2: gateway.tls.listen: name a certificate"),
    ("[gateway.tls]\nmin_version = \"1.1\"\n", ":2:15: unknown variant `1.1`"),
    ("[gateway.tls]\nhandshake_secs = 0\n", ":2: gateway.tls.handshake_secs: 0 is not between"),
    ("[inspect]\nvalues = 1.5\n", ":2:10: invalid type"),
    ("[risk]\nrefuse = 1.8\n", ":2: risk.refuse: 1.8 is not between 0 and 1"),
    ("[risk]\nban = 0.5\n", ":2: risk.ban: 0.5 is below risk.refuse"),
    ("[risk]\nban_secs = 0\n", ":2: risk.ban_secs"),
    ("[never_ban]\nallow = [\"10.0.0.300\"]\n", ":2:9: `10.0.0.300` is neither an address nor a prefix"),
    ("[api]\nlisten = \"0.0.0.0:9464\"\n", ":2: api.listen: 0.0.0.0:9464 is not loopback"),
    (
        "[api.tls]\nchain = \"/a\"\nkey = \"/b\"\nclient_required = true\n",
        ":4: api.tls.client_required: nobody vouches for clients",
    ),
    ("[api]\nmetrics_listen = \"[::]:9465\"\n", ":2: api.metrics_listen"),
    ("[api]\nlisten = \"127.0.0.1:9465\"\n", ":1: api.metrics_listen: 127.0.0.1:9465 is api.listen already"),
    (
        "[gateway]\nlisten = [\"127.0.0.1:9464\"]\n",
        ":1: api.listen: 127.0.0.1:9464 is gateway.listen already",
    ),
    (
        "[gateway]\nlisten = [\"[::1]:9000\"]\nupstream = \"[::1]:9000\"\n",
        ":3: gateway.upstream: [::1]:9000 is",
    ),
    ("[dataplane]\ninterface = \"an interface\"\n", ":2: dataplane.interface: `an interface`"),
    ("[dataplane]\ninterfaces = [\"eth0\", \"a:b\"]\n", ":2: dataplane.interfaces: `a:b`"),
    ("[dataplane]\nsyn_cookies_above = 2000000000\n", ":2: dataplane.syn_cookies_above: 2000000000"),
    ("[dataplane]\nmax_prefixes = 0\n", ":2: dataplane.max_prefixes: 0 is not between 1 and"),
    ("[dataplane]\nmax_sources = 4294967295\n", ":2: dataplane.max_sources"),
    ("[dataplane]\nrate_burst = 0\n", ":2: dataplane.rate_burst: 0 is not"),
    ("[dataplane]\nsilent_after_secs = 1\n", ":2: dataplane.silent_after_secs"),
    ("[risk]\nban_secs = 9223372036854775807\n", ":2: risk.ban_secs: 9223372036854775807 is more than"),
    ("[log]\nlevel = \"lou=d\"\n", ":2: log.level: `lou=d` is no level"),
    ("[log]\nformat = \"xml\"\n", ":2:10: unknown variant `xml`"),
    ("risk = 1\n", ":1:8: invalid type"),
    ("[risk\n", ":1:6: "),
    ("[risk]\nrefuse = 0.8\nrefuse = 0.7\n", ":3:1: duplicate key"),
];

#[test]
fn each_is_said_with_its_place_and_its_cure() {
    let bench = Bench::new().unwrap();
    for (text, told) in WRONG {
        fs::write(bench.config(), text).unwrap();
        for command in [&["check"][..], &["run", "--no-kernel"]] {
            let output = bench.skyshield(command).unwrap();
            let expected = format!("{}{told}", bench.config().display());
            assert_eq!(output.status.code(), Some(2), "{text:?}: {}", said(&output));
            assert!(said(&output).contains(&expected), "{text:?}: {}\nand not: {expected}", said(&output));
        }
        assert!(!bench.state().exists() && !bench.socket().exists(), "{text:?} left something behind");
    }
}

#[test]
fn what_cannot_be_read_or_trusted_is_refused() {
    let bench = Bench::new().unwrap();
    let refused = |why: &str| {
        let output = bench.skyshield(&["check"]).unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(why), "{}\nand not: {why}", said(&output));
    };
    fs::write(bench.config(), b"\xff\xfe").unwrap();
    refused("cannot be read");
    fs::write(bench.config(), "").unwrap();
    if nix::unistd::geteuid().is_root() {
        fs::set_permissions(bench.config(), fs::Permissions::from_mode(0o666)).unwrap();
        refused("chmod go-w");
    }
    fs::remove_file(bench.config()).unwrap();
    refused("No such file");
    fs::create_dir(bench.config()).unwrap();
    refused("cannot be read");
}

#[test]
fn check_shows_what_would_be_in_force() {
    let bench = Bench::new().unwrap();
    let shown = bench.answer(&["check"]).unwrap();
    assert_eq!(shown["effective"]["risk"]["refuse"], 0.8);
    assert_eq!(shown["effective"]["gateway"]["listen"][0], bench.gateway.to_string());
    let overridden = bench.answer(&["check", "--interface", "eth7"]).unwrap();
    assert_eq!(overridden["effective"]["dataplane"]["interface"], "eth7");
    assert!(!bench.state().exists(), "to check is to change nothing");
}

#[test]
fn certificates_that_cannot_be_served_are_told_before_they_are_needed() {
    let bench = Bench::new().unwrap();
    let authority = Authority::new().unwrap();
    let dir = bench.config().parent().unwrap().to_owned();
    let good = authority.issue(&dir, "good", &["a.example"], 2090).unwrap();
    let other = authority.issue(&dir, "other", &["b.example"], 2090).unwrap();
    let expired = authority.issue(&dir, "expired", &["a.example"], 2021).unwrap();
    let told = |chain: &Path, key: &Path| {
        let text = format!(
            "[gateway]\nlisten = []\n[gateway.tls]\nlisten = [\"127.0.0.1:0\"]\n\
             [[gateway.tls.certificates]]\nchain = {chain:?}\nkey = {key:?}\n"
        );
        fs::write(bench.config(), text).unwrap();
        let output = bench.skyshield(&["check"]).unwrap();
        (output.status.code(), said(&output))
    };
    assert_eq!(told(&good.chain, &good.key).0, Some(0));
    for (chain, key, why) in [
        (&good.chain, &other.key, "other.key does not belong to the first certificate in"),
        (&expired.chain, &expired.key, "expired.pem expired at 2021-01-01T00:00:00Z"),
        (&dir.join("none.pem"), &good.key, "none.pem cannot be read: No such file"),
        (&good.key, &good.key, "good.key holds no certificate"),
        (&good.chain, &good.chain, "good.pem holds no private key"),
    ] {
        let (code, said) = told(chain, key);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("gateway.tls.certificates: ") && said.contains(why), "{said}\nand not: {why}");
    }
    let output = bench.skyshield(&["run", "--no-kernel"]).unwrap();
    assert!(!output.status.success() && said(&output).contains("holds no private key"), "{}", said(&output));
}
