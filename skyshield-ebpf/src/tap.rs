//! The tap: copies what TCP carries to chosen ports into a ring, with what the host's socket says of it.
//!
//! Whose socket it is, and what it waits for, is asked of the kernel: only bytes that the host itself
//! would take are copied, and whoever spoofs an address sees none of the numbers that this goes by.

#![expect(
    clippy::cast_possible_truncation,
    reason = "a frame's offsets and lengths, which the helpers take in words of many kinds"
)]

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_RB_AVAIL_DATA, bpf_sock, bpf_sock_tuple, xdp_md};
use aya_ebpf::helpers::generated::{
    bpf_ktime_get_boot_ns, bpf_ringbuf_output, bpf_sk_release, bpf_skc_lookup_tcp,
    bpf_skc_to_tcp_request_sock, bpf_skc_to_tcp_sock, bpf_tcp_check_syncookie, bpf_xdp_load_bytes,
};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf};
use aya_ebpf::programs::XdpContext;
use skyshield_common::maps::TAP_PORTS_WORDS;
use skyshield_common::tap::{
    FIN, FIRST, Fate, Flow, LATER, MAX_PIECES, PIECE_BYTES, Segment, SocketFields, TapCounter, Tapping, hash,
    is_before, is_proven, number, word,
};
use skyshield_ebpf::{Frame as _, Packet, carried, parse};

use crate::frame::XdpFrame;

/// Written by the daemon; one slot.
#[map]
static TAP: Array<Tapping> = Array::with_max_entries(1, 0);
/// Written by the daemon; a bit for each port there is.
#[map]
static TAP_PORTS: Array<u64> = Array::with_max_entries(TAP_PORTS_WORDS, 0);
/// Written by the daemon through shared memory, and by this program; a connection takes another's cell.
#[map]
static TAP_FLOWS: Array<Flow> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// Written by this program, read by the daemon; a full ring loses the record, never the packet.
#[map]
static TAP_RING: RingBuf = RingBuf::with_byte_size(4096, 0);
/// Written by this program, each CPU its own; one slot.
#[map]
static TAP_STATS: PerCpuArray<TapCounter> = PerCpuArray::with_max_entries(1, 0);
/// Written and read by this program, each CPU its own; one slot.
#[map]
static TAP_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Filled in before the program is loaded: kernels differ in it, and the verifier wants constants.
#[unsafe(no_mangle)]
static SOCKET_FIELDS: SocketFields = [0; 6];

/// A record in the making, and what is needed to make it.
#[repr(C, align(8))]
struct Scratch {
    /// IP's header, as it came in.
    ip: [u32; 10],
    /// TCP's, likewise.
    tcp: [u32; 5],
    /// Whom TCP acknowledges up to.
    ack: u32,
    head: Segment,
    held: [u8; PIECE_BYTES + 1],
}

/// Said to [`tap_find`] of a packet that a rule wants copied, whatever its port.
const RULED: u64 = 2;

/// Copies what the frame carries, if its port or, where `is_ruled`, a rule wants that.
#[inline(always)]
pub(crate) fn listen(frame: &XdpFrame<'_>, is_ruled: bool) {
    let Ok(packet) = parse(frame) else { return };
    let (ctx, at, is_v6) = (frame.context(), packet.header_at as u64, u64::from(packet.is_v6));
    let found = tap_find(ctx, at, if is_ruled { is_v6 | RULED } else { is_v6 });
    if found != 0 && tap_prove(ctx, at, is_v6) != 0 {
        tap_copy(ctx, found);
    }
}

