//! The short way against the long one.

use std::vec;

use proptest::prelude::*;
use skyshield_common::{Ban, PrefixBan, Rate, flag};

use super::*;
use crate::screen::screen;
use crate::screen::tests::{FRAME, Model, quickly};

/// UDP without a byte, over IPv6.
const FRAME_V6: [u8; 62] = {
    let mut frame = [0; 62];
    (frame[12], frame[13], frame[14], frame[19], frame[20], frame[21]) = (0x86, 0xdd, 0x60, 8, 17, 64);
    (frame[22], frame[37], frame[38], frame[53], frame[59]) = (0x20, 7, 0xfd, 1, 8);
    frame
};

fn models() -> impl Strategy<Value = Model> {
    let settings = (
        prop::sample::select(vec![(0, 0), (0, 1_000), (0, 1_001), (flag::DRY_RUN, 0)]),
        prop::option::of(any::<u64>()),
        any::<[bool; 4]>(),
        prop::sample::select(vec![0, 999, 1_000]),
        prop::sample::select(vec![None, Some(Limit::Packets), Some(Limit::Udp)]),
    );
    let settings = settings.prop_map(
        |((flags, bypass_until_ns), spared, [rules, places, shaped, drops], silent_after_ns, limit)| {
            let settings = Settings {
                flags,
                spared: spared.unwrap_or_default(),
                rules: rules.into(),
                places: places.into(),
                shaped: shaped.into(),
                dropped: if drops { !Reason::Passed.bit() } else { 0 },
                silent_after_ns,
                bypass_until_ns,
                ..Settings::default()
            };
            limit.map_or(settings, |limit| settings.with_rate(limit, Rate { interval: 1, tolerance: 1 }))
        },
    );
    let ban = || prop::option::of(prop::sample::select(vec![Ban::new(900, 7, 1), Ban::new(2_000, 8, 1)]));
    let admission = prop::sample::select(vec![Admission::Within, Admission::Over, Admission::Untracked]);
    (settings, ban(), ban(), any::<[bool; 4]>(), admission).prop_map(
        |(settings, ban, prefix, [listed, allowed, at_a_glance, was_there], admission)| Model {
            settings: Some(settings),
            ban,
            prefix: prefix.map(|ban| PrefixBan::new(ban, Ban::NONE)),
            listed,
            allowed,
            admission,
            at_a_glance,
            was_there,
            ..Model::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn what_it_says_is_what_the_long_way_says(
        model in models(),
        is_v6: bool,
        changes in prop::collection::vec((12_usize..62, any::<u8>()), 0..3),
        cut in 0_usize..80,
    ) {
        let mut frame = if is_v6 { FRAME_V6.to_vec() } else { FRAME.to_vec() };
        for (at, byte) in changes {
            if let Some(field) = frame.get_mut(at) {
                *field = byte;
            }
        }
        frame.truncate(cut.max(14));
        if let Some(reason) = quickly(frame.as_slice(), &model).reason() {
            prop_assert_eq!(reason, screen(frame.as_slice(), &model).reason);
        }
    }
}

#[test]
fn most_packets_go_by_it() {
    let settings = Settings::default().with_rate(Limit::Packets, Rate { interval: 1, tolerance: 1 });
    let model = |admission| Model { settings: Some(settings), admission, ..Model::default() };
    for frame in [FRAME.as_slice(), FRAME_V6.as_slice()] {
        assert_eq!(quickly(frame, &model(Admission::Within)), Quick::Passed);
        assert_eq!(quickly(frame, &model(Admission::Over)), Quick::Exceeded(1_000));
        let banned = Model { ban: Some(Ban::new(2_000, 7, 1)), ..model(Admission::Within) };
        assert_eq!(quickly(frame, &banned), Quick::Banned(1_000));
    }
}
