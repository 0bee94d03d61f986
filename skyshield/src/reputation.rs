//! What others say of sources: providers that are asked, lists that are fetched, attackers that are told of.
//!
//! Everything here may be dead, slow or lying, and no request notices: doors read what is published, and
//! leave what they wonder about. What is sent carries a key, so that nothing that comes back, no address
//! and no error of the network's is ever logged in its own words.

mod ask;
mod asker;
mod client;
mod feeds;
mod metrics;
mod place;
mod secret;

use crate::engine::feeds::Config as Feeds;
use crate::engine::reputation::Config;

pub use asker::{Asker, ProviderState, State};
pub use client::{Client, Fetched};
pub use feeds::{FeedState, Feeder, Feeding, Parts, Unknown};
pub use metrics::Metrics;
pub use place::Url;
pub use secret::{Secret, SecretError};

/// What is wrong with the addresses that these sections name, if anything: the key and how to mend it.
pub fn problem(feeds: &Feeds, config: &Config) -> Option<(&'static str, String)> {
    for (key, url) in [
        ("reputation.abuseipdb.url", &config.abuseipdb.url),
        ("reputation.ipqualityscore.url", &config.ipqualityscore.url),
    ] {
        if let Err(what) = Url::parse(url) {
            return Some((key, what));
        }
    }
    let keyed = Url::parse(&config.abuseipdb.url).ok();
    let mut fetches_per_day = 0;
    for feed in &feeds.lists {
        if !feed.abuseipdb && feed.url.starts_with("file:///") {
            continue;
        }
        let url = match Url::parse(&feed.url) {
            Ok(url) => url,
            Err(what) => return Some(("feeds.lists", format!("{}: {what}", feed.name))),
        };
        if feed.abuseipdb {
            fetches_per_day += 86_400_u64.div_ceil(feed.every_secs.max(1));
            if keyed.as_ref().is_none_or(|keyed| !keyed.is_same_place(&url)) {
                let what = format!(
                    "{}: the key of AbuseIPDB goes nowhere but to reputation.abuseipdb.url",
                    feed.name
                );
                return Some(("feeds.lists", what));
            }
        }
    }
    (fetches_per_day > u64::from(config.abuseipdb.blacklists_per_day)).then(|| {
        let what = "the lists of AbuseIPDB are fetched more often than reputation.abuseipdb.blacklists_per_day allows: \
                    raise every_secs";
        ("feeds.lists", what.to_owned())
    })
}
