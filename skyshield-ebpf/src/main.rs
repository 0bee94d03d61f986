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
mod cells;
#[cfg(target_arch = "bpf")]
mod cookies;
#[cfg(target_arch = "bpf")]
mod flows;
#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod hosts;
#[cfg(target_arch = "bpf")]
mod hosts_v6;
#[cfg(target_arch = "bpf")]
mod keys;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod near;
#[cfg(target_arch = "bpf")]
mod places;
#[cfg(target_arch = "bpf")]
mod ranges;
#[cfg(target_arch = "bpf")]
mod report;
#[cfg(target_arch = "bpf")]
mod roster;
#[cfg(target_arch = "bpf")]
mod rules;
#[cfg(target_arch = "bpf")]
mod settings;
#[cfg(target_arch = "bpf")]
mod tap;
#[cfg(target_arch = "bpf")]
mod top;
#[cfg(target_arch = "bpf")]
mod variable;

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::bindings::{xdp_action, xdp_md};
    use aya_ebpf::macros::xdp;
    use aya_ebpf::programs::XdpContext;
    use skyshield_common::{Reason, Verdict};
    use skyshield_ebpf::{Outcome, Quick, open_at, quick, screen};

    use crate::cookies::shield;
    use crate::frame::XdpFrame;
    use crate::maps::{self, KernelMaps};
    use crate::report;
    use crate::tap::listen;

    #[xdp(frags)]
    #[expect(clippy::needless_pass_by_value, reason = "the signature is the macro's")]
    fn skyshield(ctx: XdpContext) -> u32 {
        let maps = KernelMaps::short();
        // First, while there is nothing yet that would have to be kept meanwhile.
        let Some(now_ns) = open_at(&maps) else { return at_length(ctx.ctx) };
        let frame = XdpFrame::of_first_buffer(&ctx);
        // Each with a reason that the compiler knows, and so with nothing to be asked of it.
        match quick(&frame, &maps, now_ns) {
            Quick::Passed => {
                report::report_known(&frame, &Outcome::of(Reason::Passed), &maps);
                xdp_action::XDP_PASS
            }
            Quick::Banned(now_ns) => {
                let outcome = Outcome { now_ns, ..Outcome::of(Reason::BannedExact) };
                report::report_known(&frame, &outcome, &maps);
                xdp_action::XDP_DROP
            }
            Quick::Exceeded(now_ns) => {
                let outcome = Outcome { now_ns, ..Outcome::of(Reason::RateExceeded) };
                report::report_known(&frame, &outcome, &maps);
                xdp_action::XDP_DROP
            }
            Quick::Undecided => at_length(ctx.ctx),
        }
    }

    /// The long way. A function of its own, which the short one need not make room for.
    #[unsafe(no_mangle)]
    #[inline(never)]
    extern "C" fn at_length(ctx: *mut xdp_md) -> u32 {
        let ctx = XdpContext::new(ctx);
        let frame = XdpFrame::of(&ctx);
        let maps = KernelMaps::long();
        let outcome = screen(&frame, &maps);
        report::report(&frame, &outcome, &maps);
        if outcome.reason.drops() { xdp_action::XDP_DROP } else { xdp_action::XDP_PASS }
    }

    /// As [`skyshield`], and answers SYNs and checks what comes back; loaded in its place where that is
    /// wanted, so that nobody else pays for it, and kernels load the other that have not got what it calls.
    #[xdp(frags)]
    #[expect(clippy::needless_pass_by_value, reason = "the signature is the macro's")]
    fn skyshield_syn(ctx: XdpContext) -> u32 {
        match screen_and_shield(&XdpFrame::of(&ctx)).verdict() {
            Verdict::Pass => xdp_action::XDP_PASS,
            Verdict::Drop => xdp_action::XDP_DROP,
            Verdict::Answer => xdp_action::XDP_TX,
        }
    }

    #[inline(always)]
    fn screen_and_shield(frame: &XdpFrame<'_>) -> Reason {
        let maps = KernelMaps::long();
        let mut outcome = screen(frame, &maps);
        if matches!(outcome.reason, Reason::Passed | Reason::Tapped | Reason::RateUntracked) {
            outcome.reason = shield(frame, outcome.reason, outcome.now_ns, &maps);
        }
        report::report(frame, &outcome, &maps);
        outcome.reason
    }

    /// As [`skyshield`], and what passes is copied for the tap; likewise where that is wanted.
    #[xdp(frags)]
    #[expect(clippy::needless_pass_by_value, reason = "the signature is the macro's")]
    fn skyshield_tap(ctx: XdpContext) -> u32 {
        let frame = XdpFrame::of(&ctx);
        let maps = KernelMaps::long();
        let outcome = screen(&frame, &maps);
        report::report(&frame, &outcome, &maps);
        if outcome.reason.drops() {
            return xdp_action::XDP_DROP;
        }
        listen(&frame, outcome.reason == Reason::Tapped);
        xdp_action::XDP_PASS
    }

    /// As [`skyshield_syn`], and what passes is copied.
    #[xdp(frags)]
    #[expect(clippy::needless_pass_by_value, reason = "the signature is the macro's")]
    fn skyshield_tap_syn(ctx: XdpContext) -> u32 {
        let frame = XdpFrame::of(&ctx);
        let reason = screen_and_shield(&frame);
        match reason.verdict() {
            Verdict::Pass => {
                // Read anew: the attempt at an answer may have changed the frame's bounds, and the verifier
                // takes none from before.
                listen(&XdpFrame::of(&ctx), reason == Reason::Tapped);
                xdp_action::XDP_PASS
            }
            Verdict::Drop => xdp_action::XDP_DROP,
            Verdict::Answer => xdp_action::XDP_TX,
        }
    }

    /// Run by the daemon, attached nowhere.
    #[xdp(frags)]
    fn anchor(_ctx: XdpContext) -> u32 {
        maps::anchor();
        xdp_action::XDP_PASS
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
