//! Packets through the loaded program by `BPF_PROG_TEST_RUN`: each row a verdict and a counter.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Config, Enforcer as _, Error, Kernel, Memory, Settings};
use skyshield_common::{Address, Ban, PrefixBan, RateKey, Reason, Settings as Wire, Verdict};
use skyshield_ebpf::{Admission, Tables, parse, screen};
use tests::packet;

use crate::bench::{Bench, Counted, entry, source};

/// What is in force while a row runs.
struct Setting {
    description: &'static str,
    bans: &'static [&'static str],
    ended_bans: &'static [&'static str],
    allowed: &'static [&'static str],
    change: fn(&mut Settings),
    silent: bool,
}

const PLAIN: Setting = Setting {
    description: "nothing in force",
    bans: &[],
    ended_bans: &[],
    allowed: &[],
    change: |_| {},
    silent: false,
};

const BANS: &[&str] = &["203.0.113.7", "198.51.100.0/24", "2001:db8:7::7", "2001:db8:9::/48"];
const ALLOWED: &[&str] = &["203.0.113.0/24", "198.51.100.9", "2001:db8:7::/64", "2001:db8:9:1::/64"];

/// One packet a second and a burst of one: the second packet is over it.
fn one_packet(settings: &mut Settings) {
    settings.rate_packets_per_sec = 1;
    settings.rate_burst = 1;
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// The settings, and in each the frames with the reasons they must have.
fn rows() -> Vec<(Setting, Vec<(&'static str, Vec<u8>, Reason)>)> {
    let udp = |text| packet::udp(address(text));
    let syn = |text| packet::syn(address(text));
    let with = |mut frame: Vec<u8>, at: usize, byte: u8| {
        frame[at] = byte;
        frame
    };
    let banned = Setting { description: "bans", bans: BANS, ..PLAIN };
    vec![
        (
            PLAIN,
            vec![
                ("UDP over IPv4", udp("203.0.113.7"), Reason::Passed),
                ("TCP SYN over IPv4", syn("203.0.113.7"), Reason::Passed),
                ("UDP over IPv6", udp("2001:db8::7"), Reason::Passed),
                ("TCP SYN over IPv6", syn("2001:db8::7"), Reason::Passed),
                ("ARP", packet::ethernet(0x0806, &[0; 28]), Reason::NotIp),
                ("LLDP", packet::ethernet(0x88cc, &[0; 46]), Reason::NotIp),
                ("Ethernet header alone", packet::ethernet(0x0806, &[]), Reason::NotIp),
                ("802.1Q", packet::ethernet(0x8100, &[0; 46]), Reason::VlanTagged),
                ("802.1ad", packet::ethernet(0x88a8, &[0; 46]), Reason::VlanTagged),
                ("QinQ before its standard", packet::ethernet(0x9100, &[0; 46]), Reason::VlanTagged),
                ("IPv4 cut in its header", packet::ethernet(0x0800, &[0x45; 19]), Reason::TruncatedIpv4),
                ("IPv4 of version 6", with(udp("203.0.113.7"), 14, 0x65), Reason::MalformedIpv4),
                ("IPv4 header of 4 words", with(udp("203.0.113.7"), 14, 0x44), Reason::MalformedIpv4),
                ("IPv4 header of no words", with(udp("203.0.113.7"), 14, 0x40), Reason::MalformedIpv4),
                ("IPv4 length below its header", with(udp("203.0.113.7"), 17, 19), Reason::MalformedIpv4),
                ("IPv4 options beyond the frame", with(udp("203.0.113.7"), 14, 0x4f), Reason::MalformedIpv4),
                ("IPv6 cut in its header", packet::ethernet(0x86dd, &[0x60; 39]), Reason::TruncatedIpv6),
                ("IPv6 of version 4", with(udp("2001:db8::7"), 14, 0x40), Reason::MalformedIpv6),
                ("IPv6 hop-by-hop header", packet::ip(address("2001:db8::7"), 0, &[59; 8]), Reason::Passed),
                ("IPv6 fragment", packet::ip(address("2001:db8::7"), 44, &[17; 16]), Reason::Passed),
            ],
        ),
        (
            banned,
            vec![
                ("banned address", udp("203.0.113.7"), Reason::BannedExact),
                ("its neighbour", udp("203.0.113.8"), Reason::Passed),
                ("banned address, SYN", syn("203.0.113.7"), Reason::BannedExact),
                ("banned address, a later fragment", with(udp("203.0.113.7"), 21, 1), Reason::BannedExact),
                ("banned address, GRE", packet::ip(address("203.0.113.7"), 47, &[]), Reason::BannedExact),
                ("banned prefix, first", udp("198.51.100.0"), Reason::BannedPrefix),
                ("banned prefix, last", udp("198.51.100.255"), Reason::BannedPrefix),
                ("beside the banned prefix", udp("198.51.101.0"), Reason::Passed),
                ("banned IPv6 address", udp("2001:db8:7::7"), Reason::BannedExact),
                ("its neighbour", udp("2001:db8:7::8"), Reason::Passed),
                ("banned IPv6 prefix", udp("2001:db8:9:ffff::1"), Reason::BannedPrefix),
                ("beside the banned IPv6 prefix", udp("2001:db8:a::1"), Reason::Passed),
                (
                    "banned IPv6 address behind an extension header",
                    packet::ip(address("2001:db8:7::7"), 0, &[59; 8]),
                    Reason::BannedExact,
                ),
                ("banned IPv4 address, mapped", udp("::ffff:203.0.113.7"), Reason::BannedExact),
                ("ARP", packet::ethernet(0x0806, &[0; 28]), Reason::NotIp),
            ],
        ),
        (
            Setting { description: "bans that have ended", ended_bans: BANS, ..PLAIN },
            vec![
                ("address", udp("203.0.113.7"), Reason::Passed),
                ("prefix", udp("198.51.100.1"), Reason::Passed),
                ("IPv6 address", udp("2001:db8:7::7"), Reason::Passed),
                ("IPv6 prefix", udp("2001:db8:9::1"), Reason::Passed),
            ],
        ),
        (
            Setting { description: "bans and an allow list", bans: BANS, allowed: ALLOWED, ..PLAIN },
            vec![
                ("banned address in an allowed prefix", udp("203.0.113.7"), Reason::AllowedBan),
                ("allowed address in a banned prefix", udp("198.51.100.9"), Reason::AllowedBan),
                ("its neighbour", udp("198.51.100.8"), Reason::BannedPrefix),
                ("banned IPv6 address, allowed", udp("2001:db8:7::7"), Reason::AllowedBan),
                ("allowed in a banned IPv6 prefix", udp("2001:db8:9:1::1"), Reason::AllowedBan),
                ("its neighbour", udp("2001:db8:9:2::1"), Reason::BannedPrefix),
                ("allowed and not banned", udp("203.0.113.1"), Reason::Passed),
            ],
        ),
        (
            Setting { description: "a rate", allowed: &["203.0.113.9"], change: one_packet, ..PLAIN },
            vec![
                ("first", udp("203.0.113.7"), Reason::Passed),
                ("second", udp("203.0.113.7"), Reason::RateExceeded),
                ("another source", udp("203.0.113.8"), Reason::Passed),
                ("allowed, first", udp("203.0.113.9"), Reason::Passed),
                ("allowed, second", udp("203.0.113.9"), Reason::AllowedRate),
                ("IPv6, first", udp("2001:db8:1::1"), Reason::Passed),
                ("IPv6, second of the network", udp("2001:db8:1::2"), Reason::RateExceeded),
                ("IPv6, another network", udp("2001:db8:2::1"), Reason::Passed),
            ],
        ),
        (
            Setting {
                description: "dry run",
                bans: BANS,
                allowed: &["198.51.100.9"],
                change: |settings| {
                    one_packet(settings);
                    settings.dry_run = true;
                },
                ..PLAIN
            },
            vec![
                ("banned address", udp("203.0.113.7"), Reason::DryRunBannedExact),
                ("banned prefix", udp("198.51.100.8"), Reason::DryRunBannedPrefix),
                ("allowed", udp("198.51.100.9"), Reason::AllowedBan),
                ("rate, first", udp("203.0.113.100"), Reason::Passed),
                ("rate, second", udp("203.0.113.100"), Reason::DryRunRateExceeded),
            ],
        ),
        (
            Setting { description: "bypass", bans: BANS, change: |settings| settings.bypass = true, ..PLAIN },
            vec![
                ("banned", udp("203.0.113.7"), Reason::Bypassed),
                ("malformed", with(udp("203.0.113.7"), 14, 0x40), Reason::Bypassed),
            ],
        ),
        (
            Setting { description: "the daemon silent", bans: BANS, silent: true, ..PLAIN },
            vec![("banned", udp("203.0.113.7"), Reason::DaemonSilent)],
        ),
    ]
}

/// Reasons that no row can bring about: the kernel runs no frame shorter than its Ethernet header,
/// an array's slot is never missing, and the rate table recycles rather than refuse.
const BEYOND_ROWS: [Reason; 3] = [Reason::TruncatedEthernet, Reason::Unexpected, Reason::RateUntracked];

pub(crate) fn table() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    let mut hit = BTreeSet::from(BEYOND_ROWS);
    for (setting, packets) in rows() {
        // Pins of its own each: rates and silence must not reach the next.
        let config = Config {
            pin_dir: bench.bpffs.path().join(setting.description.replace(' ', "-")),
            ..bench.config()
        };
        bench.with_kernel(&config, |kernel| {
            apply(kernel, &config, &setting)?;
            for (description, frame, reason) in packets {
                let before = Counted::now(kernel)?;
                let verdict = kernel.attachment.judge(&frame)?;
                let counted = Counted::now(kernel)?.since(&before);
                let expected = BTreeMap::from([(reason, (1, frame.len() as u64))]);
                ensure!(
                    counted == expected && verdict == reason.verdict(),
                    "{}: {description}: {verdict:?} by {counted:?}, not {reason:?}",
                    setting.description
                );
                hit.insert(reason);
            }
            Ok(())
        })?;
        detach(&config)?;
    }
    let missed: Vec<_> = Reason::ALL.into_iter().filter(|reason| !hit.contains(reason)).collect();
    ensure!(missed.is_empty(), "no row has {missed:?}");
    Ok(())
}

fn apply(kernel: &mut Kernel, config: &Config, setting: &Setting) -> anyhow::Result<()> {
    for (decision, ban) in (1..).zip(setting.bans) {
        kernel.enforcer.install(source(ban)?, entry(decision, None))?;
    }
    for ban in setting.ended_bans {
        kernel.enforcer.install(source(ban)?, entry(1, Some(Duration::ZERO)))?;
    }
    let allowed = setting.allowed.iter().map(|text| source(text)).collect::<Result<Vec<_>, _>>()?;
    kernel.enforcer.set_allowed(&allowed)?;
    let mut settings = config.settings();
    (setting.change)(&mut settings);
    kernel.enforcer.set_settings(settings)?;
    if setting.silent {
        kernel.enforcer.heartbeat(Duration::ZERO)?;
    }
    Ok(())
}

fn detach(config: &Config) -> anyhow::Result<()> {
    if let Some(pinned) = skyshield::dataplane::Pinned::open(&config.pin_dir)? {
        pinned.detach()?;
    }
    Ok(())
}

pub(crate) fn truncated() -> anyhow::Result<()> {
    const SHORTEST: usize = 14;
    let bench = Bench::new()?;
    bench.with_kernel(&bench.config(), |kernel| {
        for whole in [
            packet::udp(address("203.0.113.7")),
            packet::syn(address("2001:db8::7")),
            packet::ethernet(0x8100, &[0; 60]),
        ] {
            for length in 0..=64.min(whole.len()) {
                let frame = &whole[..length];
                let model = Model::default();
                let expected = screen(&parse(frame), &model).reason;
                if length < SHORTEST {
                    // The kernel does not run these; the reference still has to have an answer.
                    ensure!(expected == Reason::TruncatedEthernet || length == SHORTEST);
                    continue;
                }
                let before = Counted::now(kernel)?;
                let verdict = kernel.attachment.judge(frame)?;
                let counted = Counted::now(kernel)?.since(&before);
                ensure!(
                    counted == BTreeMap::from([(expected, (1, length as u64))]) && verdict == Verdict::Pass,
                    "{length} bytes: {verdict:?} by {counted:?}, not {expected:?}"
                );
            }
        }
        Ok(())
    })
}

/// The reference's tables: what the maps hold, looked up without a kernel.
#[derive(Default)]
struct Model {
    bans: BTreeMap<IpAddr, Ban>,
    prefixes: Vec<(ipnet::IpNet, PrefixBan)>,
    allowed: Vec<ipnet::IpNet>,
}

fn ip(address: &Address) -> IpAddr {
    match address {
        Address::V4(bytes) => IpAddr::V4(Ipv4Addr::from(*bytes)),
        Address::V6(bytes) => IpAddr::V6(Ipv6Addr::from(*bytes)),
    }
}

impl Tables for Model {
    fn settings(&self) -> Option<Wire> {
        Some(Wire::default())
    }
    fn now_ns(&self) -> u64 {
        1_000
    }
    fn ban(&self, source: &Address) -> Option<Ban> {
        self.bans.get(&ip(source)).copied()
    }
    fn prefix_ban(&self, source: &Address) -> Option<PrefixBan> {
        let around = self.prefixes.iter().filter(|(prefix, _)| prefix.contains(&ip(source)));
        around.max_by_key(|(prefix, _)| prefix.prefix_len()).map(|(_, ban)| *ban)
    }
    fn allowed(&self, source: &Address) -> bool {
        self.allowed.iter().any(|prefix| prefix.contains(&ip(source)))
    }
    fn admit(&self, _: &RateKey, _: u64, _: u64, _: u64) -> Admission {
        Admission::Within
    }
}

pub(crate) fn random() -> anyhow::Result<()> {
    const PACKETS: usize = 20_000;
    let bench = Bench::new()?;
    bench.with_kernel(&bench.config(), |kernel| {
        let mut model = Model::default();
        // Half of a small space banned, a quarter of it allowed, so that random sources meet them.
        for low in 0..128_u8 {
            let host = IpAddr::from([10, 0, 0, low.wrapping_mul(2)]);
            kernel.enforcer.install(source(&host.to_string())?, entry(1, None))?;
            model.bans.insert(host, Ban::new(u64::MAX, 1, 3));
        }
        for text in ["10.0.1.0/25", "10.0.1.64/26", "fd00::/121", "10.0.0.0/30"] {
            kernel.enforcer.install(source(text)?, entry(2, None))?;
            let own = Ban::new(u64::MAX, 2, 3);
            model.prefixes.push((text.parse()?, PrefixBan { own, cover: Ban::NONE }));
        }
        let allowed = ["10.0.0.192/26", "10.0.1.32/27", "fd00::40/122"];
        model.allowed = allowed.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let list = allowed.iter().map(|text| source(text)).collect::<Result<Vec<_>, _>>()?;
        kernel.enforcer.set_allowed(&list)?;

        let mut expected: BTreeMap<Reason, (u64, u64)> = BTreeMap::new();
        let before = Counted::now(kernel)?;
        for _ in 0..PACKETS {
            let frame = random_frame()?;
            let outcome = screen(&parse(frame.as_slice()), &model);
            let verdict = kernel.attachment.judge(&frame)?;
            ensure!(verdict == outcome.reason.verdict(), "{verdict:?} on {frame:02x?}: {outcome:?}");
            let counted = expected.entry(outcome.reason).or_default();
            *counted = (counted.0 + 1, counted.1 + frame.len() as u64);
        }
        let counted = Counted::now(kernel)?.since(&before);
        ensure!(counted == expected, "{counted:?}, not {expected:?}");
        Ok(())
    })
}

/// Mostly packets of a small space of sources, some with a byte changed, some cut.
fn random_frame() -> anyhow::Result<Vec<u8>> {
    let dice = getrandom::u64()?.to_le_bytes();
    let source = match dice[0] % 4 {
        0 => IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(dice[1]))),
        1 => IpAddr::from(Ipv4Addr::new(10, 0, 0, dice[1]).to_ipv6_mapped()),
        _ => IpAddr::from([10, 0, dice[2] % 3, dice[1]]),
    };
    let mut frame = if dice[3] % 2 == 0 { packet::udp(source) } else { packet::syn(source) };
    if dice[3] < 64 {
        let at = usize::from(dice[4]) % frame.len();
        frame[at] = dice[5];
    }
    if dice[6] < 32 {
        frame.truncate(14 + usize::from(dice[7]) % (frame.len() - 14));
    }
    Ok(frame)
}

