//! The object against what both sides agreed on.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Context as _, ensure};
use aya_obj::generated::bpf_insn;
use skyshield::dataplane::OBJECT;
use skyshield_common::maps;
use tests::object::Object;

pub(crate) fn maps() -> anyhow::Result<()> {
    let expected: BTreeSet<String> = maps::ALL.into_iter().map(str::to_owned).collect();
    let carried = Object::read(OBJECT)?.symbols_in("maps")?;
    ensure!(carried == expected, "the object carries {carried:?}, common names {expected:?}");
    Ok(())
}

pub(crate) fn sections() -> anyhow::Result<()> {
    let object = Object::read(OBJECT)?;
    ensure!(object.section("license")? == b"Dual MIT/GPL\0");
    let programs = object.symbols_in("xdp.frags")?;
    ensure!(programs.contains(maps::PROGRAM), "programs: {programs:?}");
    Ok(())
}

/// No program and what it calls take more of the stack than a kernel has for all of them. Linux 6.1 gives each a multiple
/// of 32 bytes, which is the strictest; whoever runs a later one would not notice.
pub(crate) fn stacks() -> anyhow::Result<()> {
    const MOST: usize = 512;
    let mut object = aya_obj::Object::parse(OBJECT)?;
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_calls(&sections)?;
    let mut told = Vec::new();
    for (name, program) in &object.programs {
        let program =
            object.functions.get(&program.function_key()).context("a program without a function")?;
        let frames = Frames::of(&program.instructions)?;
        let (bytes, calls) = frames.deepest(0, 0)?;
        ensure!(bytes <= MOST, "{name} and what it calls take {bytes} bytes of the stack: {calls:?}");
        told.push(format!("{name} {bytes}"));
    }
    told.sort();
    crate::report(&format!("of {MOST} bytes of stack: {}", told.join(", ")));
    Ok(())
}

/// What each function of a program takes of the stack, by where it begins, and where those begin that it calls.
struct Frames(BTreeMap<usize, (usize, BTreeSet<usize>)>);

impl Frames {
    fn of(program: &[bpf_insn]) -> anyhow::Result<Self> {
        const FRAME: u8 = 10;
        const CALL: u8 = 0x85;
        const COPY: u8 = 0xbf;
        const ADD: u8 = 0x07;
        let mut all = BTreeMap::from([(0, (0, BTreeSet::new()))]);
        let called = |at: usize, call: &bpf_insn| {
            (call.code == CALL && call.src_reg() == 1).then(|| at.checked_add_signed(call.imm as isize + 1))
        };
        for (at, instruction) in program.iter().enumerate() {
            if let Some(begins) = called(at, instruction) {
                all.entry(begins.context("a call before the program")?).or_default();
            }
        }
        let begins: Vec<usize> = all.keys().copied().chain([program.len()]).collect();
        for range in begins.windows(2) {
            let &[begin, end] = range else { continue };
            let (mut least, mut calls) = (0, BTreeSet::new());
            let code = program.get(begin..end).context("a call beyond the program")?;
            let mut copied = None;
            for (at, instruction) in (begin..).zip(code) {
                // r = r10, which r += -8 makes a place of.
                let place = match instruction.code & 7 {
                    1 if instruction.src_reg() == FRAME => i32::from(instruction.off),
                    2 | 3 if instruction.dst_reg() == FRAME => i32::from(instruction.off),
                    _ if instruction.code == ADD && copied == Some(instruction.dst_reg()) => instruction.imm,
                    _ => 0,
                };
                least = least.min(place);
                copied = (instruction.code == COPY && instruction.src_reg() == FRAME)
                    .then(|| instruction.dst_reg());
                calls.extend(called(at, instruction).flatten());
            }
            all.insert(begin, (usize::try_from(-least)?, calls));
        }
        Ok(Self(all))
    }

    /// The most that a function takes with all that it calls, and what each of these takes.
    fn deepest(&self, begin: usize, above: usize) -> anyhow::Result<(usize, Vec<usize>)> {
        const CALLS: usize = 8;
        ensure!(above < CALLS, "more than {CALLS} calls deep");
        let (own, calls) = self.0.get(&begin).context("no such function")?;
        let own = (*own).max(1).next_multiple_of(32);
        let mut most = (0, Vec::new());
        for called in calls {
            most = most.max(self.deepest(*called, above + 1)?);
        }
        let (bytes, mut takes) = most;
        takes.insert(0, own);
        Ok((own + bytes, takes))
    }
}
