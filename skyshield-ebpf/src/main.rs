//! SkyShield's XDP program.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(core_intrinsics), allow(internal_features))]
#![allow(unsafe_code)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::xdp_action,
        macros::{map, xdp},
        maps::HashMap,
        programs::XdpContext,
    };
    #[map]
    static BANS_V4: HashMap<[u8; 4], u64> = HashMap::with_max_entries(1024, 0);

    #[xdp(frags)]
    pub fn skyshield(ctx: XdpContext) -> u32 {
        let start = ctx.data();
        if start + 34 > ctx.data_end() {
            return xdp_action::XDP_PASS;
        }
        let key = unsafe { core::ptr::read_unaligned((start + 26) as *const [u8; 4]) };
        match BANS_V4.get_ptr_mut(&key) {
            Some(p) => {
                let old = unsafe { core::ptr::read_volatile(p) };
                let (_, ok) = unsafe {
                    core::intrinsics::atomic_cxchg::<
                        u64,
                        { core::intrinsics::AtomicOrdering::SeqCst },
                        { core::intrinsics::AtomicOrdering::SeqCst },
                    >(p, old, old + 1)
                };
                if ok { xdp_action::XDP_DROP } else { xdp_action::XDP_PASS }
            }
            None => xdp_action::XDP_PASS,
        }
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }
}
#[cfg(not(target_arch = "bpf"))]
fn main() {}
