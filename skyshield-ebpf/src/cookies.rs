//! SYN cookies: the handshake's first answer, in the host's name, while a port gets more SYNs than it
//! can keep in mind. Nothing is kept of such a SYN; of what comes back the host's own stack makes the
//! connection, and what no cookie speaks for does not reach it.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a frame's offsets and lengths, which the helpers take in words of many kinds"
)]

use aya_ebpf::bindings::{BPF_F_MMAPABLE, bpf_sock_tuple, iphdr, ipv6hdr, tcphdr, xdp_md};
use aya_ebpf::helpers::generated::{
    bpf_sk_lookup_tcp, bpf_sk_release, bpf_tcp_raw_gen_syncookie_ipv4, bpf_tcp_raw_gen_syncookie_ipv6,
    bpf_xdp_adjust_tail, bpf_xdp_get_buff_len, bpf_xdp_load_bytes, bpf_xdp_store_bytes,
};
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;
use skyshield_common::gate::{Gate, Shielding};
use skyshield_common::{Reason, flag, rate};
use skyshield_ebpf::handshake;
use skyshield_ebpf::{Frame as _, Tables as _, parse};

use crate::frame::XdpFrame;
use crate::maps::KernelMaps;

mod check;

/// Written by the daemon; one slot.
#[map]
static SHIELDING: Array<Shielding> = Array::with_max_entries(1, 0);
/// Written by this program; one for each port there is.
#[map]
static GATES: Array<Gate> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// A TCP header without options.
const TCP_LEAST: u64 = 20;
/// A TCP header at its longest.
const TCP_MOST: usize = 60;
const TCP_PROTOCOL: u32 = 6;
const LISTENING: u32 = 10;
/// The network namespace of the interface.
const OWN_NAMESPACE: u64 = u64::MAX;

/// What becomes of a packet that passes, for `reason`: a SYN to a port that is shielded, where a socket
/// listens, has become its own answer; what belongs to no connection there is refused without a cookie.
///
/// In steps, each a function of its own: the verifier walks it once, and it has a stack of its own.
#[inline(always)]
pub(crate) fn shield(frame: &XdpFrame<'_>, reason: Reason, now_ns: u64, maps: &KernelMaps) -> Reason {
    let (Some(settings), Ok(packet)) = (maps.settings(), parse(frame)) else { return reason };
    let (ctx, at, is_v6) = (frame.context(), packet.header_at as u64, packet.is_v6);
    match shielded(ctx, at, is_v6.into(), now_ns) {
        // A dry run changes nothing about the traffic.
        SYN if !settings.has(flag::DRY_RUN) && answer(ctx, at, is_v6, now_ns) => Reason::SynAnswered,
        SEGMENT if check::is_refused(ctx, at, is_v6, now_ns, settings.seed) => {
            if maps.allowed(&packet.source, settings) {
                Reason::AllowedOddity
            } else if settings.spares(Reason::CookieRefused) {
                Reason::CookieRefused.in_dry_run()
            } else {
                Reason::CookieRefused
            }
        }
        _ => reason,
    }
}

/// Whether the SYN at `at` has become its answer.
#[inline(always)]
fn answer(ctx: *mut xdp_md, at: u64, is_v6: bool, now_ns: u64) -> bool {
    if is_v6 {
        listening_v6(ctx, at) != 0 && sent_back_v6(ctx, at, cookie_v6(ctx, at, now_ns)) != 0
    } else {
        listening_v4(ctx, at) != 0 && sent_back_v4(ctx, at, cookie_v4(ctx, at, now_ns)) != 0
    }
}

/// What [`shielded`] says of a SYN.
const SYN: u64 = 1;
/// What it says of a segment behind the handshake's first two.
const SEGMENT: u64 = 2;

const V4_BYTES: u64 = 20;
const V6_BYTES: u64 = 40;
/// What [`cookie_v4`] says where there is none.
const NONE: i64 = -1;

/// Whether there is a whole TCP header, right behind the IP header at `at`, to a port that is shielded now:
/// [`SYN`], [`SEGMENT`], or nothing to be shielded from.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn shielded(ctx: *mut xdp_md, at: u64, is_v6: u64, now_ns: u64) -> u64 {
    const PLAIN: u32 = 0x45;
    const FRAGMENTED: u32 = 0x3fff;
    let ctx = XdpContext::new(ctx);
    let (frame, at) = (XdpFrame::of(&ctx), at as usize);
    let Some([first, second, third]) = frame.quads::<3>(at) else { return 0 };
    let (is_tcp, tcp_at) = if is_v6 != 0 {
        (second >> 8 & 0xff == TCP_PROTOCOL, at + V6_BYTES as usize)
    } else {
        let is_plain = first >> 24 == PLAIN && second & FRAGMENTED == 0;
        (is_plain && third >> 16 & 0xff == TCP_PROTOCOL, at + V4_BYTES as usize)
    };
    if !is_tcp {
        return 0;
    }
    let Some(tcp) = frame.quads(tcp_at) else { return 0 };
    let (is_syn, is_segment) = (handshake::is_syn(&tcp), handshake::is_segment(&tcp));
    if !(is_syn || is_segment) || handshake::header_bytes(&tcp) < 20 {
        return 0;
    }
    let Some(shielding) = SHIELDING.get(0) else { return 0 };
    let Some(gate) = GATES.get_ptr_mut(handshake::destination_port(&tcp)) else { return 0 };
    // SAFETY: the slot is there as long as the program is; other CPUs may write it as well, a word at
    // a time, as `Gate` puts up with.
    let gate = unsafe { &mut *gate };
    let now = rate::units(now_ns);
    if is_syn {
        if gate.is_shielded(now, shielding) { SYN } else { 0 }
    } else if gate.is_armed(now, shielding) {
        SEGMENT
    } else {
        0
    }
}

