//! HTML by its structure: whether a text, put into a page, would have a browser run something.
//!
//! A page holds a text between its tags, or in an attribute's value, in quotes or bare. From each of these
//! places the text is read as the HTML standard's tokenizer reads it, errors and all, for what runs: an
//! element that does, a handler of an event, an address whose scheme is a script's.

/// Whether `text` is one.
pub(super) fn runs(text: &[u8]) -> bool {
    if Scanner::new(text).data() {
        return true;
    }
    // Out of an attribute's value; then more of the tag, then the page.
    [b'"', b'\'', b'`'].into_iter().any(|quote| {
        memchr::memchr(quote, text).is_some_and(|end| {
            let mut scanner = Scanner { text, at: end + 1 };
            scanner.attributes(Tag::Unknown)
        })
    })
}

/// What is known of the tag whose attributes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag<'t> {
    /// It was opened before the text: what looks like an attribute may be anything.
    Unknown,
    Named(&'t [u8]),
}

/// What stands in one place of a tag.
struct Attribute<'t> {
    name: &'t [u8],
    /// Missing where there is no `=`.
    value: Option<&'t [u8]>,
}

struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Passes over bytes as long as they are so.
    fn take(&mut self, is: impl Fn(u8) -> bool) -> &'t [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|byte| !is(*byte)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Reads a page from between its tags; whether something in it runs.
    fn data(&mut self) -> bool {
        while let Some(found) = memchr::memchr(b'<', self.rest()) {
            self.at += found + 1;
            // White space and NULs are not part of the standard: some readers drop them.
            self.take(|byte| byte == 0);
            if !self.peek().is_some_and(|byte| byte.is_ascii_alphabetic()) {
                continue;
            }
            let name = self.take(|byte| !is_space(byte) && !b"/><\"'`=".contains(&byte));
            if is_script(name) && self.peek().is_none_or(|byte| is_space(byte) || b"/>".contains(&byte)) {
                return true;
            }
            if self.attributes(Tag::Named(name)) {
                return true;
            }
        }
        false
    }

    /// Reads the attributes of a tag, up to its end; whether one of them runs.
    fn attributes(&mut self, tag: Tag<'_>) -> bool {
        loop {
            self.take(|byte| is_space(byte) || b"/\"'`".contains(&byte) || byte == 0);
            match self.peek() {
                None => return false,
                Some(b'>') => {
                    self.at += 1;
                    // What was before the text may have been no tag at all.
                    return tag == Tag::Unknown && self.data();
                }
                // A browser takes it for a part of a name; whoever writes two tags does not.
                Some(b'<') if tag == Tag::Unknown => return self.data(),
                Some(_) => {}
            }
            if self.attribute().runs(tag) {
                return true;
            }
        }
    }

    fn attribute(&mut self) -> Attribute<'t> {
        let start = self.at;
        // The first byte is the name's even where it is `=`.
        self.at += 1;
        self.take(|byte| !is_space(byte) && !b"/>=".contains(&byte));
        let name = &self.text[start..self.at];
        let behind_name = self.at;
        self.take(is_space);
        if self.peek() != Some(b'=') {
            self.at = behind_name;
            return Attribute { name, value: None };
        }
        self.at += 1;
        self.take(is_space);
        let value = match self.peek() {
            Some(quote @ (b'"' | b'\'' | b'`')) => {
                self.at += 1;
                let value = self.take(|byte| byte != quote);
                self.at = (self.at + 1).min(self.text.len());
                value
            }
            _ => self.take(|byte| !is_space(byte) && byte != b'>'),
        };
        Attribute { name, value: Some(value) }
    }
}

impl Attribute<'_> {
    fn runs(&self, tag: Tag<'_>) -> bool {
        let Some(value) = self.value.filter(|value| !value.trim_ascii().is_empty()) else { return false };
        let name: Vec<u8> =
            self.name.iter().filter(|byte| **byte != 0).take(32).map(u8::to_ascii_lowercase).collect();
        if let Some(event) = name.strip_prefix(b"on") {
            return is_event(event, tag) && is_code(value);
        }
        let addressed = ADDRESSES.contains(&name.as_slice());
        (addressed && is_script_url(value)) || (name == b"srcdoc" && value.contains(&b'<'))
    }
}

/// Attributes whose value a browser goes to.
const ADDRESSES: [&[u8]; 16] = [
    b"href",
    b"src",
    b"action",
    b"formaction",
    b"data",
    b"xlink:href",
    b"poster",
    b"background",
    b"lowsrc",
    b"dynsrc",
    b"from",
    b"to",
    b"values",
    b"code",
    b"codebase",
    b"content",
];

