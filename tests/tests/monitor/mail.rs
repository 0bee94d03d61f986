//! Alerts by mail, before Debian's aiosmtpd.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tests::certificates::Authority;
use tests::loopback::{free, until};
use tests::place::Place;

use super::peer::Running;

/// A mail server: whatever arrives is written to a file of its own, with how it came.
const SERVER: &str = r#"
import asyncio, os, ssl, sys
from aiosmtpd.controller import Controller
host, port, folder, chain, key = sys.argv[1:6]
class Handler:
    count = 0
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 known"
    async def handle_DATA(self, server, session, envelope):
        Handler.count += 1
        name = os.path.join(folder, "%04d" % Handler.count)
        with open(name + ".part", "wb") as file:
            file.write(("X-Tls: %s\r\nX-To: %s\r\n" % (session.ssl is not None, ",".join(envelope.rcpt_tos))).encode())
            file.write(envelope.content)
        os.rename(name + ".part", name + ".eml")
        return "250 taken"
context = None
if chain != "-":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
controller = Controller(Handler(), hostname=host, port=int(port), tls_context=context, require_starttls=context is not None)
controller.start()
asyncio.new_event_loop().run_forever()
"#;

/// Why there is no mail server to test with; `None` if there is one.
pub(crate) fn missing() -> Option<String> {
    let mut probe = Command::new("/usr/bin/python3");
    let probe = probe.args(["-c", "import aiosmtpd"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_there = probe.is_ok_and(|status| status.success());
    (!is_there).then(|| "needs aiosmtpd (apt-get install python3-aiosmtpd)".to_owned())
}

fn server(address: SocketAddr, folder: &std::path::Path, chain: &str, key: &str) -> Result<Running> {
    // Debian's own: what else is in the path may not have its packages.
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", SERVER, &address.ip().to_string(), &address.port().to_string()]);
    command.arg(folder).args([chain, key]);
    Running::listening(command, address)
}

fn mails(folder: &std::path::Path) -> Result<Vec<String>> {
    let mut names: Vec<_> = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    names.retain(|name| name.extension().is_some_and(|extension| extension == "eml"));
    names.sort();
    names.iter().map(|name| Ok(String::from_utf8_lossy(&std::fs::read(name)?).into_owned())).collect()
}

/// Fires at once: nothing is ever well below this.
const RULE: &str = "[[alerts.rules]]\nname = \"always\"\nmetric = \"skyshield_host_never\"\nabove = 1\n\
     [[alerts.rules]]\nname = \"memory_there\"\nmetric = \"process_resident_memory_bytes\"\nabove = 1\nclear_secs = 0\n\
     severity = \"critical\"\nsummary = \"there is <b>memory</b>\"\n";

fn keys(address: SocketAddr, tls: &str, ca: &str) -> String {
    format!(
        "[metrics]\ninterval_secs = 1\n[alerts]\ngroup_wait_secs = 0\ngroup_interval_secs = 1\n{RULE}\
         [alerts.email]\nserver = \"localhost\"\nport = {}\nfrom = \"SkyShield <shield@web1.example>\"\n\
         to = [\"ops@example.org\", \"boss@example.org\"]\n{tls}{ca}",
        address.port()
    )
}

pub(crate) fn alerts_and_their_end() -> Result<()> {
    let (address, folder) = (free()?, tempfile::tempdir()?);
    let authority = Authority::new()?;
    let files = authority.issue(folder.path(), "localhost", &["localhost"], 2040)?;
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.root_pem())?;
    let inbox = folder.path().join("inbox");
    std::fs::create_dir(&inbox)?;
    let text = |path: &std::path::Path| path.display().to_string();
    let _server = server(address, &inbox, &text(&files.chain), &text(&files.key))?;
    let place = Place::new("", &keys(address, "", &format!("ca_file = \"{}\"\n", ca.display())))?;
    let daemon = place.start()?;
    until("the alert is mailed", || Ok(!mails(&inbox)?.is_empty()))?;
    let mail = mails(&inbox)?.swap_remove(0);
    for part in [
        "X-Tls: True",
        "X-To: ops@example.org,boss@example.org",
        "[critical] memory_there",
        "Content-Type: text/plain",
        "Content-Type: text/html",
        "&lt;b&gt;memory",
    ] {
        ensure!(mail.contains(part), "no `{part}` in\n{mail}");
    }
    // It is kept, served, and not told again by the next daemon.
    let firing = daemon.json("/api/v1/monitoring/alerts/?state=firing")?;
    let of_rule = |list: &serde_json::Value| {
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.into_iter().find(|item| item["rule"] == "memory_there")
    };
    ensure!(of_rule(&firing).is_some_and(|alert| alert["state"] == "firing"), "{firing:#}");
    let (is_well, said) = place.command(&["alerts", "test"])?;
    ensure!(is_well && said.contains("email"), "{said}");
    until("the test is mailed", || Ok(mails(&inbox)?.iter().any(|mail| mail.contains("[test]"))))?;
    daemon.kill()?;
    let told_before = mails(&inbox)?.len();
    let config = std::fs::read_to_string(place.dir().join("skyshield.toml"))?;
    let config = config.replace("above = 1\nclear_secs", "above = 1e18\nclear_secs");
    std::fs::write(place.dir().join("skyshield.toml"), config)?;
    let daemon = place.start()?;
    until("its end is mailed", || {
        Ok(mails(&inbox)?.iter().any(|mail| mail.contains("[resolved] memory_there")))
    })?;
    let news: Vec<_> = mails(&inbox)?.split_off(told_before);
    ensure!(!news.iter().any(|mail| mail.contains("[critical] memory_there")), "told twice");
    let all = daemon.json("/api/v1/monitoring/alerts/")?;
    let alert = of_rule(&all).context("it is not in the history")?;
    ensure!(alert["state"] == "resolved" && alert["notified_at"].is_string(), "{alert:#}");
    Ok(())
}

pub(crate) fn not_in_the_clear() -> Result<()> {
    let (address, folder) = (free()?, tempfile::tempdir()?);
    let _server = server(address, folder.path(), "-", "-")?;
    let place = Place::new("", &keys(address, "", ""))?;
    let daemon = place.start()?;
    let (is_well, said) = place.command(&["alerts", "test"])?;
    ensure!(!is_well && said.contains("no"), "{said}");
    ensure!(mails(folder.path())?.is_empty(), "mail went out in the clear");
    drop(daemon);
    let place = Place::new("", &keys(address, "tls = \"none\"\n", ""))?;
    let _daemon = place.start()?;
    let (is_well, said) = place.command(&["alerts", "test"])?;
    ensure!(is_well, "{said}");
    ensure!(
        mails(folder.path())?.iter().any(|mail| mail.contains("X-Tls: False")),
        "it was said, and no mail came"
    );
    Ok(())
}

pub(crate) fn one_unknown_receiver() -> Result<()> {
    let (address, folder) = (free()?, tempfile::tempdir()?);
    let _server = server(address, folder.path(), "-", "-")?;
    let text = keys(address, "tls = \"none\"\n", "").replace("boss@", "nobody@");
    let place = Place::new("", &text)?;
    let _daemon = place.start()?;
    let (is_well, said) = place.command(&["alerts", "test"])?;
    ensure!(is_well, "{said}");
    let mails = mails(folder.path())?;
    let test = mails.iter().find(|mail| mail.contains("[test]")).context("nobody got it")?;
    ensure!(
        test.contains("X-To: ops@example.org\r") && test.contains("Auto-Submitted: auto-generated"),
        "{test}"
    );
    Ok(())
}

/// Alerts of a storm, and the rules that they are of.
const STORM: usize = 10_000;
const MAX_MAILS: usize = 4;

pub(crate) fn storm() -> Result<()> {
    let (address, folder) = (free()?, tempfile::tempdir()?);
    let _server = server(address, folder.path(), "-", "-")?;
    // The metric with the most series: each of them is an alert of each rule.
    let place = Place::new("", "[metrics]\ninterval_secs = 1\n")?;
    let daemon = place.start()?;
    let page = daemon.get("/api/v1/monitoring/prometheus/")?;
    let mut series = std::collections::BTreeMap::<&str, usize>::new();
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.contains("le=\"")) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        *series.entry(name).or_default() += usize::from(name.ends_with("_total"));
    }
    let (name, each) = series.into_iter().max_by_key(|(_, each)| *each).context("no series")?;
    let rules = STORM.div_ceil(each);
    ensure!(rules <= 1000, "{name} has only {each} series");
    daemon.kill()?;
    let mut tables = format!(
        "[alerts]\ngroup_wait_secs = 0\ngroup_interval_secs = 2\nmax_per_hour = {MAX_MAILS}\n\
         [alerts.email]\nserver = \"localhost\"\nport = {}\nfrom = \"shield@web1.example\"\n\
         to = [\"ops@example.org\"]\ntls = \"none\"\n",
        address.port()
    );
    for rule in 0..rules {
        let text = format!("[[alerts.rules]]\nname = \"storm{rule:03}\"\nmetric = \"{name}\"\nabove = -1\n");
        tables.push_str(&text);
    }
    place.rewrite(|text| format!("{text}{tables}"))?;
    let daemon = place.start()?;
    until("the digest is mailed", || Ok(mails(folder.path())?.iter().any(|mail| mail.contains("[digest]"))))?;
    let firing = daemon.get("/api/v1/monitoring/prometheus/")?;
    let firing =
        firing.lines().find_map(|line| line.strip_prefix("skyshield_alerts_firing{severity=\"warning\"} "));
    ensure!(firing.and_then(|count| count.parse::<usize>().ok()) >= Some(STORM), "{firing:?} fire");
    // What would come beyond the limit would come now.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let mails = mails(folder.path())?;
    ensure!(mails.len() <= MAX_MAILS, "{} mails", mails.len());
    // Lines of mail are folded, and signs of equality spelled out: names are looked for without.
    let all = mails.concat().replace("=\r\n", "");
    let lost: Vec<_> = (0..rules)
        .map(|rule| format!("storm{rule:03}"))
        .filter(|rule| !all.contains(rule.as_str()))
        .collect();
    ensure!(lost.is_empty(), "{} of {rules} rules are in no mail: {:?}", lost.len(), lost.first());
    Ok(())
}