pub(crate) fn nested_prefixes() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    bench.with_kernel(&bench.config(), |kernel| {
        let frame = packet::udp(address("203.0.113.3"));
        let (outer, inner) = (source("203.0.113.0/24")?, source("203.0.113.0/28")?);
        kernel.enforcer.install(outer, entry(1, None))?;
        kernel.enforcer.install(inner, entry(2, Some(Duration::ZERO)))?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "the ended inner ban hid the outer one");
        kernel.enforcer.remove(outer)?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Pass, "the lifted outer ban is still in force");
        kernel.enforcer.install(outer, entry(3, None))?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "the inner entry did not take it up");
        ensure!(kernel.enforcer.sweep(10)? == 1);
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "swept, and the outer ban went with it");
        Ok(())
    })
}

pub(crate) fn full_ring() -> anyhow::Result<()> {
    const DROPS: u32 = 60_000;
    let bench = Bench::new()?;
    let config = Config { events_per_ms: 1_000_000, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        kernel.enforcer.install(source("203.0.113.7")?, entry(1, None))?;
        let before = Counted::now(kernel)?;
        let frame = packet::udp(address("203.0.113.7"));
        ensure!(kernel.attachment.judge_often(&frame, DROPS)? == Verdict::Drop);
        let dropped =
            Counted::now(kernel)?.packets(Reason::BannedExact) - before.packets(Reason::BannedExact);
        let events = kernel.enforcer.event_counters()?;
        ensure!(dropped == u64::from(DROPS));
        ensure!(events.lost > 0, "the ring did not fill: {events:?}");
        ensure!(events.sent + events.lost + events.skipped == dropped, "{events:?} for {dropped} drops");
        let mut read = 0;
        loop {
            match kernel.events.poll().len() {
                0 => break,
                some => read += some as u64,
            }
        }
        ensure!(read == events.sent, "{read} read of {events:?}");
        Ok(())
    })
}