/// Whether the packet at `at` carries something to be copied: where that begins. Fills in the head. What is
/// said of it: 1 for IPv6, and [`RULED`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tap_find(ctx: *mut xdp_md, at: u64, said: u64) -> u64 {
    const SYN_RST_ACK: u32 = 0x16;
    const ACK: u32 = 0x10;
    const URG: u32 = 0x20;
    let ctx = XdpContext::new(ctx);
    let (frame, at) = (XdpFrame::of(&ctx), at as u32 as usize);
    if TAP.get(0).is_none_or(|tap| tap.is_on == 0) {
        return 0;
    }
    let Ok(packet) = parse(&frame) else { return 0 };
    let packet = Packet { header_at: at, is_v6: said & 1 != 0, ..packet };
    let Some(carried) = carried(&frame, &packet) else { return 0 };
    let Some(scratch) = TAP_SCRATCH.get_ptr_mut(0) else { return 0 };
    // SAFETY: the slot is this CPU's own, and no other run of the program interrupts this one.
    let head = unsafe { &mut (*scratch).head };
    let mut from = carried.at;
    head.length = carried.bytes as u32;
    (head.urgent, head.flags, head.seq, head.origin, head.received) = (0, 0, 0, 0, 0);
    (head.source_port, head.destination_port) = (0, 0);
    if carried.part != LATER {
        let Some([ports, seq, ack, third, fourth]) = frame.quads(carried.at) else { return 0 };
        let port = ports & 0xffff;
        let is_ruled = said & RULED != 0;
        if !is_ruled && TAP_PORTS.get(port >> 6).is_none_or(|bits| *bits >> (port & 63) & 1 == 0) {
            return 0;
        }
        let (bytes, flags) = ((third >> 28) as usize * 4, third >> 16 & 0x3f);
        // What opens a connection carries nothing that the host takes, and an RST nothing at all.
        if flags & SYN_RST_ACK != ACK || bytes < 20 || bytes > carried.bytes {
            return 0;
        }
        if carried.part != FIRST {
            head.length = (carried.bytes - bytes) as u32;
            from += bytes;
            if head.length == 0 && flags & u32::from(FIN) == 0 {
                return 0;
            }
        }
        if flags & URG != 0 {
            head.urgent = fourth as u16;
        }
        (head.source_port, head.destination_port) = ((ports >> 16) as u16, port as u16);
        (head.seq, head.flags) = (seq, flags as u8);
        // SAFETY: as above.
        unsafe { (*scratch).ack = ack };
    }
    head.source_high = packet.source.high;
    head.source_low = packet.source.low;
    let (high, low) = if packet.is_v6 {
        let Some([high, low]) = frame.words(at + 24) else { return 0 };
        (high, low)
    } else {
        let Some([destination]) = frame.quads(at + 16) else { return 0 };
        (0, 0xffff << 32 | u64::from(destination))
    };
    head.destination_high = high;
    head.destination_low = low;
    head.fragment_id = carried.fragment_id;
    head.fragment = carried.fragment;
    head.part = carried.part;
    head.ifindex = frame.ifindex();
    head.reserved = 0;
    from as u64
}

/// Counts `bytes` of a segment under what became of it.
#[inline(always)]
fn count(fate: Fate, bytes: u32) {
    let Some(stats) = TAP_STATS.get_ptr_mut(0) else { return };
    // SAFETY: the slot is this CPU's own, and no other run of the program interrupts this one.
    unsafe {
        (*stats).count[fate as usize] += 1;
        (*stats).bytes[fate as usize] += u64::from(bytes);
    }
}

const NEW_SYN_RECV: u32 = 12;
const LISTENING: u32 = 10;
const FIN_WAIT_2: u32 = 5;
/// The network namespace of the interface.
const OWN_NAMESPACE: u64 = u64::MAX;

/// Whether the host's own socket bears the segment out. Fills in what it says of the connection.
///
/// A later fragment names no connection: the first one speaks for it, and the reader sees to it that
/// the checksum over both is right.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tap_prove(ctx: *mut xdp_md, at: u64, is_v6: u64) -> u64 {
    let Some(scratch) = TAP_SCRATCH.get_ptr_mut(0) else { return 0 };
    // SAFETY: the slot is this CPU's own, and no other run of the program interrupts this one.
    let (part, length) = unsafe { ((*scratch).head.part, (*scratch).head.length) };
    if part == LATER {
        return 1;
    }
    let Some(socket) = look_up(ctx, scratch, is_v6) else {
        count(Fate::NoSocket, length);
        return 0;
    };
    // SAFETY: a socket that the kernel has looked up, and which is let go of again below.
    let state = unsafe { (&raw const (*socket).state).read_volatile() };
    let is_proven = if state == NEW_SYN_RECV {
        bears_out_request(socket, scratch)
    } else if state == LISTENING {
        bears_out_cookie(ctx, socket, scratch, at)
    } else if state <= FIN_WAIT_2 {
        bears_out(socket, scratch)
    } else {
        false
    };
    // SAFETY: looked up above, and let go of once.
    unsafe { bpf_sk_release(socket.cast()) };
    if !is_proven {
        count(Fate::Unproven, length);
    }
    is_proven.into()
}

