//! A list from its bytes to the kernel, and the next one in its place.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Result, ensure};
use ipnet::IpNet;
use serde_json::{Value, json};
use skyshield::dataplane::{Config, Enforcer, Kernel, List, Memory};
use skyshield::engine::feeds::{Format, admit, parse, special_purpose};
use skyshield::engine::ranges::Ranges;

use super::{next, now};
use crate::bpffs::Bpffs;
use crate::netns::{End, Netns, Veth};

const GUARDED: &str = "guarded0";

/// A list of so many prefixes, half of them addresses, as its publisher writes it.
fn written(prefixes: u32, seed: u64) -> String {
    let mut state = seed;
    let mut text = String::from("# bench\n0.0.0.0/8\n10.0.0.0/8\n192.168.0.0/16\n");
    for n in 0..prefixes {
        // Public, and spread over half of the space.
        let address = Ipv4Addr::from_bits(next(&mut state) & 0x3fff_ffff | 0x4000_0000);
        let length = if n % 2 == 0 { 32 } else { 28 + (n / 2) % 4 };
        // Writing to a text does not fail.
        let _ = writeln!(text, "{address}/{length}");
    }
    text
}

struct Took {
    parse: Duration,
    admit: Duration,
    compile: Duration,
    load: Duration,
    ranges: usize,
    added: u32,
    removed: u32,
}

impl Took {
    fn whole(&self) -> Duration {
        self.parse + self.admit + self.compile + self.load
    }

    fn figures(&self) -> Value {
        let ms = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        json!({
            "parse_ms": ms(self.parse), "admit_ms": ms(self.admit), "compile_ms": ms(self.compile),
            "load_ms": ms(self.load), "whole_ms": ms(self.whole()), "ranges": self.ranges,
            "added": self.added, "removed": self.removed,
        })
    }
}

fn take_up(text: &str, enforcer: &mut dyn Enforcer) -> Result<(Took, Ranges)> {
    let began = now();
    let parsed = parse(text.as_bytes(), Format::Auto, None, 20_000_000)?;
    let parse = began.elapsed();
    let (ranges, _) = admit(&parsed.nets, &Ranges::default(), 0.5, None)?;
    let admit = began.elapsed().saturating_sub(parse);
    let list: Vec<IpNet> = Ranges::default()
        .and(&ranges)
        .without(&Ranges::default())
        .without(special_purpose())
        .prefixes()
        .collect();
    let compile = began.elapsed().saturating_sub(parse + admit);
    let replaced = enforcer.load_list(&List::of(&list))?;
    let load = began.elapsed().saturating_sub(parse + admit + compile);
    let (added, removed) = (replaced.added, replaced.removed);
    Ok((Took { parse, admit, compile, load, ranges: ranges.len(), added, removed }, ranges))
}

pub(super) fn measure(prefixes: u32, kernel: bool) -> Result<Value> {
    let config = Config {
        max_listed: prefixes.saturating_mul(2),
        max_listed_prefixes: prefixes.saturating_mul(2),
        ..Config::default()
    };
    if !kernel {
        return rounds(prefixes, &mut Memory::new(&config)).map(|rounds| json!({ "model": rounds }));
    }
    let (host, client) = (Netns::new("listed")?, Netns::new("client")?);
    Veth::join(
        End { netns: &client, interface: "client0", addresses: &["10.98.0.2/24"] },
        End { netns: &host, interface: GUARDED, addresses: &["10.98.0.1/24"] },
    )?;
    let bpffs = Bpffs::new()?;
    let config = Config { interface: Some(GUARDED.to_owned()), pin_dir: bpffs.pin_dir(), ..config };
    host.run(|| {
        let mut kernel = Kernel::open(&config).map_err(anyhow::Error::new)?;
        rounds(prefixes, kernel.enforcer.as_mut())
    })
}

fn rounds(prefixes: u32, enforcer: &mut dyn Enforcer) -> Result<Value> {
    let (first, ranges) = take_up(&written(prefixes, 7), enforcer)?;
    for private in ["0.1.2.3", "10.1.2.3", "192.168.1.1"] {
        ensure!(!ranges.contains(private.parse::<IpAddr>()?), "{private} is on the list");
    }
    let (same, _) = take_up(&written(prefixes, 7), enforcer)?;
    ensure!((same.added, same.removed) == (0, 0), "the same list changed something");
    let (next, _) = take_up(&written(prefixes, 8), enforcer)?;
    Ok(json!({ "first": first.figures(), "same": same.figures(), "another": next.figures() }))
}
