//! `cargo xtask bench inspect`: microseconds of CPU per request, ours and a peer's, in one run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;
use crate::{process, setup};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// End with one JSON object on stdout's last line
    #[arg(long)]
    json: bool,
    /// How often each request is inspected
    #[arg(long, default_value_t = 2000)]
    rounds: u32,
    /// How often the peer inspects it: it takes a hundred times as long
    #[arg(long, default_value_t = 50)]
    peer_rounds: u32,
    /// Recorded requests to measure as well, a JSON object with `raw` (base64) a line
    #[arg(long)]
    recorded: Option<PathBuf>,
}

/// What the names of recorded requests begin with.
const RECORDED: &str = "recorded-";

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    setup::for_building(workspace)?;
    let mut cargo = process::cargo(workspace);
    cargo.args(["build", "--locked", "--release", "--package", "tests", "--bin", "bench-inspect"]);
    process::run(&mut cargo)?;
    let directory = workspace.root.join("target/bench-inspect");
    std::fs::create_dir_all(&directory)?;
    let ours = Command::new(workspace.built(true, "bench-inspect"))
        .arg(&directory)
        .arg(arguments.rounds.to_string())
        .args(&arguments.recorded)
        .output()
        .context("bench-inspect cannot be run")?;
    ensure!(ours.status.success(), "bench-inspect failed: {}", String::from_utf8_lossy(&ours.stderr));
    let ours = String::from_utf8(ours.stdout)?;
    let shapes: Vec<_> = ours.lines().filter_map(Shape::read).collect();
    let peer = peer(workspace, &directory, &shapes, arguments.peer_rounds);
    if let Err(why) = &peer {
        eprintln!("the peer was not measured: {why:#}");
    }
    let peer = peer.unwrap_or_default();
    let mut rows = Vec::new();
    for row in told(&shapes, &peer) {
        let Row { name, ours: [mean, p99], peer } = row;
        let [peer_mean, peer_p99] = peer.map_or(["null".into(), "null".into()], |us| us.map(short));
        let (mean, p99) = (short(mean), short(p99));
        println!("{name:<20} {mean:>9} us (p99 {p99:>9})   peer {peer_mean:>9} us (p99 {peer_p99:>9})");
        rows.push(format!(
            "\"{name}\":{{\"mean_us\":{mean},\"p99_us\":{p99},\"peer_mean_us\":{peer_mean},\"peer_p99_us\":{peer_p99}}}"
        ));
    }
    if arguments.recorded.is_none() {
        rows.push("\"recorded_browser\":null".to_owned());
    }
    let worst = Worst::of(&ours);
    for (family, slow) in &worst.families {
        println!("slowest of {family:<20} {:>7.3} ms  {}", slow.ms, slow.what);
    }
    println!("a step takes {:.2} ns at most", worst.ns_per_step);
    if arguments.json {
        println!(
            "{{\"bench\":\"inspect\",\"peer\":\"libmodsecurity + CRS\",\"shapes\":{{{}}},{}}}",
            rows.join(","),
            worst.json()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Of requests made to be slow, the slowest of each family.
#[derive(Default)]
struct Worst {
    families: BTreeMap<String, Slow>,
    ns_per_step: f64,
}

struct Slow {
    what: String,
    ms: f64,
}

impl Worst {
    fn of(lines: &str) -> Self {
        let mut worst = Self::default();
        for line in lines.lines() {
            let number = |key| field(line, key)?.parse::<f64>().ok();
            let Some((family, ms)) = field(line, "family").zip(number("ms")) else { continue };
            worst.ns_per_step = worst.ns_per_step.max(number("ns_per_step").unwrap_or(0.0));
            let known = worst.families.get(&family).is_some_and(|known| known.ms >= ms);
            if !known {
                worst.families.insert(family, Slow { what: field(line, "what").unwrap_or_default(), ms });
            }
        }
        worst
    }

    fn json(&self) -> String {
        let rows: Vec<_> =
            self.families.iter().map(|(family, slow)| format!("\"{family}\":{:.3}", slow.ms)).collect();
        format!("\"worst_ms\":{{{}}},\"worst_ns_per_step\":{:.3}", rows.join(","), self.ns_per_step)
    }
}

/// What follows `key` in a line of JSON, up to the next comma or brace.
fn field(line: &str, key: &str) -> Option<String> {
    let rest = line.split_once(&format!("\"{key}\":"))?.1;
    Some(rest.split([',', '}']).next()?.trim_matches('"').to_owned())
}

/// A shape's mean and 99th percentile, in microseconds.
struct Shape {
    name: String,
    us: [f64; 2],
}

impl Shape {
    fn read(line: &str) -> Option<Self> {
        let number = |key| field(line, key)?.parse().ok();
        Some(Self { name: field(line, "shape")?, us: [number("mean_us")?, number("p99_us")?] })
    }
}

/// A shape beside the peer's figures for it.
struct Row {
    name: String,
    ours: [f64; 2],
    peer: Option<[f64; 2]>,
}

/// A row for each shape; of all that were recorded one: the mean of their means, and the worst of them.
fn told(shapes: &[Shape], peer: &[[f64; 2]]) -> Vec<Row> {
    let row = |(at, shape): (usize, &Shape)| Row {
        name: shape.name.clone(),
        ours: shape.us,
        peer: peer.get(at).copied(),
    };
    let (recorded, mut rows): (Vec<_>, Vec<_>) =
        shapes.iter().enumerate().map(row).partition(|row| row.name.starts_with(RECORDED));
    let ours = together(recorded.iter().map(|row| Some(row.ours)));
    let peer = together(recorded.iter().map(|row| row.peer));
    rows.extend(ours.map(|ours| Row { name: "recorded_browser".to_owned(), ours, peer }));
    rows
}

fn together(all: impl Iterator<Item = Option<[f64; 2]>>) -> Option<[f64; 2]> {
    let all = all.collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())?;
    let mean = all.iter().map(|[mean, _]| mean).sum::<f64>() / f64::from(u32::try_from(all.len()).ok()?);
    Some([mean, all.iter().map(|[_, p99]| *p99).fold(0.0, f64::max)])
}

fn short(us: f64) -> String {
    format!("{us:.2}")
}

/// The peer's mean and 99th percentile for each shape.
fn peer(workspace: &Workspace, directory: &Path, shapes: &[Shape], rounds: u32) -> Result<Vec<[f64; 2]>> {
    let program = directory.join("modsecurity");
    ensure!(
        Path::new("/usr/share/modsecurity-crs/rules").exists(),
        "`apt-get install libmodsecurity-dev modsecurity-crs` brings it"
    );
    let compiled = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(&program)
        .arg(workspace.root.join("tests/bench/modsecurity.c"))
        .arg("-lmodsecurity")
        .output()
        .context("cc cannot be run")?;
    ensure!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let files = shapes.iter().map(|shape| directory.join(&shape.name));
    let measured = Command::new(&program).arg(rounds.to_string()).args(files).output()?;
    ensure!(measured.status.success(), "{}", String::from_utf8_lossy(&measured.stderr));
    let text = String::from_utf8(measured.stdout)?;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(mean, p99)| Ok([mean.parse()?, p99.parse()?])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_family_the_slowest_counts() {
        let line = |family, ms, step| {
            format!("{{\"family\":\"{family}\",\"what\":\"x\",\"ms\":{ms},\"ns_per_step\":{step}}}\n")
        };
        let lines =
            [line("a", 1.5, 0.5), line("b", 3.0, 0.9), line("a", 2.5, 0.25), line("a", 2.0, 0.75)].concat();
        let expected = "\"worst_ms\":{\"a\":2.500,\"b\":3.000},\"worst_ns_per_step\":0.900";
        assert_eq!(Worst::of(&lines).json(), expected);
    }

    #[test]
    fn a_line_of_figures_is_read() {
        let shape = Shape::read("{\"shape\":\"get\",\"mean_us\":3.25,\"p99_us\":4.50}").expect("a shape");
        assert_eq!((shape.name.as_str(), shape.us.map(short)), ("get", ["3.25".into(), "4.50".into()]));
    }

    #[test]
    fn what_was_recorded_is_one_row() {
        let shape = |name: &str, us| Shape { name: name.to_owned(), us };
        let shapes =
            [shape("get", [1.0, 2.0]), shape("recorded-0", [2.0, 9.0]), shape("recorded-1", [4.0, 5.0])];
        let rows = told(&shapes, &[[10.0, 20.0], [20.0, 30.0], [40.0, 50.0]]);
        let told: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.ours, row.peer)).collect();
        let expected =
            [("get", [1.0, 2.0], Some([10.0, 20.0])), ("recorded_browser", [3.0, 9.0], Some([30.0, 50.0]))];
        assert_eq!(told, expected);
    }
}
