//! The loaded program against the host library with tables of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::ensure;
use skyshield::dataplane::{Enforcer as _, Memory};
use skyshield_common::place::Policy;
use skyshield_common::rate::Due;
use skyshield_common::rules::{Act, Layer4};
use skyshield_common::{Address, Ban, PrefixBan, Rate, Reason, Settings as Wire, Verdict};
use skyshield_ebpf::{Admission, Tables, screen};
use tests::packet;

use crate::bench::{Bench, Counted, entry, source};
use crate::table::address;

/// The reference's tables: what the maps hold, looked up without a kernel.
#[derive(Default)]
struct Model {
    settings: Wire,
    bans: BTreeMap<IpAddr, Ban>,
    prefixes: Vec<(ipnet::IpNet, PrefixBan)>,
    allowed: Vec<ipnet::IpNet>,
}

pub(crate) fn ip(address: &Address) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(address.octets())).to_canonical()
}

impl Tables for Model {
    fn settings(&self) -> Option<&Wire> {
        Some(&self.settings)
    }
    fn now_ns(&self, _: &Wire) -> u64 {
        1_000
    }
    fn near_host(&self, _: &Address, _: &Wire) -> bool {
        true
    }
    fn near_prefix(&self, _: &Address, _: &Wire) -> bool {
        true
    }
    fn bans(&self, source: &Address, _: &Wire, now_ns: u64) -> bool {
        self.bans.get(&ip(source)).is_some_and(|ban| ban.holds(now_ns))
    }
    fn prefix_ban(&self, source: &Address, now_ns: u64) -> Option<u64> {
        let around = self.prefixes.iter().filter(|(prefix, _)| prefix.contains(&ip(source)));
        let (_, innermost) = around.max_by_key(|(prefix, _)| prefix.prefix_len())?;
        innermost.in_force(now_ns).map(|ban| ban.decision)
    }
    fn listed(&self, _: &Address, _: &Wire) -> bool {
        false
    }
    fn place(&self, _: &Address, _: u64) -> u32 {
        0
    }
    fn policy(&self, _: u64, _: u32) -> Policy {
        Policy::default()
    }
    fn rule(&self, _: &Address, _: Layer4, _: u64) -> Option<(u32, Act)> {
        None
    }
    fn hit(&self, _: u32, _: u64) {}
    fn is_new_flow(&self, _: u64, _: u64, _: &Wire) -> bool {
        true
    }
    fn allowed(&self, source: &Address, _: &Wire) -> bool {
        self.allowed.iter().any(|prefix| prefix.contains(&ip(source)))
    }
    fn shape(&self, _: &Address) -> Option<Rate> {
        None
    }
    fn admit(&self, _: u64, _: u64, _: u64, _: u64) -> Admission {
        Admission::Within
    }
    fn epoch(&self) -> u64 {
        0
    }
    fn after(&self, _: u64, source: &Address) -> Address {
        *source
    }
    type Home = ();
    fn home(&self, _: u64) {}
    fn is_cleared(&self, (): (), _: u64) -> bool {
        false
    }
    fn clear(&self, (): (), _: u64, _: u64) {}
    fn due(&self, (): (), _: u64, _: u64, _: Rate) -> Due {
        Due::UNKNOWN
    }
    fn admit_by(&self, (): (), _: u64, _: u64, _: &Wire, _: Due) -> Admission {
        Admission::Within
    }
}

pub(crate) fn truncated() -> anyhow::Result<()> {
    const SHORTEST: usize = 14;
    let bench = Bench::quiet()?;
    bench.with_kernel(&bench.config(), |kernel| {
        for whole in [
            packet::udp(address("203.0.113.7")),
            packet::syn(address("2001:db8::7")),
            packet::ethernet(0x8100, &[0; 60]),
        ] {
            for length in 0..=64.min(whole.len()) {
                let frame = &whole[..length];
                let model = Model::default();
                let expected = screen(frame, &model).reason;
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

pub(crate) fn random() -> anyhow::Result<()> {
    const PACKETS: usize = 20_000;
    let bench = Bench::quiet()?;
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
            model.prefixes.push((text.parse()?, PrefixBan::new(own, Ban::NONE)));
        }
        let allowed = ["10.0.0.192/26", "10.0.1.32/27", "fd00::40/122"];
        model.allowed = allowed.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let list = allowed.iter().map(|text| source(text)).collect::<Result<Vec<_>, _>>()?;
        kernel.enforcer.set_allowed(&list)?;

        let mut expected: BTreeMap<Reason, (u64, u64)> = BTreeMap::new();
        let before = Counted::now(kernel)?;
        for _ in 0..PACKETS {
            let frame = random_frame()?;
            let outcome = screen(frame.as_slice(), &model);
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

/// Bans of nested prefixes that come, end and go: the kernel judges as the model, which is itself
/// held against what was meant by its property test.
pub(crate) fn nested() -> anyhow::Result<()> {
    const STEPS: usize = 1_500;
    let bench = Bench::quiet()?;
    let config = bench.config();
    bench.with_kernel(&config, |kernel| {
        let mut memory = Memory::new(&config);
        for step in 0..STEPS {
            let [len, bits, what, probe, ..] = getrandom::u64()?.to_le_bytes();
            // 10.0.0.0/24 to /32 and fd00::/120 to /128: few enough to meet.
            let (family, base) = if what & 1 == 0 { ("10.0.0.", 24) } else { ("fd00::", 120) };
            let octet = |bits: u8| {
                if base == 24 { format!("{family}{bits}") } else { format!("{family}{bits:x}") }
            };
            let ban = source(&format!("{}/{}", octet(bits % 32), base + u32::from(len % 9)))?;
            let ttl = (what & 2 == 0).then_some(Duration::ZERO);
            if what & 0x0c == 0 {
                ensure!(kernel.enforcer.remove(ban)? == memory.remove(ban)?);
            } else {
                kernel.enforcer.install(ban, entry(step as u64 + 1, ttl))?;
                memory.install(ban, entry(step as u64 + 1, ttl))?;
            }
            if what & 0xf0 == 0 {
                ensure!(kernel.enforcer.sweep(100)? == memory.sweep(100)?);
            }
            for bits in [probe % 32, bits % 32] {
                let from: IpAddr = octet(bits).parse()?;
                let expected = if memory.judge(from).is_some() { Verdict::Drop } else { Verdict::Pass };
                let verdict = kernel.attachment.judge(&packet::udp(from))?;
                ensure!(verdict == expected, "{from}: {verdict:?} after {step} steps, the last {ban}");
            }
        }
        let sorted = |mut all: Vec<_>| {
            all.sort_by_key(|(source, _)| *source);
            all
        };
        ensure!(sorted(kernel.enforcer.entries()?) == sorted(memory.entries()?));
        ensure!(kernel.enforcer.fill() == memory.fill());
        Ok(())
    })
}