#[inline(always)]
fn look_up(ctx: *mut xdp_md, scratch: *mut Scratch, is_v6: u64) -> Option<*mut bpf_sock> {
    #[repr(C, align(8))]
    struct Words<const N: usize>([u32; N]);
    // SAFETY: the slot is this CPU's own.
    let head = unsafe { &(*scratch).head };
    let ports = (u32::from(head.source_port) << 16 | u32::from(head.destination_port)).to_be();
    let find = |tuple: *mut bpf_sock_tuple, bytes: usize| {
        // SAFETY: the tuple has the kernel's form for its size.
        unsafe { bpf_skc_lookup_tcp(ctx.cast(), tuple, bytes as u32, OWN_NAMESPACE, 0) }
    };
    let socket = if is_v6 != 0 {
        let halves = |word: u64| [((word >> 32) as u32).to_be(), (word as u32).to_be()];
        let (from, to) = ([head.source_high, head.source_low], [head.destination_high, head.destination_low]);
        let ([from, from_low], [to, to_low]) = (from.map(halves), to.map(halves));
        let mut tuple =
            Words([from[0], from[1], from_low[0], from_low[1], to[0], to[1], to_low[0], to_low[1], ports]);
        find((&raw mut tuple).cast(), size_of::<[u32; 9]>())
    } else {
        let (from, to) = ((head.source_low as u32).to_be(), (head.destination_low as u32).to_be());
        let mut tuple = Words([from, to, ports]);
        find((&raw mut tuple).cast(), size_of::<[u32; 3]>())
    };
    (!socket.is_null()).then_some(socket)
}

/// A field of one of the kernel's structures, the `index`th of [`SOCKET_FIELDS`].
///
/// # Safety
///
/// The structure is of the type that the field is of.
#[inline(always)]
unsafe fn field<T: Copy>(structure: *const u8, index: usize) -> T {
    // SAFETY: the index is one of the array's; the compiler must not know what the array holds.
    let at = unsafe { (&raw const SOCKET_FIELDS).cast::<u32>().add(index).read_volatile() };
    // SAFETY: the caller's; the verifier knows the type and its layout.
    unsafe { structure.add(at as usize).cast::<T>().read_volatile() }
}

/// Whether an established connection's socket does.
#[inline(always)]
fn bears_out(socket: *mut bpf_sock, scratch: *mut Scratch) -> bool {
    // SAFETY: a socket that is held; the helper says whether it is TCP's own.
    let tcp: *const u8 = unsafe { bpf_skc_to_tcp_sock(socket.cast()) }.cast();
    if tcp.is_null() {
        return false;
    }
    // SAFETY: a `tcp_sock`, which all four are of.
    let (received, sent, unacked, carried): (u32, u32, u32, u64) =
        unsafe { (field(tcp, 0), field(tcp, 1), field(tcp, 2), field(tcp, 3)) };
    // SAFETY: the slot is this CPU's own.
    let (head, ack) = unsafe { (&mut (*scratch).head, (*scratch).ack) };
    head.received = received;
    head.origin = received.wrapping_sub(carried as u32);
    is_proven(head.seq, ack, received, unacked, sent)
}

/// Whether what the host keeps of a handshake does: the answer to its own SYN-ACK, and what follows
/// that before the stack has got to it.
#[inline(always)]
fn bears_out_request(socket: *mut bpf_sock, scratch: *mut Scratch) -> bool {
    // SAFETY: a socket that is held; the helper says whether it is such a request.
    let request: *const u8 = unsafe { bpf_skc_to_tcp_request_sock(socket.cast()) }.cast();
    if request.is_null() {
        return false;
    }
    // SAFETY: a `tcp_request_sock`, which both are of.
    let (theirs, ours): (u32, u32) = unsafe { (field(request, 4), field(request, 5)) };
    // SAFETY: the slot is this CPU's own.
    let (head, ack) = unsafe { (&mut (*scratch).head, (*scratch).ack) };
    head.received = theirs.wrapping_add(1);
    head.origin = head.received;
    let next = ours.wrapping_add(1);
    ack == next && is_proven(head.seq, ack, head.received, next, next)
}

