//! A million incidents: written, looked at page by page and by every filter, and exported.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use skyshield::engine::incident::IncidentId;
use skyshield::store::{self, IncidentRow, Record};

use super::{holds, milliseconds, now};
use crate::daemon::Daemon;

/// How often each look is taken.
const LOOKS: usize = 7;
/// The first incident's second; the others follow one a second.
const FIRST: u64 = 1_760_000_000;

/// How an exported incident begins.
const BEGIN: &[u8] = b"{\"id\":\"";

/// Rare things, as they are in a flood of the same: one address in ten thousand incidents, one act in a hundred thousand.
fn row(number: u32) -> IncidentRow {
    let at = UNIX_EPOCH + Duration::from_secs(FIRST + u64::from(number));
    let scattered = number.wrapping_mul(2_654_435_761);
    let address = if number.is_multiple_of(10_000) {
        "192.0.2.77".to_owned()
    } else {
        format!("10.{}.{}.{}", scattered >> 24, (scattered >> 16) & 255, (scattered >> 8) & 255)
    };
    let rules = ["sqli.union-select", "xss.script", "traversal.dots", "command.shell"];
    let rule = if number.is_multiple_of(50_000) {
        "own.rare"
    } else {
        rules[(scattered >> 7) as usize % rules.len()]
    };
    let findings = json!([{
        "rule": rule, "class": "sqli", "place": { "query": "q" }, "confidence": 0.95,
        "matched": "1' UNION SELECT username, password FROM users--",
    }]);
    let assessment = json!({
        "terms": [{
            "kind": "finding", "rule": rule, "family": "sqli", "place": { "query": "q" }, "matched": "1' UNION SELECT",
            "confidence": 0.95, "weight": 1.0, "adds_milli": 950,
        }],
        "thresholds": { "shape": 0.5, "refuse": 0.8, "ban": 0.9 }, "demanded_by": [], "unread": null,
    });
    IncidentRow {
        id: IncidentId::new(at, u128::from(scattered)).to_string(),
        at_ms: (FIRST.cast_signed() + i64::from(number)) * 1000,
        address,
        by_proxy: false,
        door: if number.is_multiple_of(3) { "forward_auth" } else { "gateway" }.to_owned(),
        score: if number.is_multiple_of(100_000) { 0.999 } else { 0.95 },
        method: "GET".to_owned(),
        host: format!("shop{}.example", scattered % 20),
        target: format!("/search?q=1%27%20UNION%20SELECT%20username,password%20FROM%20users--&n={number}"),
        findings: findings.to_string(),
        assessment: assessment.to_string(),
        act: if number.is_multiple_of(100_000) { "observe" } else { "ban" }.to_owned(),
        route: "default".to_owned(),
    }
}

pub(super) fn seed(dir: &Path, incidents: u32) -> anyhow::Result<()> {
    let config = store::Config { dir: dir.to_owned(), ..store::Config::default() };
    let keep = store::Keep { rows: 100_000_000, mebibytes: 1 << 20, days: 36_500 };
    let config = store::Config { keep: store::Kinds { incidents: keep, ..config.keep }, ..config };
    let opened = store::open(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for number in 0..incidents {
        if number % 4000 == 3999 {
            runtime.block_on(opened.store.commit(Record::Incident(Box::new(row(number)))))?;
        } else {
            ensure!(opened.store.append(Record::Incident(Box::new(row(number)))), "the queue is full");
        }
    }
    opened.store.close();
    opened.writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))
}

