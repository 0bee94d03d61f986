//! What others wrote is told in a line of ours: it must neither end the line, nor move a cursor, nor turn
//! the direction of what is read.

use std::fmt::{self, Write};

/// Whether a terminal, a log reader or an eye could take `character` for something else.
pub(super) fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Writes text with what is odd about it spelled out: `\n`, `\u{202e}`.
pub(super) struct Escaping<W>(pub(super) W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_odd) {
            let (plain, odd) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut characters = odd.chars();
            if let Some(character) = characters.next() {
                write!(self.0, "{}", character.escape_default())?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// JSON whose strings hold nothing odd: what the format would allow is spelled as it spells the rest.
pub(super) fn in_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_odd(character) && character != '\n' {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // A `String` takes everything.
                let _never = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_that_reads_as_it_is_written() {
        let mut out = String::new();
        write!(Escaping(&mut out), "a\r\nb\x1b[31m\u{202e}c\u{9b}d\u{2028}\té").unwrap();
        assert_eq!(out, "a\\r\\nb\\u{1b}[31m\\u{202e}c\\u{9b}d\\u{2028}\\té");
    }

    #[test]
    fn json_stays_json() {
        let text = serde_json::json!({ "agent": "a\u{202e}\u{7f}b\n\u{feff}" }).to_string();
        let escaped = in_json(&text);
        assert!(!escaped.contains(is_odd), "{escaped}");
        let back: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(back, serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }
}
