//! Disks, mounts, interfaces and sensors, as far as `node_exporter` tells of them by default.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use procfs::DiskStat;
use procfs::net::DeviceStatus;

use super::{number, text};

/// Kinds of file systems that hold nobody's data.
const PSEUDO: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];
/// Kinds that lie beyond a network: whoever asks a dead one waits for it.
const REMOTE: &[&str] =
    &["9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3"];
/// Where nothing of the host's own is mounted.
const BELOW: &[&str] = &["/dev", "/proc", "/run", "/sys"];
/// Where volumes are that `node_exporter` says nothing of, and whose filling up is nobody's smaller trouble.
const VOLUMES: &[&str] = &["/mnt", "/media"];

/// A mounted file system.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileSystem {
    /// What is mounted.
    pub device: String,
    /// Its kind.
    pub kind: String,
    /// Where.
    pub mountpoint: String,
    /// Bytes: all, free, free for everyone.
    pub bytes: [f64; 3],
    /// Files: all, free.
    pub files: [f64; 2],
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// An interface.
#[derive(Debug)]
pub(crate) struct Link {
    /// Its counters.
    pub status: DeviceStatus,
    /// Packets that no protocol took.
    pub unhandled: Option<f64>,
    /// Whether it is up.
    pub is_up: Option<bool>,
    /// The largest packet, in bytes.
    pub mtu: Option<f64>,
    /// Packets that may wait to be sent.
    pub queue_length: Option<f64>,
    /// In megabits a second.
    pub speed_mbit: Option<f64>,
}

impl Link {
    /// Whether it leads anywhere: of loopback no packets are counted.
    pub(super) fn is_wire(&self) -> bool {
        self.status.name != "lo"
    }
}

/// Whether a disk is a whole one, and a real one.
pub(super) fn is_told_of(disk: &DiskStat) -> bool {
    let name = disk.name.as_str();
    let bare = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if bare.len() == name.len() {
        return true;
    }
    // `sda1`, `vdb2`, `xvda1`: the parts of a disk whose name ends in a letter.
    let is_part = ["hd", "sd", "vd", "xvd"]
        .into_iter()
        .any(|kind| bare.strip_prefix(kind).is_some_and(|rest| rest.len() == 1));
    // `nvme0n1p2`.
    let is_nvme_part =
        bare.strip_prefix("nvme").and_then(|rest| rest.strip_suffix('p')).is_some_and(|rest| {
            rest.split_once('n').is_some_and(|(one, two)| {
                [one, two]
                    .iter()
                    .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
            })
        });
    !(matches!(bare, "ram" | "loop" | "fd") || is_part || is_nvme_part)
}

/// Every file system that is told of.
pub(super) fn file_systems() -> Vec<FileSystem> {
    let mut seen = BTreeSet::new();
    let mounts = procfs::mounts().unwrap_or_default().into_iter();
    let mounts = mounts.filter(|mount| {
        let kind = mount.fs_vfstype.as_str();
        !PSEUDO.contains(&kind) && !REMOTE.contains(&kind) && !is_below(&mount.fs_file)
    });
    let mounts = mounts.filter(|mount| {
        seen.insert((mount.fs_spec.clone(), mount.fs_file.clone(), mount.fs_vfstype.clone()))
    });
    let read = mounts.filter_map(|mount| {
        let found = statvfs(Path::new(&mount.fs_file)).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "a disk of 2^53 blocks is not made yet")]
        let bytes = |blocks: u64| blocks as f64 * found.fragment_size() as f64;
        #[expect(clippy::cast_precision_loss, reason = "nor one of 2^53 files")]
        let files = [found.files() as f64, found.files_free() as f64];
        Some(FileSystem {
            device: mount.fs_spec,
            kind: mount.fs_vfstype,
            mountpoint: mount.fs_file,
            bytes: [bytes(found.blocks()), bytes(found.blocks_free()), bytes(found.blocks_available())],
            files,
            read_only: mount.fs_mntops.contains_key("ro"),
        })
    });
    read.collect()
}

impl FileSystem {
    /// Whether `node_exporter` tells of it as well.
    pub(super) fn is_exported(&self) -> bool {
        !is_in(VOLUMES, &self.mountpoint)
    }
}

