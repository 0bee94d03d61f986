//! Lists as other programs print them, and what they come to.

use proptest::prelude::*;

use super::*;

/// Decisions in short: `ban 203.0.113.7 4h why`.
fn told(read: &Read) -> Vec<String> {
    read.lines
        .iter()
        .map(|line| {
            let span = match line.span {
                Span::Unsaid => "?".to_owned(),
                Span::For(duration) => format!("{}s", duration.as_secs()),
                Span::Forever => "forever".to_owned(),
            };
            let reason = line.reason.as_deref().unwrap_or("-");
            format!("{} {} {} {span} {reason}", line.number, line.kind.name(), line.about)
        })
        .collect()
}

/// A text, the format it looks like, the decisions, and the lines with problems.
type Row<'a> = (&'a str, Format, &'a [&'a str], &'a [usize]);

const ROWS: &[Row<'_>] = &[
    (
        "# a list\n203.0.113.7\n\n2001:db8::/48 # bad\n",
        Format::Plain,
        &["2 ban 203.0.113.7 ? -", "4 ban 2001:db8::/48 ? -"],
        &[],
    ),
    ("203.0.113.7\nnobody\n203.0.113.999\n", Format::Plain, &["1 ban 203.0.113.7 ? -"], &[2, 3]),
    (
        "subject,kind,ttl,reason,comment,requests_per_min\n203.0.113.7,ban,4h,why,,\nasn:64500,limit,forever,\"a, b\",c,60\n\
         home.example.org,allow,,,,\n",
        Format::Csv,
        &["2 ban 203.0.113.7 14400s why", "3 limit asn:64500 forever a, b", "4 allow home.example.org ? -"],
        &[],
    ),
    (
        "ip,ttl\n203.0.113.7,soon\n203.0.113.8,1h\n203.0.113.9,-5m\n203.0.113.1\n",
        Format::Csv,
        &["3 ban 203.0.113.8 3600s -"],
        &[2, 5],
    ),
    ("name,ttl\nx,1h\n", Format::Csv, &[], &[1]),
    (
        r#"[{"subject":"country:NL","kind":"ban","ttl":"1h"},"203.0.113.7",{"source":"203.0.113.8","ttl_seconds":60},{"kind":"ban"}]"#,
        Format::Json,
        &["1 ban country:NL 3600s -", "2 ban 203.0.113.7 ? -", "3 ban 203.0.113.8 60s -"],
        &[4],
    ),
    ("[{\"subject\": \"203.0.113.7\",\n}]", Format::Json, &[], &[2]),
    (
        "[{'sshd': ['203.0.113.7', '2001:db8::1']}, {'recidive': []}, {'nginx': ['203.0.113.8']}]\n",
        Format::Fail2ban,
        &[
            "1 ban 203.0.113.7 ? fail2ban: sshd",
            "1 ban 2001:db8::1 ? fail2ban: sshd",
            "1 ban 203.0.113.8 ? fail2ban: nginx",
        ],
        &[],
    ),
    (
        "Status for the jail: sshd\n|- Filter\n`- Actions\n   |- Currently banned: 2\n   `- Banned IP list:\t203.0.113.7 203.0.113.8\n",
        Format::Fail2ban,
        &["5 ban 203.0.113.7 ? -", "5 ban 203.0.113.8 ? -"],
        &[],
    ),
    (
        "203.0.113.7 \t2026-01-01 10:00:00 + 600 = 2026-01-01 10:10:00\n203.0.113.8 \t2026-01-01 10:00:00 + -1 = 9999-12-31 23:59:59\n",
        Format::Fail2ban,
        &["1 ban 203.0.113.7 600s -", "2 ban 203.0.113.8 forever -"],
        &[],
    ),
    (
        r#"[{"capacity":0,"decisions":[{"duration":"3h59m57.64s","id":1,"origin":"cscli","scenario":"manual 'ban'","scope":"Ip","simulated":false,"type":"ban","value":"203.0.113.7"},
            {"duration":"-2m3s","scenario":"old","scope":"Ip","type":"ban","value":"203.0.113.8"}],"events":null},
            {"decisions":[{"duration":"1h","scenario":"s","scope":"AS","type":"throttle","value":"64500"},{"duration":"1h","scenario":"s","scope":"Ip","type":"captcha","value":"203.0.113.9"}]}]"#,
        Format::Cscli,
        &["1 ban 203.0.113.7 14397s manual 'ban'", "2 limit asn:64500 3600s s"],
        &[2],
    ),
    (
        "id,source,ip,reason,action,country,as,events_count,expiration,simulated,alert_id\n\
         7,cscli,Ip:203.0.113.7,manual,ban,,,1,3h59m,false,9\n8,cscli,Range:203.0.113.0/24,manual,ban,,,1,1h,true,9\n",
        Format::Cscli,
        &["2 ban 203.0.113.7 14340s manual"],
        &[],
    ),
    (
        "duration,scope,value\n24h,ip,203.0.113.7\n1h,country,NL\n",
        Format::Cscli,
        &["2 ban 203.0.113.7 86400s -", "3 ban country:NL 3600s -"],
        &[],
    ),
    ("null", Format::Plain, &[], &[1]),
];

#[test]
fn lists_are_told_apart_and_read_line_by_line() {
    for (text, format, decisions, problems) in ROWS {
        assert_eq!(guess(text), *format, "{text}");
        let read = read(text, None);
        assert_eq!(told(&read), *decisions, "{text}\n{:?}", read.problems);
        assert_eq!(read.problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), *problems, "{text}");
    }
}

fn exported() -> Vec<Exported> {
    let one = |kind, subject: &str, ttl_secs, requests_per_min| Exported {
        kind,
        subject: subject.parse().unwrap(),
        ttl_secs,
        origin: "operator",
        reason: "=cmd, \"quoted\"".to_owned(),
        comment: Some("-1".to_owned()),
        requests_per_min,
    };
    vec![
        one(Kind::Ban, "203.0.113.7", Some(3600), 0),
        one(Kind::Ban, "2001:db8::/48", None, 0),
        one(Kind::Limit, "asn:64500", Some(60), 5),
        one(Kind::Allow, "country:NL", Some(60), 0),
    ]
}

#[test]
fn what_is_written_is_read_back() {
    for (format, left_out, count) in [
        (Format::Csv, 0, 4),
        (Format::Json, 0, 4),
        (Format::Plain, 2, 2),
        (Format::Fail2ban, 2, 2),
        (Format::Cscli, 1, 3),
    ] {
        let (text, missing) = export(&exported(), format);
        assert_eq!(missing, left_out, "{text}");
        let read = read(&text, None);
        assert_eq!((read.lines.len(), read.problems.len()), (count, 0), "{text}\n{:?}", read.problems);
        for (line, one) in read.lines.iter().zip(exported()) {
            assert_eq!((line.kind, line.about.to_string()), (one.kind, one.subject.to_string()), "{text}");
        }
        if matches!(format, Format::Csv | Format::Json) {
            assert_eq!(read.lines[0].reason.as_deref(), Some("=cmd, \"quoted\""));
            assert_eq!(
                (read.lines[0].span, read.lines[1].span),
                (Span::For(Duration::from_hours(1)), Span::Forever)
            );
        }
    }
}

proptest! {
    #[test]
    fn no_text_is_too_odd_to_be_read(text in "[\\PC\n\t]{0,200}", format in 0..5_usize) {
        let _read = read(&text, Some(Format::ALL[format]));
        let _guessed = read(&text, None);
    }
}
