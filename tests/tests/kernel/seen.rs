//! What the kernel side tells of what it has seen: who sends most, what bans and rules have met.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Action, Config, HitKind, Kernel, Met, Rule};
use skyshield_common::Verdict;
use tests::packet;

use crate::bench::{Bench, entry, source};
use crate::table::address;

/// Sources that send 4, 2 and 1 in 7 of all, among a thousand that send a packet each.
pub(crate) fn senders() -> anyhow::Result<()> {
    const UNIT: u32 = 50_000;
    let bench = Bench::quiet()?;
    bench.with_kernel(&bench.config(), |kernel| {
        kernel.enforcer.install(source("203.0.113.2")?, entry(1, None))?;
        kernel.enforcer.take_senders();
        let many = [("203.0.113.1", 4), ("203.0.113.2", 2), ("2001:db8:1::7", 1)];
        for (text, share) in many {
            kernel.attachment.judge_often(&packet::udp(address(text)), UNIT * share)?;
        }
        for n in 0..1_000_u16 {
            let [high, low] = n.to_be_bytes();
            kernel.attachment.judge(&packet::udp([198, 51, 96 + high, low].into()))?;
        }
        let senders = kernel.enforcer.take_senders();
        for ((text, share), sender) in many.into_iter().zip(&senders) {
            let wanted = if text.contains(':') { source("2001:db8:1::/64")? } else { source(text)? };
            ensure!(sender.source == wanted, "{wanted} is not where it belongs: {senders:?}");
            let sent = u64::from(UNIT * share);
            // A source that takes over a place counts what was there: of a thousand single packets a little.
            ensure!(sender.packets.abs_diff(sent) * 10 <= sent, "{sender:?} of {sent}");
            let is_banned = text == "203.0.113.2";
            ensure!(
                sender.dropped > sent / 2 && is_banned || sender.dropped == 0 && !is_banned,
                "{sender:?}"
            );
            ensure!(sender.bytes > sent * 40, "{sender:?}");
        }
        ensure!(kernel.enforcer.take_senders().is_empty(), "they were taken out, and are there still");
        Ok(())
    })
}

/// Each hit of a ban is counted in its entry while they are few; of very many the sum is right, and it is
/// kept when the ban is prolonged, and forgotten when another decision takes its place.
pub(crate) fn hits() -> anyhow::Result<()> {
    const FLOOD: u32 = 200_000;
    const MOST_TRIES: usize = 500;
    // Longer than a tick of the program's clock.
    const WINDOW: Duration = Duration::from_millis(11);
    let bench = Bench::quiet()?;
    bench.with_kernel(&bench.config(), |kernel| {
        let (exact, outer, inner) =
            (source("203.0.113.7")?, source("198.51.100.0/24")?, source("198.51.100.0/28")?);
        kernel.enforcer.install(exact, entry(1, None))?;
        kernel.enforcer.install(outer, entry(2, None))?;
        kernel.enforcer.install(inner, entry(3, Some(Duration::ZERO)))?;
        let met = |kernel: &Kernel, of| anyhow::Ok(kernel.enforcer.met(of)?);
        ensure!(met(kernel, exact)? == Met::default());
        for _ in 0..3 {
            kernel.attachment.judge(&packet::udp(address("203.0.113.7")))?;
            kernel.attachment.judge(&packet::udp(address("198.51.100.77")))?;
            // By the inner entry, whose own ban has ended.
            kernel.attachment.judge(&packet::udp(address("198.51.100.3")))?;
        }
        ensure!(met(kernel, exact)?.packets == 3, "{:?}", met(kernel, exact)?);
        ensure!(met(kernel, outer)?.packets == 6, "{:?}", met(kernel, outer)?);
        ensure!(met(kernel, inner)?.packets == 0, "{:?}", met(kernel, inner)?);
        ensure!(met(kernel, exact)?.last.is_some_and(|ago| ago < Duration::from_mins(1)));
        kernel.enforcer.install(exact, entry(1, Some(Duration::from_mins(10))))?;
        ensure!(met(kernel, exact)?.packets == 3, "prolonged, and forgotten what it has met");
        kernel.attachment.judge_often(&packet::udp(address("203.0.113.7")), FLOOD)?;
        // The last of them wait, each processor's, for the next that it writes down.
        let mut sent = u64::from(FLOOD) + 3;
        for _ in 0..MOST_TRIES {
            thread::sleep(WINDOW);
            kernel.attachment.judge(&packet::udp(address("203.0.113.7")))?;
            sent += 1;
            if met(kernel, exact)?.packets == sent {
                break;
            }
        }
        ensure!(met(kernel, exact)?.packets == sent, "{:?} of {sent}", met(kernel, exact)?);
        kernel.enforcer.install(exact, entry(9, None))?;
        ensure!(met(kernel, exact)?.packets == 0, "another decision's hits");
        Ok(())
    })
}

/// Rules of the configuration are in force from the start, count, and go on counting in the next daemon.
pub(crate) fn rules() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let rule = |name: &str, text: &str| -> anyhow::Result<Rule> {
        Ok(toml::from_str(&format!("name = \"{name}\"\n{text}"))?)
    };
    let mut rules = (0..255)
        .map(|n| {
            rule(
                &format!("port {n}"),
                &format!("protocol = \"tcp\"\nport = {}\naction = \"drop\"", 20_000 + n),
            )
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    rules.push(rule("dns", "protocol = \"udp\"\nport = 53\naction = \"drop\"")?);
    let config = Config { rules, ..bench.config() };
    let frame = packet::udp(address("203.0.113.7"));
    let counted = |kernel: &Kernel| -> anyhow::Result<u64> {
        let hits = kernel.enforcer.reader()?.hits()?;
        let last = hits.iter().find(|hit| hit.kind == HitKind::Rule && hit.name == "dns");
        Ok(last.context("no such rule")?.counter.packets)
    };
    bench.with_kernel(&config, |kernel| {
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "the 256th rule is not in force");
        ensure!(kernel.attachment.judge(&packet::syn(address("203.0.113.7")))? == Verdict::Pass);
        ensure!(counted(kernel)? == 1);
        Ok(())
    })?;
    bench.with_kernel(&config, |kernel| {
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop);
        ensure!(counted(kernel)? == 2, "the same rules, and counted anew");
        let mut other = config.rules.clone();
        other[255].action = Action::Pass;
        kernel.enforcer.set_rules(&other)?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Pass);
        ensure!(counted(kernel)? == 1, "another rule, and counted on");
        kernel.enforcer.set_rules(&[])?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Pass);
        Ok(())
    })
}
