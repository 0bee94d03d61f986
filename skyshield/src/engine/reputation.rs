//! What others say of sources: which question is worth its price, what an answer means, and for how long.
//!
//! Nothing here waits for anybody. Doors leave the addresses they wonder about; the desk of each provider
//! says whom to ask next, and takes the answers.

mod abuseipdb;
mod answer;
mod breaker;
mod budget;
mod config;
mod desk;
mod hearsay;
mod ipqs;
mod opinion;
mod report;
mod waiting;

pub use answer::{Answered, Failure, Outcome, Reply};
pub use budget::{Budget, Kept};
pub use config::{AbuseIpdb, Config, Fresh, IpQualityScore, Reporting};
pub use desk::{Desk, Step, Terms};
pub use hearsay::{Hearsay, MAX_WONDERS};
pub use opinion::{Opinion, Provider};
pub use report::{Report, Reporter};

/// Reads what `provider` answered to the question about `asked`.
pub fn read(provider: Provider, reply: &Reply<'_>, asked: std::net::IpAddr) -> Outcome {
    match provider {
        Provider::AbuseIpdb => abuseipdb::read(reply, asked),
        Provider::IpQualityScore => ipqs::read(reply),
    }
}
