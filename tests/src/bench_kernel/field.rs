//! Where frames are made and where they end: a veth pair for each filter, all of one generator.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use aya::Ebpf;
use aya::maps::{Array, ProgramArray};
use aya::programs::{Program, ProgramFd, TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode};
use nix::time::{ClockId, clock_gettime};

use super::target::now;
use super::{scattered, scattered_v6};
use crate::bpffs::Bpffs;
use crate::netns::{End, Netns, Veth};
use crate::packet;

const XDP_DROP: u64 = 1;
const XDP_TX: u64 = 3;
const BATCH: u32 = 64;
/// The generator's end and the filter's, of every pair.
const NEAR_END: &str = "bench0";
/// The filter's end.
pub(crate) const FAR_END: &str = "bench1";
const FAR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

/// A pair of namespaces joined, with a generator in the one.
pub(crate) struct Field {
    near: Netns,
    pub(crate) far: Netns,
    pub(crate) bpffs: Bpffs,
    object: Ebpf,
    ifindex: u32,
}

/// Which sources the frames come from: addresses of IPv4, or of IPv6 one in each /64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) is_v6: bool,
}

impl Sources {
    pub(crate) const fn v4(first: u32, count: u32) -> Self {
        Self { first, count, is_v6: false }
    }

    pub(crate) const fn v6(first: u32, count: u32) -> Self {
        Self { first, count, is_v6: true }
    }

    /// A frame of one of them, which the generator makes the others' of.
    pub(crate) fn frame(self) -> Vec<u8> {
        packet::udp(if self.is_v6 { scattered_v6(0).into() } else { scattered(0).into() })
    }
}

/// A program of the bench that does one thing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Idle {
    Floor,
    Pass,
}

impl Field {
    pub(crate) fn new(hint: &str) -> anyhow::Result<Self> {
        let (near, far) = (Netns::new(&format!("{hint}-gen"))?, Netns::new(hint)?);
        // Its stack would look for neighbours: nothing goes over the wire but what is generated.
        near.run(|| {
            let told = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
            told.context(
                "turning off IPv6 at the generator, which the kernel must have: the bench measures it, too",
            )
        })?;
        Veth::join(
            End { netns: &near, interface: NEAR_END, addresses: &[] },
            End { netns: &far, interface: FAR_END, addresses: &["10.98.0.1/24"] },
        )?;
        far.ip(&["link", "set", FAR_END, "address", "02:00:00:00:00:01"])?;
        let path = std::env::var("SKYSHIELD_GENERATOR").context("SKYSHIELD_GENERATOR: start by xtask")?;
        let mut object = Ebpf::load(&std::fs::read(path)?)?;
        for name in ["generate", "relay", "parsed", "floor", "pass"] {
            program(&mut object, name)?.load()?;
        }
        let ifindex = near.run(|| Ok(nix::net::if_::if_nametoindex(NEAR_END)?))?;
        Ok(Self { near, far, bpffs: Bpffs::new()?, object, ifindex })
    }

    /// Attaches one of the bench's own programs at the far end.
    pub(crate) fn attach(&mut self, idle: Idle) -> anyhow::Result<()> {
        let name = match idle {
            Idle::Floor => "floor",
            Idle::Pass => "pass",
        };
        let (far, object) = (&self.far, &mut self.object);
        far.run(move || {
            let program = program(object, name)?;
            program.attach(FAR_END, XdpMode::Driver)?;
            Ok(())
        })
    }

    /// Makes `count` frames for the far end; the time each took, in ns. To whom: the host, or, as a
    /// sink that costs little, a neighbour it does not take frames for.
    pub(crate) fn send(&mut self, sources: Sources, count: u32, to_host: bool) -> anyhow::Result<f64> {
        self.make(sources, count, to_host, XDP_TX)
    }

    /// Makes `count` frames for nobody.
    pub(crate) fn make_only(&mut self, sources: Sources, count: u32) -> anyhow::Result<f64> {
        self.make(sources, count, true, XDP_DROP)
    }

