//! SkyShield's XDP program: parse, screen, report, act.

#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch, core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    expect(internal_features, reason = "the target has no other way to compare and swap")
)]
#![cfg_attr(
    target_arch = "bpf",
    expect(unsafe_code, reason = "packet bytes and map values are raw pointers")
)]
#![cfg_attr(
    target_arch = "bpf",
    expect(
        clippy::inline_always,
        reason = "the verifier must see one function, whatever the optimiser thinks"
    )
)]

#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod ranges;
#[cfg(target_arch = "bpf")]
mod report;

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::bindings::xdp_action;
    use aya_ebpf::macros::xdp;
    use aya_ebpf::programs::XdpContext;
    use skyshield_common::Verdict;
    use skyshield_ebpf::screen;

    use crate::frame::XdpFrame;
    use crate::maps::{self, KernelMaps};
    use crate::report;

    #[xdp(frags)]
    #[expect(clippy::needless_pass_by_value, reason = "the signature is the macro's")]
    fn skyshield(ctx: XdpContext) -> u32 {
        let frame = XdpFrame::of(&ctx);
        let outcome = screen(&frame, &KernelMaps);
        report::report(&frame, &outcome);
        match outcome.reason.verdict() {
            Verdict::Pass => xdp_action::XDP_PASS,
            Verdict::Drop => xdp_action::XDP_DROP,
        }
    }

    /// Run by the daemon, attached nowhere.
    #[xdp(frags)]
    fn anchor(_ctx: XdpContext) -> u32 {
        maps::anchor().map_or(xdp_action::XDP_ABORTED, |()| xdp_action::XDP_PASS)
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        // Never linked in: the verifier would refuse the loop.
        loop {}
    }

    /// Says that GPL-only helpers may be called; the crate is under GPL-2.0 or MIT, as its user likes.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