/// Words as they come in. Aligned, because the compiler moves them two at a time, and the verifier takes
/// that on the stack only where it is.
#[repr(C, align(8))]
struct Words<const N: usize>([u32; N]);

impl<const N: usize> Words<N> {
    /// All of them from the frame, at `at`.
    #[inline(always)]
    fn fill(&mut self, ctx: *mut xdp_md, at: u64) -> bool {
        let into = self.0.as_mut_ptr().cast();
        // SAFETY: so many bytes are there; the helper checks the frame's bounds.
        unsafe { bpf_xdp_load_bytes(ctx, at as u32, into, size_of::<[u32; N]>() as u32) == 0 }
    }

    /// One of them, in the machine's order.
    #[inline(always)]
    fn get(&self, index: usize) -> u32 {
        u32::from_be(self.0[index])
    }
}

/// Whether a socket of this host's listens where the packet goes to: a port that is closed, or another
/// host's, is not answered for.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn listening_v4(ctx: *mut xdp_md, at: u64) -> u64 {
    let mut tuple = Words([0; 3]);
    (tuple.fill(ctx, at + 12) && listens(ctx, &tuple)).into()
}

/// The same of IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn listening_v6(ctx: *mut xdp_md, at: u64) -> u64 {
    let mut tuple = Words([0; 9]);
    (tuple.fill(ctx, at + 8) && listens(ctx, &tuple)).into()
}

#[inline(always)]
fn listens<const N: usize>(ctx: *mut xdp_md, tuple: &Words<N>) -> bool {
    // SAFETY: the tuple has the kernel's form for its size, and the socket is let go of again.
    unsafe {
        let tuple = tuple.0.as_ptr().cast_mut().cast::<bpf_sock_tuple>();
        let socket = bpf_sk_lookup_tcp(ctx.cast(), tuple, size_of::<[u32; N]>() as u32, OWN_NAMESPACE, 0);
        if socket.is_null() {
            return false;
        }
        let state = (&raw const (*socket).state).read_volatile();
        bpf_sk_release(socket.cast());
        state == LISTENING
    }
}

/// The cookie for the SYN, with the segment size that it stands for above it; [`NONE`] where the kernel
/// makes none, and for the few that the host's stack is to see.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn cookie_v4(ctx: *mut xdp_md, at: u64, now_ns: u64) -> i64 {
    let (mut ip, mut tcp) = (Words([0; 5]), Words([0; TCP_MOST / 4]));
    if !ip.fill(ctx, at) {
        return NONE;
    }
    let bytes = whole(ctx, at + V4_BYTES, &mut tcp);
    let addresses = handshake::sum(&[ip.get(3), ip.get(4)]);
    let is_bare = ip.get(0) & 0xffff == V4_BYTES as u32 + bytes;
    if bytes == 0 || spared(&tcp, is_bare && handshake::is_summed(&tcp.0, bytes, addresses), now_ns) {
        return NONE;
    }
    let (ip, tcp) = (ip.0.as_mut_ptr().cast::<iphdr>(), tcp.0.as_mut_ptr().cast::<tcphdr>());
    // SAFETY: an IPv4 header of 20 bytes, and a TCP header of as many as it says itself, at most 60.
    unsafe { bpf_tcp_raw_gen_syncookie_ipv4(ip, tcp, bytes) }
}

/// The same of IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn cookie_v6(ctx: *mut xdp_md, at: u64, now_ns: u64) -> i64 {
    let (mut ip, mut tcp) = (Words([0; 10]), Words([0; TCP_MOST / 4]));
    if !ip.fill(ctx, at) {
        return NONE;
    }
    let bytes = whole(ctx, at + V6_BYTES, &mut tcp);
    let mut addresses = 0;
    let mut word = 2;
    while word < 10 {
        addresses += handshake::sum(&[ip.get(word)]);
        word += 1;
    }
    let is_bare = ip.get(1) >> 16 == bytes;
    if bytes == 0 || spared(&tcp, is_bare && handshake::is_summed(&tcp.0, bytes, addresses), now_ns) {
        return NONE;
    }
    let (ip, tcp) = (ip.0.as_mut_ptr().cast::<ipv6hdr>(), tcp.0.as_mut_ptr().cast::<tcphdr>());
    // SAFETY: an IPv6 header of 40 bytes, and a TCP header of as many as it says itself, at most 60.
    unsafe { bpf_tcp_raw_gen_syncookie_ipv6(ip, tcp, bytes) }
}