/// How long each look takes, in milliseconds: the median and the worst.
pub(super) fn pages(daemon: &Daemon, incidents: u32, say: &dyn Fn(&str)) -> anyhow::Result<Value> {
    let middle =
        IncidentId::new(UNIX_EPOCH + Duration::from_secs(FIRST + u64::from(incidents / 2)), 0).to_string();
    let last = IncidentId::new(UNIX_EPOCH + Duration::from_secs(FIRST + 101), 0).to_string();
    let moment = |number: u32| jiff_text(FIRST + u64::from(number));
    let looks = [
        ("page: newest", String::new()),
        ("page: middle", format!("cursor={middle}")),
        ("page: oldest", format!("cursor={last}")),
        ("address: one in 10,000", "address=192.0.2.77".to_owned()),
        ("address: none", "address=192.0.2.78".to_owned()),
        ("rule: a quarter", "rule=xss.script".to_owned()),
        ("rule: one in 50,000", "rule=own.rare".to_owned()),
        ("host: one in 20", "host=shop3.example".to_owned()),
        ("act: nearly all", "act=ban".to_owned()),
        ("act: one in 100,000", "act=observe".to_owned()),
        ("act: none", "act=refuse".to_owned()),
        ("door: a third", "door=forward_auth".to_owned()),
        ("door: none", "door=tap".to_owned()),
        ("route: none", "route=wiki".to_owned()),
        ("min_score: one in 100,000", "min_score=0.99".to_owned()),
        (
            "since, until: in the middle",
            format!("since={}&until={}", moment(incidents / 2), moment(incidents / 2 + 500)),
        ),
        ("host and rule and act: rare", "host=shop3.example&rule=xss.script&act=observe".to_owned()),
        ("rule and min_score: rare", "rule=xss.script&min_score=0.99".to_owned()),
    ];
    let mut figures = serde_json::Map::new();
    for (name, filter) in looks {
        let (mut took, mut items, mut more) = (Vec::new(), 0, false);
        for _ in 0..LOOKS {
            let began = now();
            let page = daemon.json(&format!("/api/v1/incidents?limit=100&{filter}"))?;
            took.push(began.elapsed());
            items = page["items"].as_array().context("no items")?.len();
            more = page["next_cursor"].is_string();
        }
        took.sort_unstable();
        let (median, worst) = (milliseconds(took[LOOKS / 2]), milliseconds(took[LOOKS - 1]));
        say(&format!(
            "{name:<34} {median:>8.2} ms, worst {worst:>8.2} ms, {items} items{}",
            if more { ", more" } else { "" }
        ));
        figures.insert(
            name.to_owned(),
            json!({ "median_ms": median, "worst_ms": worst, "items": items, "more": more }),
        );
    }
    Ok(Value::Object(figures))
}

fn jiff_text(secs: u64) -> String {
    // Days and the rest, by the civil calendar that every day since 1970 has 86,400 seconds in.
    let days = secs / 86_400;
    let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted - era * 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// How long a full export takes, and what the daemon holds meanwhile.
pub(super) fn export(
    daemon: &Daemon,
    dir: &Path,
    incidents: u32,
    say: &dyn Fn(&str),
) -> anyhow::Result<Value> {
    let before = holds(daemon.pid(), "VmRSS")?;
    let mut stream = UnixStream::connect(dir.join("admin.sock"))?;
    let began = now();
    stream.write_all(
        b"GET /api/v1/incidents?format=ndjson HTTP/1.1\r\nHost: skyshield\r\nConnection: close\r\n\r\n",
    )?;
    let (mut piece, mut bytes, mut lines, mut peak) = (vec![0; 1 << 16], 0_u64, 0_u64, before);
    // What may be the first half of a beginning stands before the piece that comes next.
    let mut kept = 0;
    let mut looked = now();
    loop {
        let read = stream.read(&mut piece[kept..])?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        // Every item is a line of its own, and begins like this.
        let held = kept + read;
        lines += piece[..held].windows(BEGIN.len()).filter(|window| *window == BEGIN).count() as u64;
        kept = held.min(BEGIN.len() - 1);
        piece.copy_within(held - kept..held, 0);
        if looked.elapsed() > Duration::from_millis(50) {
            peak = peak.max(holds(daemon.pid(), "VmRSS")?);
            looked = now();
        }
    }
    let took = began.elapsed();
    ensure!(lines == u64::from(incidents), "{lines} of {incidents} incidents came");
    let grown = peak.saturating_sub(before);
    say(&format!(
        "export: {lines} of {incidents} in {:.1} s, {} MB; the daemon held {} MiB, {} MiB more than before",
        took.as_secs_f64(),
        bytes / 1_000_000,
        peak / 1024,
        grown / 1024
    ));
    Ok(json!({
        "seconds": took.as_secs_f64(), "bytes": bytes, "lines": lines,
        "rss_before_kib": before, "rss_peak_kib": peak, "rss_grown_kib": grown,
    }))
}
