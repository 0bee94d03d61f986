//! CPU time of inspection alone: `bench-inspect DIRECTORY ROUNDS [RECORDED]` writes each shape of request
//! into the directory, for a peer to read, and one line of JSON per shape to standard output, then one per
//! family of requests made to be slow: the slowest of it, and what a step took of it. Shapes are also some of
//! the requests of RECORDED, a file as `skyshield replay` reads it (`{"raw":base64}` a line).
#![expect(clippy::print_stdout, reason = "the figures are its product")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::time::{ClockId, clock_gettime};
use skyshield::inspect::{Header, Inspector, Limits, Request};
use tests::slow;

const HEADERS: &str = "Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.9\r\nAccept-Encoding: gzip, deflate\r\n\
    Cookie: sid=abcdef0123456789; theme=dark; _ga=GA1.2.1234.5678\r\n";

fn main() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    let directory = PathBuf::from(words.next().context("DIRECTORY ROUNDS")?);
    let rounds: usize =
        words.next().and_then(|word| word.into_string().ok()).map_or(Ok(2000), |word| word.parse())?;
    ensure!(rounds > 0, "no rounds, no figures");
    let inspector = Inspector::new(Limits::default());
    let recorded = words.next().map_or_else(|| Ok(Vec::new()), |path| recorded(Path::new(&path)))?;
    let made = shapes().into_iter().map(|(name, raw)| (name.to_owned(), raw));
    for (name, raw) in made.chain(recorded) {
        std::fs::write(directory.join(&name), &raw)?;
        let (mean, p99) = measure(&inspector, raw.as_bytes(), rounds)?;
        println!("{{\"shape\":\"{name}\",\"mean_us\":{mean:.2},\"p99_us\":{p99:.2}}}");
    }
    for (family, requests) in LENGTHS.iter().flat_map(|len| slow::families(*len)) {
        for slow in requests {
            let steps = slow.with(|request| inspector.steps(request));
            let median = slow.with(|request| median(&inspector, request))?;
            let per_step = median * 1000.0 / f64::from(u32::try_from(steps)?);
            println!(
                "{{\"family\":\"{family}\",\"what\":{},\"ms\":{:.3},\"ns_per_step\":{per_step:.3}}}",
                serde_json::json!(slow.what.replace([',', '}', '"'], " ")),
                median / 1000.0
            );
        }
    }
    Ok(())
}

/// Requests of a recording that are measured, evenly taken.
const RECORDED: usize = 40;

fn recorded(path: &Path) -> Result<Vec<(String, String)>> {
    #[derive(serde::Deserialize)]
    struct Line {
        raw: String,
    }
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines: Vec<_> = text.lines().collect();
    let mut all = Vec::new();
    for line in lines.iter().step_by((lines.len() / RECORDED).max(1)) {
        let raw = STANDARD.decode(serde_json::from_str::<Line>(line)?.raw)?;
        // What is not text the peer's reader would not take.
        let Ok(raw) = String::from_utf8(raw) else { continue };
        all.push((format!("recorded-{}", all.len()), raw));
    }
    Ok(all)
}

/// Bytes of requests made to be slow: some tens of kilobytes, and all that a door hands on of a body.
const LENGTHS: [usize; 2] = [64 * 1024, 1024 * 1024];

/// Microseconds of CPU, of three times the one in the middle.
fn median(inspector: &Inspector, request: &Request<'_>) -> Result<f64> {
    let mut times = [0.0; 3];
    for time in &mut times {
        let start = cpu_us()?;
        std::hint::black_box(inspector.inspect(request));
        *time = cpu_us()? - start;
    }
    times.sort_by(f64::total_cmp);
    Ok(times[1])
}

fn measure(inspector: &Inspector, raw: &[u8], rounds: usize) -> Result<(f64, f64)> {
    let text = std::str::from_utf8(raw)?;
    let (head, body) = text.split_once("\r\n\r\n").context("a request has a blank line")?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
        .collect();
    let request = Request {
        method: method.as_bytes(),
        target: target.as_bytes(),
        headers: &headers,
        body: body.as_bytes(),
    };
    std::hint::black_box(inspector.inspect(&request));
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = cpu_us()?;
        std::hint::black_box(inspector.inspect(&request));
        times.push(cpu_us()? - start);
    }
    times.sort_by(f64::total_cmp);
    let count = u32::try_from(times.len())?;
    Ok((times.iter().sum::<f64>() / f64::from(count), times[times.len() * 99 / 100]))
}

/// Microseconds that this thread has had of a processor.
fn cpu_us() -> Result<f64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    let micros = time.tv_sec() * 1_000_000 + time.tv_nsec() / 1000;
    let rest = u32::try_from(time.tv_nsec() % 1000)?;
    Ok(f64::from(u32::try_from(micros)?) + f64::from(rest) / 1000.0)
}

fn shapes() -> [(&'static str, String); 5] {
    let get = format!("GET /index.html?id=7 HTTP/1.1\r\n{HEADERS}\r\n");
    let ten = "a=1&b=hello+world&c=2024-01-01&d=foo%20bar&e=https%3A%2F%2Fexample.com%2Fx&f=true\
        &g=name%40example.com&h=12.50&i=red%2Cgreen&j=O%27Brien";
    let mut json = String::from("{\"items\":[");
    for id in 0.. {
        let _ = write!(
            json,
            "{{\"id\":{id},\"name\":\"Item number {id}\",\"tags\":[\"red\",\"large, soft\"],\"url\":\"https://example.com/p/{id}?ref=home\"}}"
        );
        if json.len() >= 2000 {
            break;
        }
        json.push(',');
    }
    json.push_str("]}");
    let mut form = String::new();
    while form.len() < 55_000 {
        let at = form.len();
        let _ = write!(form, "field{at}=A+sentence+of+a+few+words%2C+and+%22another%22+%28{at}%29.&");
    }
    let mut hostile = String::from("q=");
    while hostile.len() < 64 * 1024 {
        hostile.push_str("select%20..%2F'or%20<a%20on=%24%7B%7Blower:case%20when%201=%5Cximport%28");
    }
    [
        ("get", get),
        ("get_ten_parameters", format!("GET /s?{ten} HTTP/1.1\r\n{HEADERS}\r\n")),
        ("post_2k_json", post("application/json", &json)),
        ("post_55k_form", post("application/x-www-form-urlencoded", &form)),
        ("post_64k_hostile", post("application/x-www-form-urlencoded", &hostile)),
    ]
}

fn post(kind: &str, body: &str) -> String {
    let len = body.len();
    format!("POST /api HTTP/1.1\r\n{HEADERS}Content-Type: {kind}\r\nContent-Length: {len}\r\n\r\n{body}")
}
