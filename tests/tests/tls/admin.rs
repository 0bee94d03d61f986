//! The admin API over TLS: who is spoken to by which certificate, and a configuration put in another's place.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::certificates::Authority;
use tests::daemon::{self, Daemon};
use tests::loopback::free;

use super::guard::well;

/// A daemon whose admin API speaks TLS to whom its authority vouches for.
struct Bench {
    daemon: Daemon,
    api: SocketAddr,
    dir: TempDir,
    authority: Authority,
}

impl Bench {
    fn start(tls: &str) -> anyhow::Result<Self> {
        let (dir, authority, api) = (tempfile::tempdir()?, Authority::new()?, free()?);
        fs::write(dir.path().join("root.pem"), authority.root_pem())?;
        authority.issue(dir.path(), "server", &["localhost"], 2090)?;
        for (name, unit) in [("ann", "ops"), ("vic", "watch"), ("ida", "sales")] {
            authority.issue_to(dir.path(), name, unit)?;
        }
        Authority::new()?.issue_to(dir.path(), "mallory", "ops")?;
        let place = dir.path().display();
        let config = dir.path().join("skyshield.toml");
        let text = format!(
            "[store]\ndir = \"{place}/state\"\n[api]\nlisten = \"{api}\"\nmetrics_listen = \"{}\"\nsocket = \"{place}/admin.sock\"\n\
             [api.tls]\nchain = \"{place}/server.pem\"\nkey = \"{place}/server.key\"\nclient_ca = \"{place}/root.pem\"\n{TLS}\n\
             roles = {{ ops = \"admin\", watch = \"viewer\" }}\n[gateway]\nlisten = [\"{}\"]\nupstream = \"127.0.0.1:1\"\n",
            free()?,
            free()?,
        );
        fs::write(dir.path().join("revoked.pem"), authority.revoke(&["vic"])?)?;
        let tls = tls.replace("PLACE", &place.to_string());
        fs::write(&config, text.replace(TLS, &tls))?;
        let daemon = Daemon::start(Command::new(daemon::program()?), &["--no-kernel"], &config, dir.path())?;
        Ok(Self { daemon, api, dir, authority })
    }

    /// What `curl` gets, by the certificate of `who`.
    fn curl(&self, who: Option<&str>, path: &str, words: &[&str]) -> anyhow::Result<Output> {
        let file = |name: String| self.dir.path().join(name);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]).arg(file("root.pem".into()));
        if let Some(who) = who {
            curl.arg("--cert").arg(file(format!("{who}.pem"))).arg("--key").arg(file(format!("{who}.key")));
        }
        curl.args(["--write-out", "|%{http_code}", "--resolve"]);
        curl.arg(format!("localhost:{}:{}", self.api.port(), self.api.ip())).args(words);
        Ok(curl.arg(format!("https://localhost:{}{path}", self.api.port())).output()?)
    }

    /// The status of what it gets.
    fn status(&self, who: Option<&str>, path: &str, words: &[&str]) -> anyhow::Result<String> {
        let said = well(&self.curl(who, path, words)?)?;
        Ok(said.rsplit('|').next().unwrap_or_default().to_owned())
    }
}

/// Where a test's own keys stand.
const TLS: &str = "# of the test's own";
const LIST: &str = "/api/v1/decisions";
const BAN: [&str; 4] =
    ["--json", "{\"source\":\"203.0.113.7\",\"ttl\":\"1h\"}", "--header", "Idempotency-Key: once"];

