//! The bench's programs: two that make frames of scattered sources, and three that do next to nothing.

#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch, core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    expect(internal_features, reason = "the frame asks what the compiler knows")
)]
#![cfg_attr(
    target_arch = "bpf",
    expect(unsafe_code, reason = "packet bytes and map values are raw pointers")
)]

#[cfg(target_arch = "bpf")]
#[expect(dead_code, reason = "the bench needs but some of it")]
#[expect(clippy::inline_always, reason = "as the program under test has it")]
mod frame;

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::bindings::xdp_action;
    use aya_ebpf::macros::{map, xdp};
    use aya_ebpf::maps::{Array, PerCpuArray, ProgramArray};
    use aya_ebpf::programs::XdpContext;
    use skyshield_common::Counter;
    use skyshield_ebpf::{Frame as _, parse, scattered};

    use crate::frame::XdpFrame;

    /// Written by the bench: frames made so far, the first source's number, how many sources there
    /// are, the sum of the IPv4 header without its source, and what becomes of a frame.
    #[map]
    static STATE: Array<[u64; 5]> = Array::with_max_entries(1, 0);

    /// Written by the bench: the program under test.
    #[map]
    static NEXT: ProgramArray = ProgramArray::with_max_entries(1, 0);

    /// Written by `parsed`: what it could read, and what not.
    #[map]
    static PARSED: PerCpuArray<Counter> = PerCpuArray::with_max_entries(2, 0);

    const ETHERTYPE_AT: usize = 12;
    const IPV6: u16 = 0x86dd;
    const SOURCE_AT: usize = 26;
    const CHECKSUM_AT: usize = 24;
    /// The first 64 bits of an IPv6 source: the network that a host owns.
    const NETWORK_AT: usize = 22;
    const NETWORK: u64 = 0x2a00_0000 << 32;

    #[xdp]
    #[expect(clippy::needless_pass_by_value, reason = "the signature is the macro's")]
    #[expect(clippy::cast_possible_truncation, reason = "halves of words")]
    fn generate(ctx: XdpContext) -> u32 {
        let start = ctx.data();
        if start + SOURCE_AT + 4 > ctx.data_end() {
            return xdp_action::XDP_ABORTED;
        }
        let Some((source, sum, action)) = next_source() else { return xdp_action::XDP_ABORTED };
        // SAFETY: what is read and written lies before the end, as was compared.
        unsafe {
            if ((start + ETHERTYPE_AT) as *const u16).read_unaligned() == IPV6.to_be() {
                let network = (NETWORK | u64::from(source)).to_be();
                ((start + NETWORK_AT) as *mut u64).write_unaligned(network);
                return action as u32;
            }
            let source = source.to_be();
            let mut total = sum + u64::from(source & 0xffff) + u64::from(source >> 16);
            total = (total & 0xffff) + (total >> 16);
            total = (total & 0xffff) + (total >> 16);
            ((start + SOURCE_AT) as *mut u32).write_unaligned(source);
            ((start + CHECKSUM_AT) as *mut u16).write_unaligned(!(total as u16));
        }
        action as u32
    }

    /// Makes the frame another source's and hands it on.
    #[xdp(frags)]
    #[expect(clippy::needless_pass_by_value, reason = "the signature is the macro's")]
    fn relay(ctx: XdpContext) -> u32 {
        let start = ctx.data();
        if start + SOURCE_AT + 4 > ctx.data_end() {
            return xdp_action::XDP_ABORTED;
        }
        let Some((source, ..)) = next_source() else { return xdp_action::XDP_ABORTED };
        // SAFETY: what is read and written lies before the end, as was compared. It is written in the
        // words that it will be read in: a processor waits where these differ.
        unsafe {
            if ((start + ETHERTYPE_AT) as *const u16).read_unaligned() == IPV6.to_be() {
                let network = (NETWORK | u64::from(source)).to_be();
                ((start + NETWORK_AT) as *mut u64).write_unaligned(network);
            } else {
                ((start + SOURCE_AT) as *mut u32).write_unaligned(source.to_be());
            }
            NEXT.tail_call(&ctx, 0);
        }
        xdp_action::XDP_ABORTED
    }

    /// The floor of what reads packets: parses as the program under test does, counts, and passes.
    #[xdp(frags)]
    #[expect(clippy::needless_pass_by_value, reason = "the signature is the macro's")]
    fn parsed(ctx: XdpContext) -> u32 {
        let frame = XdpFrame::of(&ctx);
        let packet = parse(&frame);
        // The source is looked at, so that reading it is not left out.
        let slot = u32::from(packet.is_ok_and(|packet| packet.source.high | packet.source.low != 0));
        if let Some(counter) = PARSED.get_ptr_mut(slot) {
            // SAFETY: the slot is this CPU's own, and no other run of the program interrupts this one.
            unsafe {
                (*counter).packets += 1;
                (*counter).bytes += frame.length() as u64;
            }
        }
        xdp_action::XDP_PASS
    }

    /// The next frame's source, the rest of its header's sum, and what becomes of it.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "halves of words")]
    fn next_source() -> Option<(u32, u64, u64)> {
        let state = STATE.get_ptr_mut(0)?;
        // SAFETY: the slot is there as long as the program is, and one thread makes frames at a time.
        let [made, first, count, sum, action] = unsafe { &mut *state };
        *made = made.wrapping_add(1);
        let dice = made.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let number = (*first + ((dice * *count) >> 32)) as u32;
        Some((scattered(number), *sum, *action))
    }

    #[xdp(frags)]
    fn floor(_ctx: XdpContext) -> u32 {
        xdp_action::XDP_DROP
    }

    #[xdp(frags)]
    fn pass(_ctx: XdpContext) -> u32 {
        xdp_action::XDP_PASS
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        // Never linked in: the verifier would refuse the loop.
        loop {}
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