fn is_in(folders: &[&str], mountpoint: &str) -> bool {
    let is_in = |folder: &&str| {
        mountpoint.strip_prefix(*folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    folders.iter().any(is_in)
}

fn is_below(mountpoint: &str) -> bool {
    is_in(BELOW, mountpoint)
        || mountpoint.starts_with("/var/lib/docker/")
        || mountpoint.starts_with("/var/lib/containers/storage/")
}

/// Every interface, in alphabetical order.
pub(super) fn links() -> Vec<Link> {
    let found = procfs::net::dev_status().unwrap_or_default();
    let mut links: Vec<_> = found
        .into_values()
        .map(|status| {
            let place = Path::new("/sys/class/net").join(&status.name);
            let state = text(place.join("operstate"));
            Link {
                unhandled: number(place.join("statistics/rx_nohandler")),
                is_up: (!state.is_empty()).then(|| state.trim() == "up"),
                mtu: number(place.join("mtu")),
                queue_length: number(place.join("tx_queue_len")),
                speed_mbit: number(place.join("speed")).filter(|speed| *speed >= 0.0),
                status,
            }
        })
        .collect();
    links.sort_by(|one, other| one.status.name.cmp(&other.status.name));
    links
}

/// The temperatures that the host measures: sensor, its kind, degrees Celsius. A thermal zone's sensor is its number.
pub(super) fn temperatures(class: &Path) -> Vec<(String, String, f64)> {
    let mut found = zones(class);
    found.extend(chips(class));
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found.truncate(super::MAX_DEVICES);
    found
}

/// What the kernel cools by.
fn zones(class: &Path) -> Vec<(String, String, f64)> {
    let zone = |(name, place): (String, PathBuf)| {
        let sensor = name.strip_prefix("thermal_zone")?.to_owned();
        let kind = text(place.join("type")).trim().to_owned();
        Some((sensor, kind, number(place.join("temp"))? / 1000.0))
    };
    entries(&class.join("thermal")).filter_map(zone).collect()
}

/// What processors, disks and boards measure of themselves.
fn chips(class: &Path) -> Vec<(String, String, f64)> {
    let chip = |(chip, place): (String, PathBuf)| {
        let name = text(place.join("name")).trim().to_owned();
        let sensor = move |(file, input): (String, PathBuf)| {
            let sensor = file.strip_suffix("_input").filter(|sensor| sensor.starts_with("temp"))?;
            let label = text(input.with_file_name(format!("{sensor}_label")));
            let kind = format!("{name} {}", label.trim());
            Some((format!("{chip}_{sensor}"), kind.trim_end().to_owned(), number(&input)? / 1000.0))
        };
        entries(&place).filter_map(sensor).take(super::MAX_DEVICES).collect::<Vec<_>>()
    };
    entries(&class.join("hwmon")).flat_map(chip).collect()
}

/// What is in a folder: names and places.
fn entries(folder: &Path) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| {
        let entry = entry.ok()?;
        Some((entry.file_name().into_string().ok()?, entry.path()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(name: &str) -> DiskStat {
        let line = format!("8 0 {name} 1 2 3 4 5 6 7 8 9 10 11");
        DiskStat::from_line(&line).unwrap()
    }

    #[test]
    fn whole_disks_are_told_of_and_their_parts_are_not() {
        for name in ["sda", "vdb", "nvme0n1", "dm-0", "md127", "zram0", "mmcblk0"] {
            assert!(is_told_of(&disk(name)), "{name}");
        }
        for name in ["sda1", "vdb12", "nvme0n1p3", "loop7", "ram0", "fd0", "xvda1"] {
            assert!(!is_told_of(&disk(name)), "{name}");
        }
    }

    #[test]
    fn what_only_begins_like_a_folder_is_not_below_it() {
        assert!(is_below("/run/user/0") && is_below("/dev") && is_below("/var/lib/docker/overlay"));
        assert!(!is_below("/mnt/data") && is_in(VOLUMES, "/mnt/data") && !is_in(VOLUMES, "/mnte"));
        assert!(!is_below("/running") && !is_below("/") && !is_below("/var/lib/dockers"));
    }

    #[test]
    fn a_sensor_is_read_in_degrees() {
        let dir = tempfile::tempdir().unwrap();
        let zone = dir.path().join("thermal/thermal_zone0");
        std::fs::create_dir_all(&zone).unwrap();
        std::fs::write(zone.join("type"), "x86_pkg_temp\n").unwrap();
        std::fs::write(zone.join("temp"), "47500\n").unwrap();
        let chip = dir.path().join("hwmon/hwmon1");
        std::fs::create_dir_all(&chip).unwrap();
        for (file, says) in [
            ("name", "coretemp\n"),
            ("temp2_label", "Core 0\n"),
            ("temp2_input", "51000\n"),
            ("temp3_input", "40000\n"),
            ("fan1_input", "900\n"),
            ("temp2_max", "90000\n"),
        ] {
            std::fs::write(chip.join(file), says).unwrap();
        }
        let expected = [
            ("0", "x86_pkg_temp", 47.5),
            ("hwmon1_temp2", "coretemp Core 0", 51.0),
            ("hwmon1_temp3", "coretemp", 40.0),
        ];
        let expected = expected.map(|(sensor, kind, degrees)| (sensor.to_owned(), kind.to_owned(), degrees));
        assert_eq!(temperatures(dir.path()), expected);
    }
}
