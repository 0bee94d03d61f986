//! What `IPQualityScore` answers: also its failures come under 200.

use serde::Deserialize;

use super::answer::{Failure, Outcome, Reply, by_status, has, share_of};
use super::opinion::Opinion;

#[derive(Deserialize)]
struct Body {
    success: bool,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    fraud_score: Option<f64>,
    #[serde(default)]
    proxy: Option<bool>,
    #[serde(default)]
    vpn: Option<bool>,
    #[serde(default)]
    tor: Option<bool>,
    #[serde(default)]
    connection_type: Option<String>,
    #[serde(default)]
    is_crawler: Option<bool>,
}

pub(super) fn read(reply: &Reply<'_>) -> Outcome {
    if let Some(outcome) = by_status(reply) {
        return outcome;
    }
    if reply.status == 429 {
        return Outcome::Later(reply.retry_after);
    }
    let Ok(body) = serde_json::from_slice::<Body>(reply.body) else {
        return Outcome::Failed(Failure::Garbage);
    };
    if !body.success {
        return refused(&body.message.unwrap_or_default(), reply);
    }
    let Some(score) = body.fraud_score else { return Outcome::Failed(Failure::Garbage) };
    let share = match share_of(score, 100.0) {
        // By its own words 75 is suspicious and 85 a high risk; what is below half says nothing.
        Ok(share) => ((share - 0.5) * 2.0).max(0.0),
        Err(outcome) => return outcome,
    };
    Outcome::Known(Opinion {
        // A crawler that it has verified is one whatever else it is.
        share: if body.is_crawler == Some(true) { 0.0 } else { share },
        is_tor: body.tor == Some(true),
        is_proxy: body.proxy == Some(true) || body.vpn == Some(true),
        is_hosting: body.connection_type.is_some_and(|kind| has(&kind, "data center")),
    })
}

/// What a failure is, by the words that come with it. They are never passed on: they may hold the key.
fn refused(message: &str, reply: &Reply<'_>) -> Outcome {
    if has(message, "unauthorized") || has(message, "invalid key") || has(message, "invalid or") {
        Outcome::KeyRefused
    } else if has(message, "quota") || has(message, "credits") || has(message, "exceeded") {
        Outcome::Exhausted(reply.retry_after)
    } else if has(message, "invalid ip") || has(message, "hostname") {
        Outcome::Unanswerable
    } else {
        Outcome::Failed(Failure::Status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str) -> Outcome {
        read(&Reply { status, retry_after: None, remaining: None, body: body.as_bytes() })
    }

    #[test]
    fn a_score_is_an_opinion() {
        let body = "{\"success\":true,\"message\":\"Success\",\"fraud_score\":90,\"proxy\":true,\"vpn\":false,\"tor\":false,\
                    \"connection_type\":\"Data Center\",\"ASN\":1,\"is_crawler\":false}";
        let Outcome::Known(opinion) = told(200, body) else { panic!() };
        assert!(
            (opinion.share - 0.8).abs() < 1e-6 && opinion.is_proxy && opinion.is_hosting && !opinion.is_tor
        );
        let Outcome::Known(opinion) = told(200, "{\"success\":true,\"fraud_score\":40}") else { panic!() };
        assert_eq!(opinion, Opinion::default());
    }

    #[test]
    fn a_failure_under_200_is_one() {
        for (message, outcome) in [
            ("Invalid or unauthorized key. Please check the API key and try again.", Outcome::KeyRefused),
            ("You have insufficient credits to make this query.", Outcome::Exhausted(None)),
            ("You have exceeded your request quota of 200 per day.", Outcome::Exhausted(None)),
            ("Invalid IPv4 address, IPv6 address or hostname.", Outcome::Unanswerable),
            ("something else", Outcome::Failed(Failure::Status)),
        ] {
            assert_eq!(
                told(200, &format!("{{\"success\":false,\"message\":\"{message}\"}}")),
                outcome,
                "{message}"
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_no_opinion() {
        for body in [
            "",
            "{}",
            "{\"success\":true}",
            "{\"success\":\"true\",\"fraud_score\":1}",
            "{\"success\":true,\"fraud_score\":NaN}",
        ] {
            assert_eq!(told(200, body), Outcome::Failed(Failure::Garbage), "{body}");
        }
        assert_eq!(
            told(200, "{\"success\":true,\"fraud_score\":100.5}"),
            Outcome::Failed(Failure::OutOfRange)
        );
        assert_eq!(told(429, ""), Outcome::Later(None));
        assert_eq!(told(301, ""), Outcome::Failed(Failure::Redirected));
    }
}