/// Reads the whole TCP header, options included; its length in bytes, as the verifier knows it to be, or 0.
#[inline(always)]
fn whole(ctx: *mut xdp_md, at: u64, tcp: &mut Words<{ TCP_MOST / 4 }>) -> u32 {
    let mut fourth = Words([0; 1]);
    if !fourth.fill(ctx, at + 12) {
        return 0;
    }
    let mut bytes = u64::from(fourth.get(0) >> 28 << 2);
    // SAFETY: one instruction on one register.
    unsafe { core::arch::asm!("{0} &= 0x3c", inout(reg) bytes, options(pure, nomem, nostack)) };
    // Compared whole: of half a register older verifiers learn no least.
    if bytes < TCP_LEAST {
        return 0;
    }
    let bytes = bytes as u32;
    // SAFETY: at most 60 bytes into as many.
    let failed = unsafe { bpf_xdp_load_bytes(ctx, at as u32, tcp.0.as_mut_ptr().cast(), bytes) };
    if failed == 0 { bytes } else { 0 }
}

/// Whether the host's stack is to see a SYN with this header all the same.
#[inline(always)]
fn spared(tcp: &Words<{ TCP_MOST / 4 }>, is_summed: bool, now_ns: u64) -> bool {
    let Some(shielding) = SHIELDING.get(0) else { return true };
    let Some(gate) = GATES.get_ptr_mut(tcp.get(0) & 0xffff) else { return true };
    // SAFETY: as in `shielded`.
    unsafe { (*gate).spares(rate::units(now_ns), is_summed, shielding) }
}

/// Makes the frame the answer with the cookie, on its way back.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sent_back_v4(ctx: *mut xdp_md, at: u64, made: i64) -> u64 {
    let (mut ip, mut tcp) = (Words([0; 5]), Words([0; 5]));
    if made < 0 || !ip.fill(ctx, at) || !tcp.fill(ctx, at + V4_BYTES) {
        return 0;
    }
    let tcp = [tcp.get(0), tcp.get(1), tcp.get(2), tcp.get(3), tcp.get(4)];
    let answer = handshake::answer_v4(&mut ip.0, &tcp, made as u32, (made >> 32) as u32);
    send_back(ctx, at, &mut ip, answer, handshake::answer_bytes(&tcp) == 24).into()
}

/// The same of IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sent_back_v6(ctx: *mut xdp_md, at: u64, made: i64) -> u64 {
    let (mut ip, mut tcp) = (Words([0; 10]), Words([0; 5]));
    if made < 0 || !ip.fill(ctx, at) || !tcp.fill(ctx, at + V6_BYTES) {
        return 0;
    }
    let tcp = [tcp.get(0), tcp.get(1), tcp.get(2), tcp.get(3), tcp.get(4)];
    let answer = handshake::answer_v6(&mut ip.0, &tcp, made as u32, (made >> 32) as u32);
    send_back(ctx, at, &mut ip, answer, handshake::answer_bytes(&tcp) == 24).into()
}

/// Writes the headers of the answer, TCP's whole or but for its last word, over the packet at `at`, and
/// cuts the frame behind them.
#[inline(always)]
fn send_back<const N: usize>(
    ctx: *mut xdp_md,
    at: u64,
    ip: &mut Words<N>,
    tcp: [u32; 6],
    is_whole: bool,
) -> bool {
    const TCP_BYTES: u32 = 24;
    let mut ends = Words([0; 3]);
    if !ends.fill(ctx, 0) {
        return false;
    }
    // Destination and source change places: six bytes each, in three words.
    let [a, b, c] = [ends.get(0), ends.get(1), ends.get(2)];
    ends = Words([b << 16 | c >> 16, c << 16 | a >> 16, a << 16 | b >> 16].map(u32::to_be));
    let mut tcp = Words(tcp.map(u32::to_be));
    let (ip_bytes, at) = (size_of::<[u32; N]>() as u32, at as u32);
    let tcp_at = at + ip_bytes;
    let length = tcp_at + if is_whole { TCP_BYTES } else { TCP_BYTES - 4 };
    // SAFETY: the helpers check the frame's bounds, and so many bytes are there.
    unsafe {
        let less = i64::from(length) - bpf_xdp_get_buff_len(ctx) as i64;
        if less > 0 || bpf_xdp_adjust_tail(ctx, less as i32) != 0 {
            return false;
        }
        let pointer = tcp.0.as_mut_ptr().cast();
        let failed = if is_whole {
            bpf_xdp_store_bytes(ctx, tcp_at, pointer, TCP_BYTES)
        } else {
            bpf_xdp_store_bytes(ctx, tcp_at, pointer, TCP_BYTES - 4)
        };
        failed == 0
            && bpf_xdp_store_bytes(ctx, at, ip.0.as_mut_ptr().cast(), ip_bytes) == 0
            && bpf_xdp_store_bytes(ctx, 0, ends.0.as_mut_ptr().cast(), 12) == 0
    }
}