pub(crate) fn by_certificate() -> anyhow::Result<()> {
    let strict = Bench::start("client_required = true")?;
    let made = strict.daemon.ask("POST", "/api/v1/tokens", "{\"name\":\"by-token\"}")?;
    let made: Value = serde_json::from_str(&made)?;
    let bearer = format!("Authorization: Bearer {}", made["token"].as_str().context("no token")?);
    let with_token = ["--header", bearer.as_str()];

    ensure!(strict.status(Some("ann"), LIST, &[])? == "200", "an operator is turned away");
    ensure!(strict.status(Some("ann"), LIST, &BAN)? == "201", "an admin may not ban");
    ensure!(strict.status(Some("vic"), LIST, &[])? == "200", "a viewer may not look");
    ensure!(strict.status(Some("vic"), LIST, &BAN)? == "403", "a viewer may ban");
    ensure!(strict.status(Some("ida"), LIST, &[])? == "401", "a unit without a role comes in");
    ensure!(strict.status(Some("ida"), LIST, &with_token)? == "200", "and not by a token either");
    for (who, words) in [(None, &[][..]), (None, &with_token[..]), (Some("mallory"), &[])] {
        let refused = strict.curl(who, LIST, words)?;
        let said = String::from_utf8_lossy(&refused.stdout).into_owned();
        ensure!(!refused.status.success() && said == "|000", "{who:?} is spoken to: {said}");
    }
    let audited = strict.daemon.json("/api/v1/audit")?;
    let ban = audited["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|line| line["action"] == "POST /api/v1/decisions");
    ensure!(ban.is_some_and(|line| line["actor"] == "ann" && line["role"] == "admin"), "{audited}");
    let plain = Command::new("curl")
        .args(["--silent", "--max-time", "10", &format!("http://{}{LIST}", strict.api)])
        .output()?;
    ensure!(!plain.status.success() && plain.stdout.is_empty(), "it speaks without TLS");
    strict.daemon.stop()?;

    let lenient = Bench::start("")?;
    ensure!(lenient.status(None, LIST, &[])? == "401", "nobody in particular comes in");
    ensure!(lenient.status(Some("ann"), LIST, &[])? == "200", "an operator is turned away");
    let refused = lenient.curl(Some("mallory"), LIST, &[])?;
    ensure!(!refused.status.success(), "a foreign authority's certificate is taken");
    lenient.daemon.stop()?;
    Ok(())
}

pub(crate) fn takes_nothing_that_was_revoked() -> anyhow::Result<()> {
    let bench = Bench::start("client_required = true\nclient_crl = \"PLACE/revoked.pem\"")?;
    ensure!(bench.status(Some("ann"), LIST, &[])? == "200", "an operator is turned away");
    let refused = bench.curl(Some("vic"), LIST, &[])?;
    ensure!(!refused.status.success(), "a certificate that was revoked is taken");
    // A new list is taken up while the daemon runs: it looks every 30 seconds.
    fs::write(bench.dir.path().join("revoked.pem"), bench.authority.revoke(&["ann", "ida"])?)?;
    let began = now();
    while bench.curl(Some("ann"), LIST, &[])?.status.success() {
        ensure!(began.elapsed() < Duration::from_mins(1), "the new list is not taken up");
        thread::sleep(Duration::from_secs(1));
    }
    ensure!(bench.status(Some("vic"), LIST, &[])? == "200", "a certificate that is good again is not taken");
    // One that cannot be read changes nothing.
    fs::write(bench.dir.path().join("revoked.pem"), "nothing")?;
    thread::sleep(Duration::from_secs(35));
    ensure!(!bench.curl(Some("ann"), LIST, &[])?.status.success(), "a broken list takes nothing back");
    ensure!(bench.status(Some("vic"), LIST, &[])? == "200", "a broken list turns an operator away");
    bench.daemon.stop()?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a test has its own clock")]
fn now() -> Instant {
    Instant::now()
}

pub(crate) fn commands_from_another_host() -> anyhow::Result<()> {
    let bench = Bench::start("")?;
    let made = bench.daemon.ask("POST", "/api/v1/tokens", "{\"name\":\"far\",\"role\":\"operator\"}")?;
    let made: Value = serde_json::from_str(&made)?;
    let list = bench.dir.path().join("list.txt");
    fs::write(&list, "203.0.113.77\n")?;
    let list = list.display().to_string();
    let far = |words: &[&str]| -> anyhow::Result<String> {
        let mut command = Command::new(daemon::program()?);
        // Its socket is none of the daemon's.
        command.args(words).current_dir(bench.dir.path());
        command.env("SKYSHIELD_URL", format!("https://localhost:{}", bench.api.port()));
        command.env("SKYSHIELD_TOKEN", made["token"].as_str().context("no token")?);
        well(&command.env("SKYSHIELD_CA", bench.dir.path().join("root.pem")).output()?)
    };
    far(&["decisions", "import", &list, "--ttl", "1h"])?;
    for words in [&["decisions"][..], &["decisions", "export"], &["export", "decisions"]] {
        let said = far(words)?;
        ensure!(said.contains("203.0.113.77"), "{words:?}: {said}");
    }
    bench.daemon.stop()?;
    Ok(())
}

/// The value of a field of the head that `curl --include` printed.
fn field<'a>(said: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let mut lines = said.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim()).with_context(|| format!("no {name} in {said}"))
}

pub(crate) fn replaces_what_was_seen() -> anyhow::Result<()> {
    let bench = Bench::start("")?;
    let (config, path) = (bench.dir.path().join("skyshield.toml"), "/api/v1/config");
    let before = fs::read_to_string(&config)?;
    let draft = bench.dir.path().join("draft.toml");
    let send = |text: &str, method: &str, path: &str, tag: &str| -> anyhow::Result<(String, String)> {
        fs::write(&draft, text)?;
        let (file, tag) = (format!("@{}", draft.display()), format!("If-Match: {tag}"));
        let words = [
            "--include",
            "--request",
            method,
            "--header",
            &tag,
            "--header",
            "Content-Type: application/toml",
            "--data-binary",
            &file,
        ];
        let said = well(&bench.curl(Some("ann"), path, &words)?)?;
        let (said, status) = said.rsplit_once('|').context("no status")?;
        Ok((status.to_owned(), said.to_owned()))
    };
    let shown = well(&bench.curl(Some("ann"), path, &["--include"])?)?;
    let first = field(&shown, "etag")?.to_owned();
    ensure!(shown.contains("\"refuse\":0.8"), "{shown}");

    let other = format!("{before}[risk]\nrefuse = 0.7\n[log]\nformat = \"json\"\n");
    let (status, said) = send(&other, "POST", "/api/v1/config/check", "*")?;
    ensure!(
        status == "200"
            && said.contains("{\"applied\":[\"risk.refuse\"],\"needs_restart\":[\"log.format\"]}"),
        "{said}"
    );
    let (status, said) = send("[risk]\nrefuze = 1\n", "POST", "/api/v1/config/check", "*")?;
    ensure!(status == "422" && said.contains("did you mean `refuse`?"), "{said}");
    let (status, said) = send("[risk]\nrefuze = 1\n", "PUT", path, &first)?;
    ensure!(status == "422" && said.contains("did you mean `refuse`?"), "{said}");
    let (status, said) = send(&other, "PUT", path, "\"of-old\"")?;
    ensure!(status == "412", "{said}");

    let (status, said) = send(&other, "PUT", path, &first)?;
    ensure!(status == "200", "{said}");
    let second = field(&said, "etag")?.to_owned();
    ensure!(second != first && bench.daemon.json(path)?["risk"]["refuse"] == json!(0.7), "{said}");
    let (status, said) = send(&other, "PUT", path, &first)?;
    ensure!(status == "412", "somebody else's change is lost: {said}");
    ensure!(fs::read_to_string(&config)? == before, "it is in the file before it is confirmed");
    bench.daemon.ask("POST", "/api/v1/apply/confirm", "")?;
    ensure!(fs::read_to_string(&config)? == other, "it is not in the file");
    ensure!(!Path::new(&config).with_extension("toml.draft").exists(), "a draft is left behind");

    // One that nobody confirms is rolled back, and what was in force is under a revision of its own again.
    let third = well(&bench.curl(Some("ann"), path, &["--include"])?)?;
    ensure!(field(&third, "etag")? == second, "the revision has changed with nothing else: {third}");
    let (status, said) = send(&before, "PUT", &format!("{path}?confirm=1s"), &second)?;
    ensure!(status == "200", "{said}");
    bench.daemon.tells("is rolled back")?;
    ensure!(bench.daemon.json(path)?["risk"]["refuse"] == json!(0.7), "it was not rolled back");
    bench.daemon.stop()?;
    Ok(())
}