/// Whether a cookie does, which the host has made and kept nothing of.
#[inline(always)]
fn bears_out_cookie(ctx: *mut xdp_md, socket: *mut bpf_sock, scratch: *mut Scratch, at: u64) -> bool {
    // SAFETY: the slot is this CPU's own.
    let scratch = unsafe { &mut *scratch };
    let (ip, tcp) = (scratch.ip.as_mut_ptr(), scratch.tcp.as_mut_ptr());
    let (ip_bytes, tcp_bytes) = (size_of::<[u32; 10]>() as u32, size_of::<[u32; 5]>() as u32);
    let is_v6 = scratch.head.source_high != 0 || scratch.head.source_low >> 32 != 0xffff;
    let tcp_at = at as u32 + if is_v6 { 40 } else { 20 };
    // SAFETY: so many bytes are there; the helper checks the frame's bounds. A packet with options
    // shows no cookie there, and is not believed.
    let is_right = unsafe {
        bpf_xdp_load_bytes(ctx, at as u32, ip.cast(), ip_bytes) == 0
            && bpf_xdp_load_bytes(ctx, tcp_at, tcp.cast(), tcp_bytes) == 0
            && bpf_tcp_check_syncookie(socket.cast(), ip.cast(), ip_bytes, tcp.cast(), tcp_bytes) == 0
    };
    scratch.head.received = scratch.head.seq;
    scratch.head.origin = scratch.head.seq;
    is_right
}

/// Copies what lies at `from` into the ring, unless its connection has had enough.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tap_copy(ctx: *mut xdp_md, from: u64) -> u64 {
    let (Some(scratch), Some(tap)) = (TAP_SCRATCH.get_ptr_mut(0), TAP.get(0)) else { return 0 };
    // SAFETY: the slot is this CPU's own, and no other run of the program interrupts this one.
    let head = unsafe { &mut (*scratch).head };
    let ports = u32::from(head.source_port) << 16 | u32::from(head.destination_port);
    let length = head.length;
    let hash = hash(head.source(), head.destination_low, ports, tap.seed);
    if head.part != LATER {
        let Some(flow) = TAP_FLOWS.get_ptr_mut((hash & tap.flows_mask) as u32) else { return 0 };
        // SAFETY: the slot is there as long as the program is; whoever else writes it writes words.
        let (unwanted, copied) = unsafe {
            ((&raw const (*flow).unwanted).read_volatile(), (&raw const (*flow).copied).read_volatile())
        };
        if number(unwanted, hash).is_some_and(|until| !is_before(until, head.seq.wrapping_add(length))) {
            count(Fate::Unwanted, length);
            return 0;
        }
        let copied = number(copied, hash).unwrap_or(0).saturating_add(length);
        if u64::from(copied) > tap.flow_bytes {
            count(Fate::OverFlow, length);
            return 0;
        }
        // SAFETY: as above.
        unsafe { (&raw mut (*flow).copied).write_volatile(word(hash, copied)) };
    }
    if !tap.spares(hash, TAP_RING.query(u64::from(BPF_RB_AVAIL_DATA))) {
        count(Fate::Sampled, length);
        return 0;
    }
    // SAFETY: the helper takes nothing and returns a number.
    head.at_ns = unsafe { bpf_ktime_get_boot_ns() };
    let (mut piece, mut offset) = (0, 0);
    while piece < MAX_PIECES {
        piece += 1;
        let left = length.wrapping_sub(offset);
        let bytes = held(if left > PIECE_BYTES as u32 { PIECE_BYTES as u32 } else { left });
        head.offset = offset;
        head.bytes = bytes as u32;
        // SAFETY: at most so many bytes as there is room for, which the verifier sees too.
        let failed = unsafe {
            (bytes != 0
                && bpf_xdp_load_bytes(
                    ctx,
                    from as u32 + offset,
                    (&raw mut (*scratch).held).cast(),
                    some(bytes) as u32,
                ) != 0)
                || bpf_ringbuf_output(
                    (&raw const TAP_RING).cast_mut().cast(),
                    (&raw mut (*scratch).head).cast(),
                    size_of::<Segment>() as u64 + bytes,
                    0,
                ) != 0
        };
        count(if failed { Fate::Lost } else { Fate::Copied }, bytes as u32);
        offset += bytes as u32;
        if offset >= length {
            break;
        }
    }
    1
}

/// `bytes`, as the verifier knows them to be.
#[inline(always)]
fn held(bytes: u32) -> u64 {
    let mut bytes = u64::from(bytes);
    // SAFETY: one instruction on one register.
    unsafe { core::arch::asm!("{0} &= 0x3fff", inout(reg) bytes, options(pure, nomem, nostack)) };
    bytes
}

/// `bytes` where there are some, as the verifier knows that there are: of a comparison older ones learn no least.
#[inline(always)]
fn some(mut bytes: u64) -> u64 {
    // SAFETY: three instructions on one register.
    unsafe {
        core::arch::asm!(
            "{0} += -1",
            "{0} &= 0x3fff",
            "{0} += 1",
            inout(reg) bytes,
            options(pure, nomem, nostack)
        );
    };
    bytes
}
