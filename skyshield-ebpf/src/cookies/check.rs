//! What comes back to a port that is shielded: without a connection it takes a cookie to get through.

use aya_ebpf::bindings::{
    BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NOT_FWDED, bpf_sock_tuple, iphdr, ipv6hdr, xdp_md,
};
use aya_ebpf::helpers::generated::{
    bpf_fib_lookup, bpf_sk_release, bpf_skc_lookup_tcp, bpf_tcp_raw_check_syncookie_ipv4,
    bpf_tcp_raw_check_syncookie_ipv6, bpf_xdp_load_bytes,
};
use aya_ebpf::programs::XdpContext;
use skyshield_common::{host, rate};

use super::{GATES, LISTENING, OWN_NAMESPACE, Words};

/// Whether the segment at `at` is of no connection of this host's, nor of one that the stack is about to make,
/// and brings no cookie either.
///
/// That goes for one that carries something as well. To a connection of which the stack knows nothing yet,
/// because the first segment was lost, it would say an RST, and so end it; of what is dropped the first
/// segment is sent again, and its cookie is right.
#[inline(always)]
pub(super) fn is_refused(ctx: *mut xdp_md, at: u64, is_v6: bool, now_ns: u64, seed: u64) -> bool {
    let is_forged = if is_v6 { forged_v6(ctx, at, now_ns, seed) } else { forged_v4(ctx, at, now_ns, seed) };
    is_forged != 0 && forwarded(ctx, at, is_v6.into()) == 0
}

/// Whether the segment is of no connection, but to a socket that listens, and brings no cookie.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn forged_v4(ctx: *mut xdp_md, at: u64, now_ns: u64, seed: u64) -> u64 {
    const ADDRESSES: usize = 3;
    const TCP: usize = 5;
    let mut headers = Words([0; TCP + 5]);
    if !headers.fill(ctx, at) || !is_of_none::<ADDRESSES, TCP, _>(ctx, &mut headers, now_ns, seed) {
        return 0;
    }
    let first = headers.0.as_mut_ptr();
    // SAFETY: an IPv4 header of 20 bytes, and the 20 that a TCP header has at the least.
    let failed = unsafe { bpf_tcp_raw_check_syncookie_ipv4(first.cast::<iphdr>(), first.add(TCP).cast()) };
    is_stranger::<ADDRESSES, TCP, _>(&headers, failed == 0, now_ns, seed).into()
}

/// The same of IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn forged_v6(ctx: *mut xdp_md, at: u64, now_ns: u64, seed: u64) -> u64 {
    const ADDRESSES: usize = 2;
    const TCP: usize = 10;
    const LINK_LOCAL: u32 = 0xfe80_0000;
    let mut headers = Words([0; TCP + 5]);
    // Connections with such addresses are of one interface, which may be another than the one that the frame
    // came in by: of a bridge, or of a VLAN.
    if !headers.fill(ctx, at)
        || headers.get(ADDRESSES) & 0xffc0_0000 == LINK_LOCAL
        || !is_of_none::<ADDRESSES, TCP, _>(ctx, &mut headers, now_ns, seed)
    {
        return 0;
    }
    let first = headers.0.as_mut_ptr();
    // SAFETY: an IPv6 header of 40 bytes, and the 20 that a TCP header has at the least.
    let failed = unsafe { bpf_tcp_raw_check_syncookie_ipv6(first.cast::<ipv6hdr>(), first.add(TCP).cast()) };
    is_stranger::<ADDRESSES, TCP, _>(&headers, failed == 0, now_ns, seed).into()
}

