//! Framing vectors: what two servers might read differently, by family, and what the gateway is to
//! make of each.

mod bodies;
mod chunks;
mod codings;
mod heads;
mod lengths;
mod names;
pub mod recorder;
pub mod run;

/// What the gateway is to make of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is answered with this status, nothing of it is forwarded, and the connection ends.
    Refused(u16),
    /// So many requests are forwarded, and the one behind the vector is too.
    Passed(usize),
    /// So many requests are forwarded, and what stands behind them is not a request any more.
    Ended(usize),
}

/// Bytes that a client may send on a new connection.
#[derive(Clone, Debug)]
pub struct Vector {
    /// The family and what is odd about this one.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What is to come of it.
    pub expected: Expected,
}

/// Every vector. No two have the same bytes.
pub fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    lengths::add(&mut all);
    codings::add(&mut all);
    chunks::add(&mut all);
    names::add(&mut all);
    heads::add(&mut all);
    bodies::add(&mut all);
    all
}

fn add(all: &mut Vec<Vector>, family: &str, what: &[u8], bytes: Vec<u8>, expected: Expected) {
    let what: String = what.escape_ascii().to_string().chars().take(80).collect();
    all.push(Vector { name: format!("{family}: {what}"), bytes, expected });
}

/// A POST with these header lines behind its `Host`, each with its line end, and this body.
fn post(lines: &[u8], body: &[u8]) -> Vec<u8> {
    [b"POST /first HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n", body].concat()
}

/// A POST of this chunked body.
fn chunked(body: &[u8]) -> Vec<u8> {
    post(b"Transfer-Encoding: chunked\r\n", body)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn there_are_at_least_five_hundred_and_no_two_are_the_same() {
        let all = vectors();
        assert!(all.len() >= 500, "{}", all.len());
        let mut by_bytes = HashMap::new();
        let mut by_name = HashMap::new();
        let mut doubles = Vec::new();
        for vector in &all {
            if let Some(first) = by_bytes.insert(&vector.bytes, &vector.name) {
                doubles.push(format!("`{first}` and `{}` have the same bytes", vector.name));
            }
            if by_name.insert(&vector.name, &vector.bytes).is_some() {
                doubles.push(format!("two are named `{}`", vector.name));
            }
        }
        assert!(doubles.is_empty(), "{}", doubles.join("\n"));
    }
}
