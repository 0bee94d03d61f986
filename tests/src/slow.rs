//! Requests made to be slow to inspect, by the stage that they aim at.

use std::fmt::Write as _;

use skyshield::inspect::{self, Header, Request};

const FORM: &str = "application/x-www-form-urlencoded";

/// One request, owned.
pub struct Slow {
    /// What it is full of.
    pub what: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Slow {
    /// Hands the request to `see`.
    pub fn with<T>(&self, see: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        see(&Request { method: b"POST", target: self.target.as_bytes(), headers: &headers, body: &self.body })
    }
}

/// All of them, each of about `len` bytes.
pub fn families(len: usize) -> Vec<(&'static str, Vec<Slow>)> {
    vec![
        ("decoders", decoders(len)),
        ("grammars", grammars(len)),
        ("words_and_patterns", words(len)),
        ("many_values", many(len)),
        ("structures", structures(len)),
        ("places", places(len)),
    ]
}

/// Layers and disguises, in one long value and in many.
fn decoders(len: usize) -> Vec<Slow> {
    let pieces = [
        "%2525252525",
        "%25",
        "%u0025",
        "%c0%ae",
        "%",
        "+",
        "&#x26;",
        "&amp;",
        "&",
        "${a:-b}",
        "${",
        "${:}",
        "/**/",
        "/*!1*/",
        "/*",
        "--\n",
        "#\n",
        "''$9",
        "$IFS",
        "..%2f",
        "../",
        "%c0%ae./",
        "0x2e0x2f./",
        "\\u003c",
        "\\x41",
        "\\",
        "\u{ff1c}",
        "\u{2215}",
        "a.",
    ];
    let lookups = ["${", "${lower:"].map(|open| format!("{}{}", filled(open, len / 2), filled("}", len / 4)));
    let base64 = [
        filled("a=PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg&", len),
        filled(&format!("a={}/w&", filled("QUFB", 16_000)), len),
    ];
    let one = pieces.iter().map(|piece| {
        form(format!("one value of {piece:?}"), &format!("q={}", filled(piece, len).replace('&', "%26")))
    });
    let many = pieces.iter().map(|piece| {
        form(
            format!("values of {piece:?}"),
            &filled(&format!("q={}&", piece.repeat(4).replace('&', "%26")), len),
        )
    });
    let nested = lookups.iter().map(|text| form("nested lookups".into(), &format!("q={text}")));
    let base64 = base64.iter().map(|text| form("base64".into(), text));
    one.chain(many).chain(nested).chain(base64).collect()
}

/// What a tokenizer chews on, in values of some dozen bytes and of the most it reads.
fn grammars(len: usize) -> Vec<Slow> {
    let pieces = [
        "'a'+",
        "(((",
        "1 or ",
        "select ",
        "1,",
        "'",
        "\"",
        "/*a*/",
        "--",
        "@a ",
        "{d ",
        "union select ",
        "a.b.",
        "!!",
        "1e",
        "\\'",
        "' or '",
        "$$",
        "x'",
        "[a]",
        "a b ",
        "x<y=z ",
        "<a b=c ",
        "<a a=\"",
        "<!--",
        "on=",
        "\u{a0}",
        "<a on=",
    ];
    let of = |piece: &&str| {
        [("", 60), ("1'", 60), ("1'", 4000), ("", 4000)].map(|(start, most)| {
            let value = percent(&filled(&format!("{start}{piece}"), most));
            form(format!("values of {most} bytes of {start}{piece:?}"), &filled(&format!("q={value}&"), len))
        })
    };
    pieces.iter().flat_map(of).collect()
}

/// Every word that rules wait for, every rule's example, and all but the end of each.
fn words(len: usize) -> Vec<Slow> {
    let attacks: Vec<_> = inspect::built_in_rules().flat_map(|rule| rule.attacks).collect();
    let near: Vec<_> = attacks
        .iter()
        .map(|text| text.chars().take(text.chars().count() * 2 / 3).collect::<String>())
        .collect();
    let honest: Vec<_> = inspect::built_in_rules().flat_map(|rule| rule.honest).collect();
    let (attacks, near, honest) = (attacks.join(" "), near.join(" "), honest.join(" "));
    let storm = "onetcvarwinshidurlscriptselectunionalertsystem(<=';".to_owned();
    let rows = [("attacks", attacks), ("near attacks", near), ("honest examples", honest), ("words", storm)];
    let more =
        ["a;b", ";id|", "\"'`", "\r\n", "(", "a b ", "<", "ononon="].map(|piece| (piece, piece.to_owned()));
    rows.iter()
        .chain(&more)
        .flat_map(|(what, text)| {
            let line = filled(text, len);
            let pairs: Vec<_> = text.split(' ').map(|word| format!("q={}&", percent(word))).collect();
            [
                typed(format!("{what} in a text"), "text/plain", format!("! {line}")),
                form(
                    format!("{what} in one value"),
                    &format!("q={}", percent(&line[..line.floor_char_boundary(len / 3)])),
                ),
                form(format!("{what}, a value each"), &filled(&pairs.concat(), len)),
            ]
        })
        .collect()
}

fn many(len: usize) -> Vec<Slow> {
    ["a=b&", "a&", "a=%20&", "a='-&", "'-=&", "a=%3Ca%20on=&", "a=%7B%22&"]
        .map(|pair| form(format!("pairs of {pair:?}"), &filled(pair, len)))
        .into()
}

/// JSON, documents and multipart bodies, deep, broken and of the smallest pieces.
fn structures(len: usize) -> Vec<Slow> {
    let inner = serde_json::json!("[\"'-\",\"<a\"]").to_string();
    let json =
        ["\"'-\",", "\"'-\":\"'\",", "{\"a'\":[", "\"\\u0027\\n\\\"\",", "\"\"          ", "a'b,", &inner]
            .map(|piece| {
                typed(format!("JSON of {piece:?}"), "application/json", format!("[{}]", filled(piece, len)))
            });
    let escapes =
        typed("JSON escapes".into(), "application/json", format!("[\"{}\"]", filled("\\u0027\\n\\\"", len)));
    let in_form = form(
        "JSON in a form".into(),
        &format!("q={}", percent(&format!("[{}]", filled("\"'-\",", len / 3)))),
    );
    let documents = ["<a>'-</a>", "<a>&lt;&amp;</a>", "<", "<>"].map(|piece| {
        typed(format!("documents of {piece:?}"), "text/xml", format!("<{}", filled(piece, len)))
    });
    let part = "--b\r\nContent-Disposition: form-data; name=\"'\"; filename=\"'-\"\r\n\r\n'-<\r\n";
    let multipart = [part, "--b\n", "--b\r\n name="]
        .map(|piece| typed(format!("parts of {piece:?}"), "multipart/form-data", filled(piece, len)));
    json.into_iter().chain([escapes, in_form]).chain(documents).chain(multipart).collect()
}

/// Everywhere but in the body.
fn places(len: usize) -> Vec<Slow> {
    let slow =
        |what: &str, target: String, headers| Slow { what: what.into(), target, headers, body: Vec::new() };
    let headers = (0..200).map(|at| (format!("x-{at}"), filled("'-<a (", len / 200))).collect();
    let cookie = ("cookie".to_owned(), filled("a='-%20<;", len));
    vec![
        slow("headers", "/".into(), headers),
        slow("cookies", "/".into(), vec![cookie]),
        slow("a path", filled("/..%2f'-<a", len), Vec::new()),
        slow("a query", format!("/?{}", filled("a='-%20<&", len)), Vec::new()),
    ]
}

fn filled(piece: &str, len: usize) -> String {
    piece.repeat(len / piece.len() + 1)
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "%{byte:02X}");
        out
    })
}

fn form(what: String, body: &str) -> Slow {
    typed(what, FORM, body.to_owned())
}

fn typed(what: String, kind: &str, body: String) -> Slow {
    let headers = vec![("content-type".to_owned(), kind.to_owned())];
    Slow { what, target: "/".into(), headers, body: body.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_requests_of_the_length_asked_for() {
        for (family, requests) in families(20_000) {
            assert!(!requests.is_empty(), "{family}");
            for slow in requests {
                let of = |request: &Request<'_>| {
                    let headers: usize = request.headers.iter().map(|header| header.value.len()).sum();
                    request.target.len() + headers + request.body.len()
                };
                let len = slow.with(of);
                assert!((10_000..90_000).contains(&len), "{family}, {}: {len}", slow.what);
            }
        }
    }
}
