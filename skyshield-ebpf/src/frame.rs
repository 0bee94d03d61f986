//! The kernel's frame, read within the bounds the verifier insists on.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use aya_ebpf::programs::XdpContext;
use skyshield_common::Reason;
use skyshield_ebpf::Frame;

/// A frame on its way in. Of one in several buffers only the first is looked at: a driver puts the
/// headers there, and what it does not reach is counted as truncated and passes.
pub(crate) struct XdpFrame<'a> {
    ctx: &'a XdpContext,
    start: usize,
    end: usize,
    /// All its buffers together.
    length: usize,
}

impl<'a> XdpFrame<'a> {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the target's words have 64 bits")]
    pub(crate) fn of(ctx: &'a XdpContext) -> Self {
        // SAFETY: the context is the one this run was given.
        let length = unsafe { bpf_xdp_get_buff_len(ctx.as_ptr().cast()) };
        let (start, end) = bounds(ctx);
        Self { ctx, start, end, length: length as usize }
    }

    /// The interface it came in by.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the kernel's field has 32 bits")]
    pub(crate) fn ifindex(&self) -> u32 {
        self.ctx.ingress_ifindex() as u32
    }
}

impl Frame for XdpFrame<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let start = self.start + bounded(offset);
        if start + N > self.end {
            return None;
        }
        // SAFETY: `start..start + N` lies within the frame, as was just compared.
        Some(unsafe { (start as *const [u8; N]).read_unaligned() })
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a code has seven bits")]
    fn one_of_many(&self, reason: Reason) -> Reason {
        let mut code = u64::from(reason.index());
        // SAFETY: two instructions on registers; what the first does the second undoes, and the
        // verifier does not see through it: no constant is left.
        unsafe {
            core::arch::asm!(
                "{0} ^= {1}",
                "{0} ^= {1}",
                "{0} &= 0x7f",
                inout(reg) code,
                in(reg) self.length,
                options(pure, nomem, nostack)
            );
        };
        // SAFETY: the code that went in.
        unsafe { core::mem::transmute::<u32, Reason>(code as u32) }
    }
}

/// Where the first buffer begins and ends. The kernel's fields have 32 bits and hold pointers all the
/// same: the compiler, told so, would copy them by halves, and they would be pointers no longer.
#[inline(always)]
fn bounds(ctx: &XdpContext) -> (usize, usize) {
    let (start, end): (usize, usize);
    // SAFETY: two loads from the context this run was given.
    unsafe {
        core::arch::asm!(
            "{0} = *(u32 *)({2} + 0)",
            "{1} = *(u32 *)({2} + 4)",
            out(reg) start,
            out(reg) end,
            in(reg) ctx.as_ptr(),
            options(pure, readonly, nostack)
        );
    };
    (start, end)
}

/// `offset`, as the verifier knows it to be. It tracks no bounds through the stack, where the
/// compiler keeps what it has computed long before; and the compiler would leave out a check that
/// it can prove. No header lies beyond 16 KiB: six extension headers end before.
#[inline(always)]
fn bounded(mut offset: usize) -> usize {
    // SAFETY: one instruction on one register.
    unsafe { core::arch::asm!("{0} &= 0x3fff", inout(reg) offset, options(pure, nomem, nostack)) };
    offset
}