/// How the names of events begin, `on` aside.
const EVENTS: [&str; 66] = [
    "abort",
    "activate",
    "after",
    "animation",
    "aux",
    "before",
    "begin",
    "blur",
    "bounce",
    "can",
    "cell",
    "change",
    "click",
    "close",
    "contextmenu",
    "copy",
    "cue",
    "cut",
    "data",
    "dblclick",
    "deactivate",
    "drag",
    "drop",
    "duration",
    "emptied",
    "end",
    "error",
    "filter",
    "finish",
    "focus",
    "form",
    "fullscreen",
    "gotpointer",
    "hash",
    "help",
    "input",
    "invalid",
    "key",
    "load",
    "lose",
    "lost",
    "message",
    "mouse",
    "move",
    "page",
    "paste",
    "pause",
    "play",
    "pointer",
    "pop",
    "progress",
    "property",
    "rate",
    "ready",
    "repeat",
    "reset",
    "resize",
    "scroll",
    "seek",
    "select",
    "show",
    "start",
    "submit",
    "toggle",
    "touch",
    "transition",
];

/// Whether `on` and this is an event's handler: in a tag anything that may be, elsewhere what is known.
fn is_event(event: &[u8], tag: Tag<'_>) -> bool {
    let letters = event.len() >= 3 && event.iter().all(u8::is_ascii_lowercase);
    let known = || {
        EVENTS.iter().chain(&["unload", "wheel", "webkit"]).any(|known| event.starts_with(known.as_bytes()))
    };
    letters && (known() || matches!(tag, Tag::Named(name) if is_element(name)))
}

/// Whether a tag of this name makes an element: one that is none may be an address or a comparison.
fn is_element(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-:_".contains(byte) || *byte >= 0x80)
}

/// Whether a handler's value does something: it calls, assigns, or spells what it hides.
fn is_code(value: &[u8]) -> bool {
    value.iter().any(|byte| b"(=`.[{&\\".contains(byte)) || value.iter().all(u8::is_ascii_alphanumeric)
}

fn is_script(name: &[u8]) -> bool {
    let local = name.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    let plain: Vec<u8> =
        local.iter().filter(|byte| **byte != 0).take(8).map(u8::to_ascii_lowercase).collect();
    plain == b"script"
}

/// Whether a browser runs what stands at this address. It drops what is no letter of a scheme.
fn is_script_url(value: &[u8]) -> bool {
    const SCHEMES: [&str; 5] =
        ["javascript:", "vbscript:", "livescript:", "data:text/html", "data:image/svg"];
    let plain: Vec<u8> =
        value.iter().filter(|byte| **byte > b' ').take(16).map(u8::to_ascii_lowercase).collect();
    // `javascript:void(0)` and `javascript:;` do nothing.
    let idle = [&b"javascript:void"[..], b"javascript:;", b"javascript://", b"javascript:#"];
    SCHEMES.iter().any(|scheme| plain.starts_with(scheme.as_bytes()))
        && plain.len() > 11
        && !idle.iter().any(|idle| plain.starts_with(idle))
}

/// White space to the HTML standard, and the vertical tab that older browsers took for it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_seen_from_wherever_it_stands() {
        for text in [
            "<script>alert(1)</script>",
            "<ScRiPt src=//a.example>",
            "<img src=x onerror=alert(1)>",
            "<img/src=\"x\"/onerror\t=\talert(1)>",
            "<svg onload=alert`1`>",
            "<x onclick=\"alert(1)\">",
            "<a href=\"java\tscript:alert(1)\">",
            "<iframe srcdoc=\"<b>\">",
            "<form><button formaction=javascript:alert(1)>",
            "\" onfocus=alert(1) autofocus x=\"",
            "' onmouseover='alert(1)",
            "\"><img src=x onerror=alert(1)>",
            "x\" style=a onpointerrawupdate=a(1) b=\"",
            "<<img src=x onerror=alert(1)>",
            "<svg:script>x",
            "<img src=x on\0error=alert(1)>",
            "<a =\" onclick=alert(1)>",
        ] {
            assert!(runs(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_is_only_shown_or_talked_about_does_not() {
        for text in [
            "a < b and c > d",
            "<p>Hello <b>world</b>, <a href=\"https://example.com/\">link</a></p>",
            "<img src=\"cat.png\" alt='on a mat'>",
            "<a href=\"javascript:void(0)\">x</a>",
            "the function of the on-call = support",
            "\"once\" = 'one'",
            "he said \"online=yes\" and left",
            "if (a<b) on = 5;",
            "<scripting> is fun",
            "<p style='color:red'>",
            "x' one='1",
            "2 <3 onerror",
            "",
        ] {
            assert!(!runs(text.as_bytes()), "{text}");
        }
    }
}
