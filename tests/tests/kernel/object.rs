//! The object against what both sides agreed on.

use std::collections::BTreeSet;

use anyhow::ensure;
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