/// Whether whoever sends this is none who has brought a right cookie, with this or just before: frames that
/// come together are judged here one after the other, and only then does the stack look at them.
#[inline(always)]
fn is_stranger<const ADDRESSES: usize, const TCP: usize, const N: usize>(
    headers: &Words<N>,
    is_right: bool,
    now_ns: u64,
    seed: u64,
) -> bool {
    let mut hash = host::mix(seed ^ u64::from(headers.get(TCP)));
    let mut word = ADDRESSES;
    while word < ADDRESSES + (TCP - ADDRESSES) / 2 {
        hash = host::mix(hash ^ u64::from(headers.get(word)));
        word += 1;
    }
    let Some(gate) = GATES.get_ptr_mut(headers.get(TCP) & 0xffff) else { return false };
    // SAFETY: as in `shielded`.
    let gate = unsafe { &mut *gate };
    if is_right {
        gate.let_in(hash, now_ns);
        return false;
    }
    !gate.was_let_in(hash, now_ns)
}

/// Whether a socket listens where the segment goes to, and would have to make its connection, at an address where the
/// host itself serves the port. Of headers one right behind the other: the ports, TCP's first word, follow on the
/// addresses, and that is how the kernel wants to be asked.
#[inline(always)]
fn is_of_none<const ADDRESSES: usize, const TCP: usize, const N: usize>(
    ctx: *mut xdp_md,
    headers: &mut Words<N>,
    now_ns: u64,
    seed: u64,
) -> bool {
    let tuple = &raw mut headers.0[ADDRESSES];
    let bytes = size_of::<u32>() * (TCP + 1 - ADDRESSES);
    // SAFETY: so many words are there, and the tuple has the kernel's form for its size; the socket is let
    // go of again.
    let state = unsafe {
        let socket =
            bpf_skc_lookup_tcp(ctx.cast(), tuple.cast::<bpf_sock_tuple>(), bytes as u32, OWN_NAMESPACE, 0);
        if socket.is_null() {
            return false;
        }
        let state = (&raw const (*socket).state).read_volatile();
        bpf_sk_release(socket.cast());
        state
    };
    let Some(gate) = GATES.get_ptr_mut(headers.get(TCP) & 0xffff) else { return false };
    // SAFETY: as in `shielded`.
    let gate = unsafe { &mut *gate };
    let (mut place, mut word) = (seed, ADDRESSES + (TCP - ADDRESSES) / 2);
    while word < TCP {
        place = host::mix(place ^ u64::from(headers.get(word)));
        word += 1;
    }
    let now = rate::units(now_ns);
    if state != LISTENING {
        gate.meet(place, now);
        return false;
    }
    gate.is_served(place, now)
}

/// Whether the packet at `at` would be sent on: a socket that listens on every address is found for those
/// of other hosts, too.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn forwarded(ctx: *mut xdp_md, at: u64, is_v6: u64) -> u64 {
    const INET: u8 = 2;
    const INET6: u8 = 10;
    const TCP: u8 = 6;
    const INTERFACE: usize = 2;
    const FROM: usize = 4;
    const TO: usize = 8;
    const V4_BYTES: u32 = 4;
    const V6_BYTES: u32 = 16;
    // The kernel's `bpf_fib_lookup`, in words.
    let mut asked = Words([0_u32; 16]);
    let family = if is_v6 != 0 { INET6 } else { INET };
    asked.0[0] = u32::from_ne_bytes([family, TCP, 0, 0]);
    asked.0[INTERFACE] = XdpContext::new(ctx).ingress_ifindex() as u32;
    let (at, first) = (at as u32, asked.0.as_mut_ptr());
    // SAFETY: so many words are there; the helpers check the frame's bounds.
    let found = unsafe {
        let (from, to) = (first.add(FROM).cast(), first.add(TO).cast());
        let failed = if is_v6 != 0 {
            bpf_xdp_load_bytes(ctx, at + 8, from, 2 * V6_BYTES)
        } else {
            bpf_xdp_load_bytes(ctx, at + 12, from, V4_BYTES) | bpf_xdp_load_bytes(ctx, at + 16, to, V4_BYTES)
        };
        if failed != 0 {
            return 1;
        }
        bpf_fib_lookup(ctx.cast(), first.cast(), size_of::<[u32; 16]>() as i32, 0)
    };
    // Where nothing is ever sent on, the kernel does not look.
    let is_ours = [BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_FWD_DISABLED].map(i64::from).contains(&found);
    (!is_ours).into()
}
