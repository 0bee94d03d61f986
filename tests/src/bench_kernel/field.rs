//! Where frames are made and where they end: a veth pair for each filter, all of one generator.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use aya::Ebpf;
use aya::maps::Array;
use aya::programs::{Program, TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode};

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

/// Which sources the frames come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources {
    pub(crate) first: u32,
    pub(crate) count: u32,
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
        Veth::join(
            End { netns: &near, interface: NEAR_END, addresses: &[] },
            End { netns: &far, interface: FAR_END, addresses: &["10.98.0.1/24"] },
        )?;
        far.ip(&["link", "set", FAR_END, "address", "02:00:00:00:00:01"])?;
        let path = std::env::var("SKYSHIELD_GENERATOR").context("SKYSHIELD_GENERATOR: start by xtask")?;
        let mut object = Ebpf::load(&std::fs::read(path)?)?;
        program(&mut object, "generate")?.load()?;
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
            program.load()?;
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
        let mut frame = packet::udp("192.0.2.99".parse()?);
        frame[..6].copy_from_slice(if to_host { &FAR_MAC } else { &[0x02, 0, 0, 0, 0, 0x77] });
        frame[30..34].copy_from_slice(&[10, 98, 0, 1]);
        frame[24..30].fill(0);
        let sum: u64 =
            frame[14..34].chunks(2).map(|two| u64::from(u16::from_le_bytes([two[0], two[1]]))).sum();
        let mut state: Array<_, [u64; 5]> = self.object.map_mut("STATE").context("no STATE")?.try_into()?;
        let [made, ..] = state.get(&0, 0)?;
        state.set(0, [made, sources.first.into(), sources.count.into(), sum, action], 0)?;
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
}

fn program<'a>(object: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut Xdp> {
    match object.program_mut(name) {
        Some(Program::Xdp(program)) => Ok(program),
        _ => anyhow::bail!("the generator has no program {name}"),
    }
}