pub(crate) fn full_maps() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    let config = Config { max_bans: 8, max_prefixes: 4, max_allowed: 2, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        for low in 0..8 {
            kernel.enforcer.install(source(&format!("203.0.113.{low}"))?, entry(1, None))?;
        }
        for low in 0..4 {
            kernel.enforcer.install(source(&format!("10.{low}.0.0/16"))?, entry(2, None))?;
        }
        let full = kernel.enforcer.install(source("203.0.113.8")?, entry(3, None));
        ensure!(matches!(full, Err(Error::Full { capacity: 8, .. })), "{full:?}");
        let full = kernel.enforcer.install(source("10.4.0.0/16")?, entry(3, None));
        ensure!(matches!(full, Err(Error::Full { capacity: 4, .. })), "{full:?}");
        // What is there may still be changed.
        kernel.enforcer.install(source("203.0.113.7")?, entry(4, None))?;
        kernel.enforcer.install(source("10.3.0.0/16")?, entry(4, None))?;
        ensure!(kernel.enforcer.entries()?.len() == 12);
        // A whole new allow list fits beside the old one for the moment of the change.
        kernel.enforcer.set_allowed(&[source("192.0.2.1")?, source("192.0.2.2")?])?;
        kernel.enforcer.set_allowed(&[source("192.0.2.3")?, source("192.0.2.4")?])?;

        // The model has the same semantics.
        let mut memory = Memory::new(&config);
        for (source, entry) in kernel.enforcer.entries()? {
            memory.install(source, entry)?;
        }
        let mut kept = kernel.enforcer.entries()?;
        kept.sort_by_key(|(source, _)| *source);
        let mut modelled = memory.entries()?;
        modelled.sort_by_key(|(source, _)| *source);
        ensure!(kept == modelled && kernel.enforcer.fill()[..4] == memory.fill()[..4]);
        Ok(())
    })
}

pub(crate) fn events() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    bench.with_kernel(&bench.config(), |kernel| {
        kernel.enforcer.install(source("2001:db8::7")?, entry(77, None))?;
        let frame = packet::syn(address("2001:db8::7"));
        kernel.attachment.judge(&frame)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let told = runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(2), kernel.events.next()).await })??;
        let event = told.first().context("no event")?;
        ensure!(event.decision == 77 && event.reason == Reason::BannedExact.index(), "{event:?}");
        ensure!(event.address().map(|address| ip(&address)) == Some(address("2001:db8::7")));
        ensure!((event.source_port, event.destination_port, event.protocol) == (12345, 443, packet::TCP));
        ensure!(event.length as usize == frame.len() && event.at_ns > 0);
        Ok(())
    })
}
