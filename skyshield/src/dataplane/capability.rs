//! Which capabilities the process lacks, by name.

use std::fs;

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// What is missing for loading and attaching. Empty where the answer cannot be had: then the kernel
/// will say it.
pub(super) fn missing() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    effective(&status).map(missing_of).unwrap_or_default()
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing_of(effective: u64) -> Vec<&'static str> {
    let has = |capability: u32| effective & (1 << capability) != 0;
    let mut missing = Vec::new();
    // CAP_SYS_ADMIN held what CAP_BPF and CAP_PERFMON were split from, and still does.
    if !has(CAP_BPF) && !has(CAP_SYS_ADMIN) {
        missing.push("CAP_BPF");
    }
    if !has(CAP_NET_ADMIN) {
        missing.push("CAP_NET_ADMIN");
    }
    // Without it the verifier refuses the program's offsets into the packet.
    if !has(CAP_PERFMON) && !has(CAP_SYS_ADMIN) {
        missing.push("CAP_PERFMON");
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing_of(0), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
        assert_eq!(missing_of(1 << CAP_BPF | 1 << CAP_PERFMON), ["CAP_NET_ADMIN"]);
        assert!(missing_of(u64::MAX).is_empty());
        assert!(missing_of(1 << CAP_SYS_ADMIN | 1 << CAP_NET_ADMIN).is_empty());
    }

    #[test]
    fn the_kernel_s_file_is_read() {
        assert_eq!(effective("Name:\tx\nCapEff:\t00000000a80425fb\n"), Some(0xa804_25fb));
        assert_eq!(effective("Name:\tx\n"), None);
    }
}