    fn make(&mut self, sources: Sources, count: u32, to_host: bool, action: u64) -> anyhow::Result<f64> {
        let mut frame = sources.frame();
        frame[..6].copy_from_slice(if to_host { &FAR_MAC } else { &[0x02, 0, 0, 0, 0, 0x77] });
        if !sources.is_v6 {
            frame[30..34].copy_from_slice(&[10, 98, 0, 1]);
            frame[24..30].fill(0);
        }
        let sum: u64 =
            frame[14..34].chunks(2).map(|two| u64::from(u16::from_le_bytes([two[0], two[1]]))).sum();
        self.aim(sources, sum, action)?;
        let mut context = [0_u8; 24];
        context[4..8].copy_from_slice(&u32::try_from(frame.len())?.to_ne_bytes());
        context[12..16].copy_from_slice(&self.ifindex.to_ne_bytes());
        let object = &mut self.object;
        let took = self.near.run(move || {
            let options = TestRunOptions {
                data_in: Some(&frame),
                ctx_in: Some(&context),
                repeat: count,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            };
            Ok(program(object, "generate")?.test_run(options)?.duration)
        })?;
        ensure!(took > Duration::ZERO, "the kernel measured nothing");
        Ok(took.as_secs_f64() * 1e9)
    }

    /// Says which sources come next.
    fn aim(&mut self, sources: Sources, sum: u64, action: u64) -> anyhow::Result<()> {
        let mut state: Array<_, [u64; 5]> = self.object.map_mut("STATE").context("no STATE")?.try_into()?;
        let [made, ..] = state.get(&0, 0)?;
        state.set(0, [made, sources.first.into(), sources.count.into(), sum, action], 0)?;
        Ok(())
    }

    /// Has a program judge `times` packets of these sources, without a wire: the time each took in ns
    /// of this thread's processor, the relay's share included.
    pub(crate) fn relay(&mut self, to: &ProgramFd, sources: Sources, times: u32) -> anyhow::Result<f64> {
        let mut next: ProgramArray<_> = self.object.map_mut("NEXT").context("no NEXT")?.try_into()?;
        next.set(0, to, 0)?;
        self.aim(sources, 0, 0)?;
        let frame = sources.frame();
        let relay = program(&mut self.object, "relay")?;
        let started = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
        relay.test_run(TestRunOptions { data_in: Some(&frame), repeat: times, ..TestRunOptions::new() })?;
        let took = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)? - started;
        Ok(Duration::from(took).as_secs_f64() * 1e9 / f64::from(times))
    }

    /// One of the bench's own programs, to be relayed to.
    pub(crate) fn own(&mut self, name: &str) -> anyhow::Result<ProgramFd> {
        let program = program(&mut self.object, name)?;
        Ok(program.fd()?.try_clone()?)
    }

    /// What has been taken in since, once it is as many frames as were sent.
    pub(crate) fn taken_since(&self, before: [u64; 3], frames: u64) -> anyhow::Result<[u64; 3]> {
        const PATIENCE: Duration = Duration::from_millis(100);
        let started = now();
        let mut since = [0; 3];
        // Without a pause: a processor that rests is given to others.
        while since[0] < frames && started.elapsed() < PATIENCE {
            let now = self.taken()?;
            since = [now[0] - before[0], now[1] - before[1], now[2] - before[2]];
        }
        Ok(since)
    }

    /// What the far end has taken in: frames, and IP packets that its stack began and ended with.
    pub(crate) fn taken(&self) -> anyhow::Result<[u64; 3]> {
        self.far.run(|| {
            let frames = std::fs::read_to_string("/proc/thread-self/net/dev")?;
            let line =
                frames.lines().find_map(|line| line.trim().strip_prefix(FAR_END)).context("no device")?;
            let frames =
                line.trim_start_matches(':').split_whitespace().nth(1).context("no frames")?.parse()?;
            let told = std::fs::read_to_string("/proc/thread-self/net/snmp")?;
            let mut lines = told.lines().filter_map(|line| line.strip_prefix("Ip: "));
            let (names, values) = (lines.next().context("no Ip")?, lines.next().context("no Ip")?);
            let of = |name| {
                let found = names.split(' ').zip(values.split(' ')).find(|(known, _)| *known == name);
                Ok::<u64, anyhow::Error>(found.context("no such counter")?.1.parse()?)
            };
            Ok([frames, of("InReceives")?, of("InDelivers")?])
        })
    }
}

fn program<'a>(object: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut Xdp> {
    match object.program_mut(name) {
        Some(Program::Xdp(program)) => Ok(program),
        _ => anyhow::bail!("the generator has no program {name}"),
    }
}
