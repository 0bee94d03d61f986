//! What `AbuseIPDB` answers to `GET /check`.

use std::net::IpAddr;

use serde::Deserialize;

use super::answer::{Failure, Outcome, Reply, by_status, has, share_of};
use super::opinion::Opinion;

#[derive(Deserialize)]
struct Body {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    ip_address: IpAddr,
    abuse_confidence_score: f64,
    #[serde(default)]
    is_whitelisted: Option<bool>,
    #[serde(default)]
    is_tor: Option<bool>,
    #[serde(default)]
    usage_type: Option<String>,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    detail: String,
}

pub(super) fn read(reply: &Reply<'_>, asked: IpAddr) -> Outcome {
    if let Some(outcome) = by_status(reply) {
        return outcome;
    }
    if reply.status == 429 {
        // Of the two kinds only one uses up the day. Where it does not say, the day is not given up.
        let told = serde_json::from_slice::<Errors>(reply.body).ok();
        let is_daily = reply.remaining == Some(0)
            || told
                .is_some_and(|told| told.errors.iter().any(|error| has(&error.detail, "daily rate limit")));
        return if is_daily {
            Outcome::Exhausted(reply.retry_after)
        } else {
            Outcome::Later(reply.retry_after)
        };
    }
    let Ok(Body { data }) = serde_json::from_slice(reply.body) else {
        return Outcome::Failed(Failure::Garbage);
    };
    if data.ip_address.to_canonical() != asked.to_canonical() {
        return Outcome::Failed(Failure::AnotherAddress);
    }
    let share = match share_of(data.abuse_confidence_score, 100.0) {
        Ok(share) => share,
        Err(outcome) => return outcome,
    };
    Outcome::Known(Opinion {
        share: if data.is_whitelisted == Some(true) { 0.0 } else { share },
        is_tor: data.is_tor == Some(true),
        is_proxy: false,
        is_hosting: data.usage_type.is_some_and(|usage| has(&usage, "data center")),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(status: u16, body: &str) -> Outcome {
        let reply = Reply {
            status,
            retry_after: Some(Duration::from_secs(9)),
            remaining: None,
            body: body.as_bytes(),
        };
        read(&reply, "45.1.2.3".parse().unwrap())
    }

    fn checked(score: &str, address: &str) -> Outcome {
        told(
            200,
            &format!(
                "{{\"data\":{{\"ipAddress\":\"{address}\",\"isWhitelisted\":null,\"abuseConfidenceScore\":{score},\
             \"usageType\":\"Data Center/Web Hosting/Transit\",\"isTor\":true,\"countryCode\":null}}}}"
            ),
        )
    }

    #[test]
    fn a_score_is_an_opinion() {
        let known = Opinion { share: 0.87, is_tor: true, is_proxy: false, is_hosting: true };
        assert_eq!(checked("87", "45.1.2.3"), Outcome::Known(known));
        assert_eq!(checked("87", "::ffff:45.1.2.3"), Outcome::Known(known));
        let white =
            "{\"data\":{\"ipAddress\":\"45.1.2.3\",\"isWhitelisted\":true,\"abuseConfidenceScore\":100}}";
        assert_eq!(told(200, white), Outcome::Known(Opinion::default()));
    }

    #[test]
    fn of_the_two_kinds_of_429_one_uses_up_the_day() {
        let daily = "{\"errors\":[{\"detail\":\"Daily rate limit of 1000 requests exceeded for this endpoint. See headers.\",\"status\":429}]}";
        assert_eq!(told(429, daily), Outcome::Exhausted(Some(Duration::from_secs(9))));
        let short = "{\"errors\":[{\"detail\":\"You can only report the same IP address (`45.1.2.3`) once in 15 minutes.\",\"status\":429}]}";
        assert_eq!(told(429, short), Outcome::Later(Some(Duration::from_secs(9))));
        assert_eq!(told(429, "<html>"), Outcome::Later(Some(Duration::from_secs(9))));
    }

    #[test]
    fn what_is_no_answer_is_no_opinion() {
        for (outcome, failure) in [
            (checked("101", "45.1.2.3"), Failure::OutOfRange),
            (checked("-1", "45.1.2.3"), Failure::OutOfRange),
            (checked("NaN", "45.1.2.3"), Failure::Garbage),
            (checked("1e999", "45.1.2.3"), Failure::Garbage),
            (checked("\"87\"", "45.1.2.3"), Failure::Garbage),
            (checked("87", "45.1.2.4"), Failure::AnotherAddress),
            (checked("87", "localhost"), Failure::Garbage),
            (told(200, ""), Failure::Garbage),
            (told(200, "[]"), Failure::Garbage),
            (told(200, &format!("{}1{}", "[".repeat(100), "]".repeat(100))), Failure::Garbage),
            (told(200, "<html>it works</html>"), Failure::Garbage),
            (told(302, ""), Failure::Redirected),
            (told(500, ""), Failure::Status),
            (told(204, ""), Failure::Status),
        ] {
            assert_eq!(outcome, Outcome::Failed(failure));
        }
        assert_eq!(told(401, ""), Outcome::KeyRefused);
        assert_eq!(told(422, ""), Outcome::Unanswerable);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_it_panic(status in 0_u16..700, body in "[\\[\\]{}\":,a-zA-Z0-9.-]{0,200}") {
            let _any = told(status, &body);
        }
    }
}
