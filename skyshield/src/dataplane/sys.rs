//! The few `bpf(2)` commands that the loader library does not offer as they are needed here.
//!
//! Its attach falls back to netlink when the kernel refuses a link, in silence and over whatever is
//! attached there already. A netlink attachment ends with any `ip link set xdp off`, so a link is
//! made here or not at all.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aya::Pod;
use nix::libc;

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_GET_NEXT_KEY: libc::c_int = 4;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_LINK_UPDATE: libc::c_int = 29;
const BPF_XDP: u32 = 37;
const BPF_LINK_TYPE_XDP: u32 = 6;

/// The kernel's `BPF_OBJ_NAME_LEN`.
const NAME_BYTES: usize = 16;

/// `XDP_FLAGS_SKB_MODE`: behind the driver.
pub(super) const SKB_MODE: u32 = 2;
/// `XDP_FLAGS_DRV_MODE`: in the driver.
pub(super) const DRIVER_MODE: u32 = 4;

#[repr(C)]
#[derive(Default)]
struct MapCreateAttr {
    kind: u32,
    key_bytes: u32,
    value_bytes: u32,
    entries: u32,
    flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    name: [u8; NAME_BYTES],
}

#[repr(C)]
struct ObjectAttr {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

#[repr(C)]
struct MapElementAttr {
    map_fd: u32,
    padding: u32,
    key: u64,
    /// The value, or the next key.
    out: u64,
    flags: u64,
}

#[repr(C)]
struct MapBatchAttr {
    /// Where to go on; 0 for the beginning.
    from: u64,
    /// Where the next call goes on.
    next: u64,
    keys: u64,
    values: u64,
    /// Entries that there is room for, and then those that there are.
    count: u32,
    map_fd: u32,
    element_flags: u64,
    flags: u64,
}

#[repr(C)]
struct LinkCreateAttr {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct LinkUpdateAttr {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

#[repr(C)]
struct InfoAttr {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

#[repr(C)]
#[derive(Default)]
struct TestRunAttr {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// The kernel's `bpf_link_info`, of an XDP link.
#[repr(C)]
#[derive(Default)]
struct LinkInfoBytes {
    kind: u32,
    id: u32,
    program_id: u32,
    padding: u32,
    ifindex: u32,
    rest: [u32; 19],
}

/// What the kernel says of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkInfo {
    pub(super) id: u32,
    pub(super) program_id: u32,
    /// 0 once the interface is gone: the link is a corpse then.
    pub(super) ifindex: u32,
}

/// One call; the attribute holds only numbers, and addresses of what the caller keeps alive.
fn bpf<A>(command: libc::c_int, attr: &mut A) -> io::Result<libc::c_int> {
    let size = u32::try_from(size_of::<A>()).unwrap_or_default();
    // SAFETY: the attribute is a `repr(C)` prefix of the kernel's `bpf_attr`, writable, of that size.
    #[expect(unsafe_code, reason = "a system call")]
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size) };
    match libc::c_int::try_from(answer) {
        Ok(answer) if answer >= 0 => Ok(answer),
        _ => Err(io::Error::last_os_error()),
    }
}

fn owned(fd: libc::c_int) -> OwnedFd {
    // SAFETY: the kernel has just given this descriptor to us, close-on-exec, and nobody else.
    #[expect(unsafe_code, reason = "a descriptor of our own")]
    unsafe {
        OwnedFd::from_raw_fd(fd)
    }
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX)
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Makes an array of one value of so many bytes, which can be mapped into memory.
pub(super) fn map_create(name: &str, value_bytes: usize) -> io::Result<OwnedFd> {
    const BPF_MAP_TYPE_ARRAY: u32 = 2;
    const BPF_F_MMAPABLE: u32 = 1 << 10;
    let mut attr = MapCreateAttr {
        kind: BPF_MAP_TYPE_ARRAY,
        key_bytes: 4,
        value_bytes: u32::try_from(value_bytes).map_err(io::Error::other)?,
        entries: 1,
        flags: BPF_F_MMAPABLE,
        ..MapCreateAttr::default()
    };
    // The last byte ends it.
    for (to, from) in attr.name.iter_mut().take(NAME_BYTES - 1).zip(name.bytes()) {
        *to = from;
    }
    bpf(BPF_MAP_CREATE, &mut attr).map(owned)
}

/// Has the number of a descriptor mean `other` from now on.
pub(super) fn take_place(place: BorrowedFd<'_>, other: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both are open; whoever owns the first goes on to own it, whatever it means.
    #[expect(unsafe_code, reason = "a system call")]
    let answer = unsafe { libc::dup3(other.as_raw_fd(), place.as_raw_fd(), libc::O_CLOEXEC) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Opens what is pinned at `path`.
pub(super) fn object_get(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attr = ObjectAttr { pathname: path.as_ptr().addr() as u64, bpf_fd: 0, file_flags: 0 };
    bpf(BPF_OBJ_GET, &mut attr).map(owned)
}

/// All entries, keys and values as bytes, of a map pinned at `path` whose values are not per CPU; `most`
/// of them at the most. What is deleted meanwhile may be missing.
pub(super) fn map_entries(
    path: &Path,
    key_bytes: usize,
    value_bytes: usize,
    most: u32,
) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let map = object_get(path)?;
    let map_fd = number(map.as_fd());
    let mut all = Vec::new();
    let mut key: Option<Vec<u8>> = None;
    for _ in 0..most {
        let mut next = vec![0; key_bytes];
        let mut attr = MapElementAttr {
            map_fd,
            padding: 0,
            key: key.as_ref().map_or(0, |key| key.as_ptr().addr() as u64),
            out: next.as_mut_ptr().addr() as u64,
            flags: 0,
        };
        match bpf(BPF_MAP_GET_NEXT_KEY, &mut attr) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => break,
            Err(error) => return Err(error),
        }
        let mut value = vec![0; value_bytes];
        attr.key = next.as_ptr().addr() as u64;
        attr.out = value.as_mut_ptr().addr() as u64;
        match bpf(BPF_MAP_LOOKUP_ELEM, &mut attr) {
            Ok(_) => all.push((next.clone(), value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
        key = Some(next);
    }
    Ok(all)
}

/// Has `see` look at all entries of a hash map, some thousands to a call: a million entry by entry take a second.
/// What is put in or taken out meanwhile is seen or not.
pub(super) fn each_entry<K: Pod, V: Pod>(map: BorrowedFd<'_>, mut see: impl FnMut(K, V)) -> io::Result<()> {
    /// Of a bucket all entries come in one call.
    const ROOM: usize = 4096;
    let (mut keys, mut values) = (room::<K>(ROOM), room::<V>(ROOM));
    let (mut from, mut next) = (0_u32, 0_u32);
    let mut is_first = true;
    loop {
        let mut attr = MapBatchAttr {
            from: if is_first { 0 } else { (&raw const from).addr() as u64 },
            next: (&raw mut next).addr() as u64,
            keys: keys.as_mut_ptr().addr() as u64,
            values: values.as_mut_ptr().addr() as u64,
            count: u32::try_from(ROOM).unwrap_or_default(),
            map_fd: number(map),
            element_flags: 0,
            flags: 0,
        };
        let is_last = match bpf(BPF_MAP_LOOKUP_BATCH, &mut attr) {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        let entries = keys.iter().zip(&values).take(attr.count as usize);
        entries.for_each(|(key, value)| see(*key, *value));
        if is_last {
            return Ok(());
        }
        (from, is_first) = (next, false);
    }
}

fn room<T: Pod>(count: usize) -> Vec<T> {
    // SAFETY: `Pod` is for types of which any bytes are a value.
    #[expect(unsafe_code, reason = "`Pod` is nothing but bytes")]
    let nothing: T = unsafe { std::mem::zeroed() };
    vec![nothing; count]
}

/// Pins a link at `path`.
pub(super) fn object_pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attr = ObjectAttr { pathname: path.as_ptr().addr() as u64, bpf_fd: number(fd), file_flags: 0 };
    bpf(BPF_OBJ_PIN, &mut attr).map(|_| ())
}

/// Attaches an XDP program to an interface by a link.
pub(super) fn link_create(program: BorrowedFd<'_>, ifindex: u32, flags: u32) -> io::Result<OwnedFd> {
    let mut attr =
        LinkCreateAttr { prog_fd: number(program), target_ifindex: ifindex, attach_type: BPF_XDP, flags };
    bpf(BPF_LINK_CREATE, &mut attr).map(owned)
}

/// Puts another program behind a link, between one packet and the next.
pub(super) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr =
        LinkUpdateAttr { link_fd: number(link), new_prog_fd: number(program), flags: 0, old_prog_fd: 0 };
    bpf(BPF_LINK_UPDATE, &mut attr).map(|_| ())
}

/// Runs a program once on a frame of nothing.
pub(super) fn run_once(program: BorrowedFd<'_>) -> io::Result<()> {
    const SHORTEST: usize = 64;
    let frame = [0_u8; SHORTEST];
    let mut attr = TestRunAttr {
        prog_fd: number(program),
        data_size_in: u32::try_from(frame.len()).unwrap_or_default(),
        data_in: frame.as_ptr().addr() as u64,
        repeat: 1,
        ..TestRunAttr::default()
    };
    bpf(BPF_PROG_TEST_RUN, &mut attr).map(|_| ())
}

/// What a descriptor says of the XDP link it is; an error if it is none.
pub(super) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let mut info = LinkInfoBytes::default();
    let mut attr = InfoAttr {
        bpf_fd: number(link),
        info_len: u32::try_from(size_of::<LinkInfoBytes>()).unwrap_or_default(),
        info: (&raw mut info).addr() as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    if info.kind != BPF_LINK_TYPE_XDP {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not an XDP link"));
    }
    Ok(LinkInfo { id: info.id, program_id: info.program_id, ifindex: info.ifindex })
}
