//! The kernel's frame, read within the bounds the verifier insists on.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use aya_ebpf::programs::XdpContext;
use skyshield_common::rules::Layer4;
use skyshield_common::{Address, Reason};
use skyshield_ebpf::{Frame, Packet, Part, Walked, layer4, walk};

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

    /// The same, told by its first buffer where that can be all. A driver begins another one when the
    /// first is full, or behind the headers, which then state more bytes than the first has: whoever
    /// reads a packet that is longer than this frame asks [`Self::of`].
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the target's words have 64 bits")]
    pub(crate) fn of_first_buffer(ctx: &'a XdpContext) -> Self {
        /// No driver's buffers are as short.
        const SHORT: usize = 1_024;
        let (start, end) = bounds(ctx);
        let mut length = end - start;
        if length > SHORT {
            // SAFETY: the context is the one this run was given.
            length = unsafe { bpf_xdp_get_buff_len(ctx.as_ptr().cast()) } as usize;
        }
        Self { ctx, start, end, length }
    }

    /// What the kernel knows the frame by.
    #[inline(always)]
    pub(crate) fn context(&self) -> *mut xdp_md {
        self.ctx.ctx
    }

    /// The interface it came in by.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the kernel's field has 32 bits")]
    pub(crate) fn ifindex(&self) -> u32 {
        self.ctx.ingress_ifindex() as u32
    }
}

impl XdpFrame<'_> {
    /// Integers, or an array of them, at `offset`.
    #[inline(always)]
    fn load<T: Copy>(&self, offset: usize) -> Option<T> {
        // What the compiler knows the verifier knows too.
        let is_known = core::intrinsics::is_val_statically_known(offset);
        let start = self.start + if is_known { offset } else { bounded(offset) };
        if start + size_of::<T>() > self.end {
            return None;
        }
        // SAFETY: so many bytes lie within the frame, as was just compared, and integers they all are.
        Some(unsafe { (start as *const T).read_unaligned() })
    }
}

impl Frame for XdpFrame<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.load(offset)
    }

    #[inline(always)]
    fn quads<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        self.load::<[u32; N]>(offset).map(|words| words.map(u32::from_be))
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u64; N]> {
        self.load::<[u64; N]>(offset).map(|words| words.map(u64::from_be))
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "parts of a word")]
    fn walk(&self, extension: u8, at: usize, end: usize) -> Walked {
        let word = walk_extensions(self.ctx.ctx, extension.into(), at as u64, end as u64);
        let part = match word >> PART_SHIFT & 3 {
            0 => Part::Whole,
            1 => Part::First,
            _ => Part::Later,
        };
        // SAFETY: the code of a reason, which `walk_extensions` has put there.
        let oddity = unsafe { core::mem::transmute::<u32, Reason>((word >> ODDITY_SHIFT) as u32 & 0x7f) };
        Walked { protocol: word as u8, at: (word >> AT_SHIFT) as usize, part, oddity }
    }

    #[inline(always)]
    fn layer4(&self, packet: &Packet) -> Layer4 {
        Layer4(read_layer4(self.ctx.ctx, packet.header_at as u64, packet.is_v6.into()))
    }

    #[inline(always)]
    fn opaque(&self, mut number: usize) -> usize {
        // SAFETY: three instructions on registers; what the first does the second undoes, and the
        // verifier does not see through it: no constant is left.
        unsafe {
            core::arch::asm!(
                "{0} ^= {1}",
                "{0} ^= {1}",
                "{0} &= 0x7f",
                inout(reg) number,
                in(reg) self.length,
                options(pure, nomem, nostack)
            );
        };
        number
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
    fn one_of_many(&self, reason: Reason) -> Reason {
        // SAFETY: the code that goes in is the one that comes out.
        unsafe { core::mem::transmute::<u32, Reason>(self.opaque(reason as usize) as u32) }
    }
}

/// How [`walk_extensions`] packs what it found, behind the protocol.
const ODDITY_SHIFT: u64 = 8;
const PART_SHIFT: u64 = 16;
const AT_SHIFT: u64 = 32;

/// [`walk`], as a function of its own: the verifier walks its many ways once, and not once for every
/// way there.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "no frame has 4 GiB, and a protocol eight bits")]
extern "C" fn walk_extensions(ctx: *mut xdp_md, extension: u64, at: u64, end: u64) -> u64 {
    let ctx = XdpContext::new(ctx);
    let (start, buffer_end) = bounds(&ctx);
    let frame = XdpFrame { ctx: &ctx, start, end: buffer_end, length: 0 };
    let walked = walk(&frame, extension as u8, at as u32 as usize, end as u32 as usize);
    u64::from(walked.protocol)
        | u64::from(walked.oddity.index()) << ODDITY_SHIFT
        | (walked.part as u64) << PART_SHIFT
        | (walked.at as u64) << AT_SHIFT
}

/// [`layer4`], as a function of its own: the verifier walks its ways once, and few hosts ask for it.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "the target's words have 64 bits")]
extern "C" fn read_layer4(ctx: *mut xdp_md, header_at: u64, is_v6: u64) -> u64 {
    let ctx = XdpContext::new(ctx);
    let source = Address { high: 0, low: 0 };
    let packet = Packet { source, header_at: header_at as usize, is_v6: is_v6 != 0 };
    layer4(&XdpFrame::of(&ctx), &packet).0
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
