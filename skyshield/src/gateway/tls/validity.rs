//! From when to when a certificate is valid, read out of its DER.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

impl Validity {
    /// Of the certificate in `der` (RFC 5280, section 4.1).
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let (certificate, _) = take(der, SEQUENCE)?;
        let (mut body, _) = take(certificate, SEQUENCE)?;
        if body.first() == Some(&VERSION) {
            body = take(body, VERSION)?.1;
        }
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            body = take(body, tag)?.1;
        }
        let (validity, _) = take(body, SEQUENCE)?;
        let (from, rest) = time(validity)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }
}

/// The contents of the value at the front, which must have this tag, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, first, rest @ ..] = der else { return None };
    if *found != tag {
        return None;
    }
    let (len, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long => {
            let (octets, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            // Four octets are more than any certificate takes.
            if octets.is_empty() || octets.len() > 4 {
                return None;
            }
            (octets.iter().fold(0, |len, &octet| len << 8 | usize::from(octet)), rest)
        }
    };
    rest.split_at_checked(len)
}

fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (tag, short_year) = match der.first()? {
        &UTC_TIME => (UTC_TIME, true),
        _ => (GENERALIZED_TIME, false),
    };
    let (text, rest) = take(der, tag)?;
    let text = std::str::from_utf8(text).ok()?;
    // RFC 5280: two digits from 50 on are of the twentieth century.
    let text = match (short_year, text.as_bytes().first()?) {
        (false, _) => text.to_owned(),
        (true, b'5'..=b'9') => format!("19{text}"),
        (true, _) => format!("20{text}"),
    };
    let at = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    Some((TimeZone::UTC.to_timestamp(at).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn both_ends_are_read_in_both_forms_of_time() {
        let der = certificate((1999, 12, 31), (2150, 1, 2));
        let validity = Validity::of(&der).unwrap();
        assert_eq!(validity.from.to_string(), "1999-12-31T00:00:00Z");
        assert_eq!(validity.until.to_string(), "2150-01-02T00:00:00Z");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(cut in 0..400_usize, at in 0..400_usize, byte in 0..=255_u8) {
            let mut der = certificate((2020, 1, 1), (2030, 1, 1));
            let at = at % der.len();
            der[at] = byte;
            let _any = Validity::of(&der[..cut.min(der.len())]);
            let _any = Validity::of(&der);
        }
    }
}
