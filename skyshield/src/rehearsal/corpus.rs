//! The requests: each rule's own examples wherever in a request they may stand, and what browsers and
//! programs send all day.

use std::fmt::Write as _;

use crate::engine::risk;
use crate::engine::standing::Standing;
use crate::inspect::{Header, Limits, Mode, Request, own};
use crate::verdict::Settings;

const HONEST: &str = include_str!("honest.txt");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=b");
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// Rules that are less sure than this only hint: their examples alone are not to be refused.
const REFUSES_FROM: f64 = 0.8;

/// A request, and what it is known to be.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) category: String,
    /// The rule whose example it is.
    pub(super) rule: Option<String>,
    pub(super) is_attack: bool,
    method: &'static str,
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Known {
    /// What `see` makes of it.
    pub(super) fn with<T>(&self, see: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| Header { name: name.as_bytes(), value }).collect();
        see(&Request {
            method: self.method.as_bytes(),
            target: &self.target,
            headers: &headers,
            body: &self.body,
        })
    }
}

/// All requests. Which example stands where is told by all rules as they come, whatever `limits` turn off:
/// what is turned off is missed.
pub(super) fn all(limits: &Limits) -> Vec<Known> {
    let every = Limits {
        own: limits.own.clone(),
        disable: Vec::new(),
        observe: Vec::new(),
        mode: Mode::Refuse,
        ..Limits::default()
    };
    let by_all = Settings::new(&every, &risk::Config::default(), &[]);
    let mut known = Vec::new();
    for info in own::infos(&every) {
        let category = serde_json::to_value(info.class).ok();
        let category = category.as_ref().and_then(serde_json::Value::as_str).unwrap_or("other");
        for (at, attack) in info.attacks.iter().enumerate() {
            let places = places(&unpercent(attack));
            let found = places.into_iter().find(|place| claims(&by_all, place, &info.id));
            let Some(place) = found.filter(|_| info.confidence > REFUSES_FROM) else { continue };
            known.push(Known {
                name: format!("{} #{}", info.id, at + 1),
                category: category.to_owned(),
                rule: Some(info.id.to_string()),
                is_attack: true,
                ..place
            });
        }
        for (at, honest) in info.honest.iter().enumerate() {
            let text = unpercent(honest);
            let [query, _, form, ..] = places(&text);
            // What looks like one attack may be another.
            let honest = [query, form].into_iter().filter(|place| !refuses(&by_all, place));
            for place in honest {
                let name = format!("not {} #{}", info.id, at + 1);
                known.push(Known { name, category: "look-alike".to_owned(), is_attack: false, ..place });
            }
        }
    }
    known.extend(honest());
    known
}

fn claims(settings: &Settings, place: &Known, rule: &str) -> bool {
    place.with(|request| {
        let opinion = settings.opinion(request, Standing::default());
        opinion.refuses() && opinion.inspection.findings.iter().any(|finding| finding.rule == rule)
    })
}

fn refuses(settings: &Settings, place: &Known) -> bool {
    place.with(|request| settings.opinion(request, Standing::default()).refuses())
}

/// A text wherever in a request it may stand.
fn places(text: &[u8]) -> [Known; 7] {
    let encoded = text.iter().fold(String::new(), |mut out, byte| {
        // Into memory: nothing there can fail.
        let _written = write!(out, "%{byte:02X}");
        out
    });
    let file = |name: &[u8], content: &[u8]| {
        let head = b"--b\r\nContent-Disposition: form-data; name=f; filename=\"";
        [head, name, b"\"\r\n\r\n", content, b"\r\n--b--\r\n"].concat()
    };
    let with = |kind: (&str, &str), body: Vec<u8>| request("POST", b"/".to_vec(), &[kind], body);
    [
        request("GET", format!("/search?q={encoded}").into_bytes(), &[], Vec::new()),
        request("GET", text.to_vec(), &[], Vec::new()),
        with(FORM, format!("q={encoded}").into_bytes()),
        Known {
            headers: vec![("User-Agent".to_owned(), text.to_vec())],
            ..request("GET", b"/".to_vec(), &[], Vec::new())
        },
        with(MULTIPART, file(text, b"x")),
        with(MULTIPART, file(b"x.bin", text)),
        with(JSON, text.to_vec()),
    ]
}

fn request(method: &'static str, target: Vec<u8>, headers: &[(&str, &str)], body: Vec<u8>) -> Known {
    let common = [("Host", "shop.example"), ("User-Agent", BROWSER), ("Accept", "*/*")];
    let headers = common.iter().chain(headers);
    Known {
        name: String::new(),
        category: String::new(),
        rule: None,
        is_attack: false,
        method,
        target,
        headers: headers.map(|&(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect(),
        body,
    }
}

/// A line each: category, method, target, kind of body and body, with tabs between.
fn honest() -> impl Iterator<Item = Known> {
    HONEST.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty()).map(
        |(at, line)| {
            let mut fields = line.splitn(5, '\t');
            let mut next = || fields.next().unwrap_or_default();
            let (category, method, target, kind, body) = (next(), next(), next(), next(), next());
            let method = if method == "POST" { "POST" } else { "GET" };
            let kind = match kind {
                "form" => Some(FORM),
                "json" => Some(JSON),
                _ => None,
            };
            Known {
                name: format!("{category}, line {}", at + 1),
                category: category.to_owned(),
                ..request(method, target.as_bytes().to_vec(), kind.as_slice(), body.as_bytes().to_vec())
            }
        },
    )
}

/// What `%XX` stands for; a percent sign before anything else is itself.
fn unpercent(text: &str) -> Vec<u8> {
    let mut pieces = text.split('%');
    let mut out = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        if let Some(byte) = piece.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()) {
            out.push(byte);
            out.extend_from_slice(&piece.as_bytes()[2..]);
        } else {
            out.push(b'%');
            out.extend_from_slice(piece.as_bytes());
        }
    }
    out
}
