//! The metrics page, before Prometheus and beside `node_exporter`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::http;
use tests::loopback::{free, until};
use tests::place::Place;

use super::peer::Running;

const EVERY_SECOND: &str = "[metrics]\ninterval_secs = 1\n";
const BUSINESS: &str = "[[business.kinds]]\nname = \"charts\"\nkind = \"count\"\n\
     [[business.kinds]]\nname = \"revenue\"\nkind = \"sum\"\ncurrencies = [\"EUR\"]\n\
     [[business.kinds]]\nname = \"users\"\nkind = \"unique\"\n";

fn get(from: SocketAddr, target: &str) -> Result<String> {
    let patience = Duration::from_secs(10);
    // Go's servers keep a connection open, and in chunks they do not say where the body ends.
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = http::ask(IpAddr::from(Ipv4Addr::LOCALHOST), from, request.as_bytes(), patience)?;
    ensure!(answer.status == 200, "{target}: {}", answer.head);
    let text = String::from_utf8(answer.body)?;
    // Go's servers answer in chunks: what is between them are lines of hexadecimal digits.
    let is_chunked = http::field(&answer.head, "transfer-encoding").is_some();
    Ok(if is_chunked { unchunked(&text) } else { text })
}

fn unchunked(text: &str) -> String {
    let (mut whole, mut rest) = (String::new(), text);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = after.get(..size).filter(|_| size > 0) else { break };
        whole.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    whole
}

pub(crate) fn by_prometheus() -> Result<()> {
    let place = Place::new("", &format!("{EVERY_SECOND}{BUSINESS}"))?;
    let _daemon = place.start()?;
    until("the host was looked at twice", || {
        Ok(get(place.metrics, "/metrics")?.contains("skyshield_host_cpu_seconds_total"))
    })?;
    let _nobody_upstream = http::ask(
        IpAddr::from(Ipv4Addr::LOCALHOST),
        place.gateway,
        &http::get("shop", "/"),
        Duration::from_secs(5),
    )?;
    let page = get(place.metrics, "/metrics")?;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn()?;
    promtool.stdin.take().context("no input")?.write_all(page.as_bytes())?;
    let said = promtool.wait_with_output()?;
    let said = [said.stdout, said.stderr].concat();
    ensure!(said.is_empty(), "promtool says:\n{}", String::from_utf8_lossy(&said));

    let address = free()?;
    let config = place.dir().join("prometheus.yml");
    let text = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: skyshield\n    static_configs:\n      - targets: ['{}']\n",
        place.metrics
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", place.dir().join("tsdb").display()));
    command.arg(format!("--web.listen-address={address}"));
    let _prometheus = Running::listening(command, address)?;
    for query in ["up", "skyshield_host_cpus", "skyshield_build_info", "process_resident_memory_bytes"] {
        until(&format!("Prometheus knows {query}"), || {
            let told = get(address, &format!("/api/v1/query?query={query}")).unwrap_or_default();
            let told: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
            Ok(told["data"]["result"][0]["value"][1].as_str().is_some_and(|value| value != "0"))
        })?;
    }
    Ok(())
}

/// A page of metrics: the type of each, and the value of each series.
#[derive(Default)]
struct Page {
    types: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

fn read(page: &str) -> Page {
    let mut read = Page::default();
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            read.types.insert(name.to_owned(), kind.to_owned());
        } else if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' '))
        {
            read.helps.insert(name.to_owned(), help.to_owned());
        } else if let Some((series, value)) = line.rsplit_once(' ')
            && let Ok(value) = value.parse()
        {
            read.series.insert(series.to_owned(), value);
        }
    }
    read
}

/// Gauges that move within a second, and by how much of themselves at the most, beside what both sides of
/// ours say.
fn slack(name: &str, value: f64) -> f64 {
    match name {
        // What runs and waits at an instant has no share of itself.
        _ if name.starts_with("node_procs_") || name.starts_with("node_disk_io_now") => 200.0,
        _ if name.starts_with("node_sockstat_") || name.starts_with("node_nf_") => 500.0,
        _ if name.starts_with("node_filefd_") => 20_000.0,
        _ if name.starts_with("node_netstat_Tcp_CurrEstab") => 500.0,
        _ if name.starts_with("node_load") => 1.0,
        // Whoever builds beside this test takes memory and disk by the gigabyte.
        _ if name.starts_with("node_memory_") => (value * 0.2).max(3e9),
        _ if name.starts_with("node_filesystem_files") => 50_000.0,
        _ if name.starts_with("node_filesystem_") => 3e9,
        _ => 0.0,
    }
}

pub(crate) fn beside_node_exporter() -> Result<()> {
    let place = Place::new("", &format!("{EVERY_SECOND}node_compat = true\n"))?;
    let _daemon = place.start()?;
    let address = free()?;
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address={address}"));
    let _exporter = Running::listening(command, address)?;
    let sample_of =
        |page: &Page| page.series.get("skyshield_host_sample_timestamp_seconds").copied().unwrap_or(0.0);
    let first = read(&get(place.metrics, "/metrics")?);
    let before = read(&get(address, "/metrics")?);
    let mut ours = Page::default();
    // The second look after this one has begun and ended behind it.
    let mut looks = std::collections::BTreeSet::from([sample_of(&first).to_bits()]);
    until("the host is looked at twice more", || {
        ours = read(&get(place.metrics, "/metrics")?);
        looks.insert(sample_of(&ours).to_bits());
        Ok(looks.len() >= 3)
    })?;
    let after = read(&get(address, "/metrics")?);

    let mine: Vec<_> = ours.series.keys().filter(|series| series.starts_with("node_")).collect();
    ensure!(mine.len() > 150, "only {} series", mine.len());
    for series in &mine {
        let name = series.split('{').next().unwrap_or_default();
        let (ours_value, kind) = (ours.series[*series], &ours.types[name]);
        let Some(&low) = before.series.get(*series) else {
            anyhow::bail!("node_exporter has no {series}");
        };
        let high = after.series.get(*series).copied().unwrap_or(low);
        ensure!(
            before.types.get(name) == Some(kind),
            "{name} is a {:?}, not a {kind}",
            before.types.get(name)
        );
        ensure!(before.helps.get(name) == ours.helps.get(name), "{name} is told of in other words");
        let slack = slack(name, low.max(high));
        let (low, high) = (low.min(high) - slack, low.max(high) + slack);
        // A counter of ticks is rounded: a hundredth is nothing.
        ensure!(
            (low - 0.011..=high + 0.011).contains(&ours_value),
            "{series}: {ours_value} is not between {low} and {high}"
        );
    }
    // Nothing of these parts is missing.
    let parts = [
        "node_cpu_",
        "node_memory_",
        "node_load",
        "node_disk_io",
        "node_disk_re",
        "node_disk_wr",
        "node_filesystem_",
        "node_network_receive",
        "node_network_transmit",
        "node_filefd_",
        "node_pressure_",
        "node_sockstat_",
        "node_softnet_",
        "node_netstat_",
        "node_vmstat_",
        "node_nf_conntrack_entries",
        "node_boot_",
        "node_forks_",
        "node_uname_",
    ];
    let lost: Vec<_> = before
        .series
        .keys()
        .filter(|series| {
            parts.iter().any(|part| series.starts_with(part)) && !ours.series.contains_key(*series)
        })
        .collect();
    ensure!(lost.is_empty(), "node_exporter has beside ours: {lost:?}");
    Ok(())
}
