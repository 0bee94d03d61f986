//! An archive of the form that Linux unpacks as its first files (`newc`).

/// Such an archive, while it is made.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const END: &str = "TRAILER!!!";

impl Archive {
    pub(super) fn folder(&mut self, name: &str) {
        self.entry(name, FOLDER, &[]);
    }

    /// A file that may be run.
    pub(super) fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, PROGRAM, content);
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.entry(END, 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let (name_bytes, content_bytes) = (name.len() + 1, content.len());
        // Number, mode, owner, group, links, time, size, device and special device by halves, name, sum.
        let fields =
            [self.entries as usize, mode as usize, 0, 0, 1, 0, content_bytes, 0, 0, 0, 0, name_bytes, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_of_aligned_entries_and_ends() {
        let mut archive = Archive::default();
        archive.folder("proc");
        archive.file("init", b"12345");
        let bytes = archive.end();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(bytes.windows(6).filter(|at| at == b"070701").count(), 3);
        // A header has 110 bytes; the first entry's name ends at 115 and is padded.
        assert_eq!(&bytes[116..122], b"070701");
        assert!(bytes.windows(END.len()).any(|at| at == END.as_bytes()));
    }
}
