//! What is kept beside the maps.

use super::super::{Config, Memory};
use super::*;
use crate::engine::decision::{DecisionId, Origin};

#[test]
fn bans_that_are_lifted_or_lengthened_over_and_over_take_no_more_room() {
    let mut memory = Memory::new(&Config::default());
    let entry = |secs| Entry {
        decision: DecisionId(1),
        origin: Origin::Detector,
        ttl: Some(Duration::from_secs(secs)),
    };
    let (kept, prefix): (Source, Source) = ("2001:db8::1".parse().unwrap(), "10.0.0.0/8".parse().unwrap());
    for turn in 0..20_000_u32 {
        let lifted = Source::host(Ipv4Addr::from_bits(turn).into());
        memory.install(lifted, entry(600)).unwrap();
        memory.remove(lifted).unwrap();
        memory.install(kept, entry(60 + u64::from(turn))).unwrap();
        memory.install(prefix, entry(100)).unwrap();
        memory.sweep(10).unwrap();
    }
    assert!(!memory.deadlines.are_crowded(2 + 3));
    // What is still in force ends as it should.
    memory.advance(Duration::from_secs(110));
    assert_eq!(memory.sweep(10).unwrap(), 1);
    memory.advance(Duration::from_secs(20_000));
    assert_eq!(memory.sweep(10_000).unwrap(), 1);
}
