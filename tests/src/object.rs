//! What the kernel object's ELF file holds, read without a kernel.

use std::collections::BTreeSet;

use anyhow::Context as _;

/// A section: its name, where its bytes are, and the string table it refers to.
#[derive(Debug)]
struct Section {
    name_at: usize,
    kind: u32,
    offset: usize,
    size: usize,
    link: usize,
}

/// An ELF file of 64 bits and little-endian, as BPF objects are.
#[derive(Debug)]
pub struct Object<'a> {
    bytes: &'a [u8],
    sections: Vec<Section>,
    names: usize,
}

const SYMBOL_TABLE: u32 = 2;
const SYMBOL_BYTES: usize = 24;

impl<'a> Object<'a> {
    /// Reads the section table.
    pub fn read(bytes: &'a [u8]) -> anyhow::Result<Self> {
        let table = usize::try_from(u64_at(bytes, 0x28)?)?;
        let (size, count) = (usize::from(u16_at(bytes, 0x3a)?), usize::from(u16_at(bytes, 0x3c)?));
        let sections = (0..count)
            .map(|index| {
                let at = table + index * size;
                Ok(Section {
                    name_at: usize::try_from(u32_at(bytes, at)?)?,
                    kind: u32_at(bytes, at + 4)?,
                    offset: usize::try_from(u64_at(bytes, at + 0x18)?)?,
                    size: usize::try_from(u64_at(bytes, at + 0x20)?)?,
                    link: usize::try_from(u32_at(bytes, at + 0x28)?)?,
                })
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { bytes, sections, names: usize::from(u16_at(bytes, 0x3e)?) })
    }

    /// The bytes of the section called `name`.
    pub fn section(&self, name: &str) -> anyhow::Result<&'a [u8]> {
        let section = &self.sections[self.index_of(name)?];
        self.bytes.get(section.offset..section.offset + section.size).context("a section beyond the file")
    }

    /// The names of the symbols that lie in the section called `name`.
    pub fn symbols_in(&self, name: &str) -> anyhow::Result<BTreeSet<String>> {
        let wanted = self.index_of(name)?;
        let symbols = self.sections.iter().find(|section| section.kind == SYMBOL_TABLE);
        let symbols = symbols.context("no symbol table")?;
        let mut found = BTreeSet::new();
        for at in (symbols.offset..symbols.offset + symbols.size).step_by(SYMBOL_BYTES) {
            if usize::from(u16_at(self.bytes, at + 6)?) == wanted {
                found.insert(self.string(symbols.link, usize::try_from(u32_at(self.bytes, at)?)?)?);
            }
        }
        found.remove("");
        Ok(found)
    }

    fn index_of(&self, name: &str) -> anyhow::Result<usize> {
        for (index, section) in self.sections.iter().enumerate() {
            if self.string(self.names, section.name_at)? == name {
                return Ok(index);
            }
        }
        anyhow::bail!("no section {name}")
    }

    fn string(&self, table: usize, at: usize) -> anyhow::Result<String> {
        let table = self.sections.get(table).context("no such string table")?;
        let rest = self.bytes.get(table.offset + at..).context("a name beyond the file")?;
        let end = rest.iter().position(|byte| *byte == 0).context("a name without an end")?;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

fn u16_at(bytes: &[u8], at: usize) -> anyhow::Result<u16> {
    Ok(u16::from_le_bytes(*bytes.get(at..).and_then(<[u8]>::first_chunk).context("cut short")?))
}

fn u32_at(bytes: &[u8], at: usize) -> anyhow::Result<u32> {
    Ok(u32::from_le_bytes(*bytes.get(at..).and_then(<[u8]>::first_chunk).context("cut short")?))
}

fn u64_at(bytes: &[u8], at: usize) -> anyhow::Result<u64> {
    Ok(u64::from_le_bytes(*bytes.get(at..).and_then(<[u8]>::first_chunk).context("cut short")?))
}
