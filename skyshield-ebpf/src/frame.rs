//! The kernel's frame, read within the bounds the verifier insists on.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use aya_ebpf::programs::XdpContext;
use skyshield_ebpf::Frame;

/// A frame on its way in. Of one in several buffers only the first is looked at: a driver puts the
/// headers there, and what it does not reach is counted as truncated and passes.
pub(crate) struct XdpFrame<'a> {
    ctx: &'a XdpContext,
}

impl<'a> XdpFrame<'a> {
    #[inline(always)]
    pub(crate) fn of(ctx: &'a XdpContext) -> Self {
        Self { ctx }
    }

    /// The frame's whole length, all its buffers together.
    #[inline(always)]
    pub(crate) fn length(&self) -> u64 {
        // SAFETY: the context is the one this run was given.
        unsafe { bpf_xdp_get_buff_len(self.ctx.as_ptr().cast()) }
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
        let start = self.ctx.data() + offset;
        if start + N > self.ctx.data_end() {
            return None;
        }
        // SAFETY: `start..start + N` lies within the frame, as was just compared.
        Some(unsafe { (start as *const [u8; N]).read_unaligned() })
    }
}
