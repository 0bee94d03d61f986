//! Bodies that applications read otherwise than they look.

use super::*;

const MULTIPART: &str = "multipart/form-data; boundary=b";

/// That `rule` is among what is said of a body of this type.
fn named(what: &str, kind: &str, body: &[u8], rule: &str) {
    let found = inspect("/", &[("Content-Type", kind)], body);
    let is_named = refusing(&found).contains(&rule);
    assert!(is_named, "{what}: {:?}", found.findings);
}

#[test]
fn no_part_of_a_multipart_body_hides_as_a_file() {
    let part = |head: &str| format!("--b\r\n{head}\r\n\r\nx' OR '1'='1\r\n--b--\r\n");
    let field = part("Content-Disposition: form-data; name=\"a\"");
    let rows = [
        (
            "behind a decoy",
            MULTIPART,
            format!("--decoy\r\nContent-Disposition: form-data; name=x; filename=y\r\n\r\n{field}"),
        ),
        ("behind what looks like JSON", MULTIPART, format!("{{\"a\":1}}\r\n{field}{{}}")),
        ("behind a line", MULTIPART, format!("all of it\r\n{field}")),
        ("without a boundary", "multipart/form-data", field.clone()),
        ("with two boundaries", "multipart/form-data; boundary=c; boundary=\"b\"", field.clone()),
        ("behind an end", MULTIPART, format!("--b--\r\n{field}")),
        (
            "a file name in another line",
            MULTIPART,
            part("Content-Disposition: form-data; name=\"a\"\r\nX-Own: filename=y"),
        ),
        ("a file name in the name", MULTIPART, part("Content-Disposition: form-data; name=\"q filename=\"")),
        (
            "a file name behind a quote",
            MULTIPART,
            part("Content-Disposition: form-data; name=\"a\\\"; filename=\"b\""),
        ),
        (
            "a file name of some",
            MULTIPART,
            part("Content-Disposition: form-data; name=a; filename*=UTF-8''b"),
        ),
        (
            "behind an early empty line",
            MULTIPART,
            part("Content-Disposition: form-data; name=a\n\nx' OR '1'='1"),
        ),
        ("without a head", MULTIPART, "--b\r\nx' OR '1'='1\r\n--b--".to_owned()),
    ];
    for (what, kind, body) in rows {
        named(what, kind, body.as_bytes(), "sqli.quoted-condition");
    }
    let headers = [("Content-Type", "text/plain"), ("Content-Type", MULTIPART)];
    let found = inspect("/", &headers, field.as_bytes());
    assert!(refusing(&found).contains(&"sqli.quoted-condition"), "a second type: {:?}", found.findings);
}

#[test]
fn every_name_of_an_uploaded_file_is_read() {
    for names in [
        "filename=\"shell.php\"",
        "FileName=shell.php",
        "filename*=UTF-8''shell.php",
        "filename=\"a.png\"; filename=\"shell.php\"",
        "filename=\"a.png\"; filename*=utf-8''shell%2ephp",
        "filename=\"a\\\"; filename=\"shell.php\"",
        "filename='shell.php'",
    ] {
        let body = format!("--b\r\nContent-Disposition: form-data; name=f; {names}\r\n\r\nx\r\n--b--\r\n");
        named(names, MULTIPART, body.as_bytes(), "upload.running-name");
    }
}

#[test]
fn a_file_that_browsers_send_is_a_file_alone() {
    let names = ["filename=\"a b (1).png\"", "filename=\"a.png\"; filename*=UTF-8''%e2%82%ac.png"];
    for names in names {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"f\"; {names}\r\nContent-Type: image/png\r\n\r\nx' OR '1'='1\r\n--b--\r\n"
        );
        let found = inspect("/", &[("Content-Type", MULTIPART)], body.as_bytes());
        assert_eq!(found, Inspection::default(), "{names}");
    }
}

#[test]
fn a_body_in_wide_characters_is_read_as_what_it_stands_for() {
    let wide = |text: &str, mark: &[u8]| {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        mark.iter().copied().chain(units).collect::<Vec<_>>()
    };
    let json = r#"{"a":"x' OR '1'='1"}"#;
    let document = "<?xml version=\"1.0\"?><a>x' OR '1'='1</a>";
    let utf32: Vec<_> = json.chars().flat_map(|char| u32::from(char).to_be_bytes()).collect();
    let rows = [
        ("JSON", "application/json", wide(json, b"")),
        ("JSON with a mark", "application/json", wide(json, b"\xff\xfe")),
        ("JSON by its looks", "", wide(json, b"")),
        ("JSON in UTF-32", "application/json", utf32),
        ("JSON of UTF-8 with a mark", "text/plain", [b"\xef\xbb\xbf", json.as_bytes()].concat()),
        ("a document", "text/xml", wide(document, b"")),
        ("a document by its type", "application/xml; charset=utf-16le", wide(document, b"")),
        ("what only says so", "application/json; charset=utf-16", json.as_bytes().to_vec()),
    ];
    for (what, kind, body) in rows {
        named(what, kind, &body, "sqli.quoted-condition");
    }
}

#[test]
fn characters_that_are_not_read_are_told() {
    let rows: [(&str, &[u8], Option<&str>); 7] = [
        ("application/x-www-form-urlencoded; charset=ibm037", b"%81=%7d", Some("charset")),
        ("application/x-www-form-urlencoded; charset=utf-16", b"a=%00%27", Some("charset")),
        ("application/json; charset=utf-7", b"{}", Some("charset")),
        ("text/xml", b"<?xml version='1.0' encoding='utf-7'?><a/>", Some("charset")),
        ("application/x-www-form-urlencoded; charset=UTF-8", b"a=b", None),
        ("text/xml; charset=iso-8859-15", b"<a/>", None),
        ("image/png; charset=x", b"\x89PNG", None),
    ];
    for (kind, body, expected) in rows {
        assert_eq!(inspect("/", &[("Content-Type", kind)], body).left_unread(), expected, "{kind}");
    }
}

#[test]
fn base64_is_taken_off_however_often_and_whatever_the_text_is() {
    let rows = [
        ("twice", "UEhOamNtbHdkRDVoYkdWeWRDZ3hLVHd2YzJOeWFYQjBQZz09"),
        ("in letters beyond ASCII", "w6kgPHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg"),
        ("in lines", "PHNjcmlwdD5h%0D%0AbGVydCgxKTwv%0D%0Ac2NyaXB0Pg"),
        ("in words", "PHNj+cmlwdD5h+bGVydCgxKTwv+c2NyaXB0Pg"),
    ];
    for (what, value) in rows {
        named(what, FORM, format!("q={value}").as_bytes(), "xss.script-tag");
    }
}
