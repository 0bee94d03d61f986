//! The bench's programs: one that makes frames of scattered sources, and two that do nothing.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(
    target_arch = "bpf",
    expect(unsafe_code, reason = "packet bytes and map values are raw pointers")
)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::bindings::xdp_action;
    use aya_ebpf::macros::{map, xdp};
    use aya_ebpf::maps::{Array, ProgramArray};
    use aya_ebpf::programs::XdpContext;
    use skyshield_ebpf::scattered;

    /// Written by the bench: frames made so far, the first source's number, how many sources there
    /// are, the sum of the IPv4 header without its source, and what becomes of a frame.
    #[map]
    static STATE: Array<[u64; 5]> = Array::with_max_entries(1, 0);

    /// Written by the bench: the program under test.
    #[map]
    static NEXT: ProgramArray = ProgramArray::with_max_entries(1, 0);

    const SOURCE_AT: usize = 26;
    const CHECKSUM_AT: usize = 24;

    #[xdp]
    #[expect(clippy::needless_pass_by_value, reason = "the signature is the macro's")]
    #[expect(clippy::cast_possible_truncation, reason = "halves of words")]
    fn generate(ctx: XdpContext) -> u32 {
        let start = ctx.data();
        if start + SOURCE_AT + 4 > ctx.data_end() {
            return xdp_action::XDP_ABORTED;
        }
        let Some((source, sum, action)) = next_source() else { return xdp_action::XDP_ABORTED };
        let mut total = sum + u64::from(source & 0xffff) + u64::from(source >> 16);
        total = (total & 0xffff) + (total >> 16);
        total = (total & 0xffff) + (total >> 16);
        // SAFETY: both lie before the end, as was compared.
        unsafe {
            ((start + SOURCE_AT) as *mut u32).write_unaligned(source);
            ((start + CHECKSUM_AT) as *mut u16).write_unaligned(!(total as u16));
        }
        action as u32
    }

    /// Makes the frame another source's, of an IPv4 address or of an IPv6 network, and hands it on.
    #[xdp(frags)]
    #[expect(clippy::needless_pass_by_value, reason = "the signature is the macro's")]
    fn relay(ctx: XdpContext) -> u32 {
        let start = ctx.data();
        if start + SOURCE_AT + 4 > ctx.data_end() {
            return xdp_action::XDP_ABORTED;
        }
        let Some((source, ..)) = next_source() else { return xdp_action::XDP_ABORTED };
        // SAFETY: it lies before the end, as was compared.
        unsafe { ((start + SOURCE_AT) as *mut u32).write_unaligned(source) };
        // SAFETY: the context is the one this run was given.
        unsafe { NEXT.tail_call(&ctx, 0) };
        xdp_action::XDP_ABORTED
    }

    /// The next frame's source as it stands in it, the rest of its header's sum, and what becomes of it.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "halves of words")]
    fn next_source() -> Option<(u32, u64, u64)> {
        let state = STATE.get_ptr_mut(0)?;
        // SAFETY: the slot is there as long as the program is, and one thread makes frames at a time.
        let [made, first, count, sum, action] = unsafe { &mut *state };
        *made = made.wrapping_add(1);
        let dice = made.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let number = (*first + ((dice * *count) >> 32)) as u32;
        Some((scattered(number).to_be(), *sum, *action))
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
