//! The other ends of live operator sessions: who is logged in from afar.
//!
//! Only sessions that have authenticated count. An open connection to the SSH port alone protects
//! nobody, or an attacker would hold one open to be spared.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where logins are recorded, as the C library writes them.
const UTMP: &str = "/run/utmp";
/// Where the login manager keeps its sessions.
const SESSIONS: &str = "/run/systemd/sessions";
/// Records read at the most; a host with more logins at once is no host we know.
const MAX_SESSIONS: usize = 1024;

/// Addresses that operators are logged in from.
pub(super) fn operators() -> Vec<IpAddr> {
    let mut addresses = from_utmp(&fs::read(UTMP).unwrap_or_default());
    for entry in fs::read_dir(SESSIONS).into_iter().flatten().flatten().take(MAX_SESSIONS) {
        addresses.extend(from_session(&fs::read_to_string(entry.path()).unwrap_or_default()));
    }
    addresses.extend(std::env::var("SSH_CONNECTION").ok().as_deref().and_then(first_address));
    addresses
}

/// The remote addresses of user processes in the records of `utmp(5)`, 384 bytes each on Linux.
fn from_utmp(records: &[u8]) -> Vec<IpAddr> {
    const RECORD: usize = 384;
    const USER_PROCESS: i16 = 7;
    const ADDRESS: std::ops::Range<usize> = 348..364;
    records
        .chunks_exact(RECORD)
        .take(MAX_SESSIONS)
        .filter(|record| i16::from_ne_bytes([record[0], record[1]]) == USER_PROCESS)
        .filter_map(|record| {
            let address: [u8; 16] = record[ADDRESS].try_into().ok()?;
            let (first, rest) = address.split_at(4);
            if address == [0; 16] {
                None
            } else if rest == [0; 12] {
                Some(IpAddr::V4(Ipv4Addr::new(first[0], first[1], first[2], first[3])))
            } else {
                Some(IpAddr::V6(Ipv6Addr::from(address)))
            }
        })
        .collect()
}

/// The remote address of a session file's `REMOTE_HOST=` line.
fn from_session(text: &str) -> Option<IpAddr> {
    text.lines().find_map(|line| line.strip_prefix("REMOTE_HOST=")).and_then(first_address)
}

fn first_address(text: &str) -> Option<IpAddr> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: i16, address: [u8; 16]) -> Vec<u8> {
        let mut record = vec![0; 384];
        record[..2].copy_from_slice(&kind.to_ne_bytes());
        record[348..364].copy_from_slice(&address);
        record
    }

    #[test]
    fn only_user_processes_from_afar_count() {
        let mut v4 = [0; 16];
        v4[..4].copy_from_slice(&[203, 0, 113, 7]);
        let v6: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let records =
            [record(7, v4), record(8, v4), record(7, [0; 16]), record(7, v6.octets()), vec![1; 100]].concat();
        assert_eq!(from_utmp(&records), ["203.0.113.7".parse::<IpAddr>().unwrap(), v6.into()]);
    }

    #[test]
    fn a_session_file_names_its_remote_host() {
        assert_eq!(
            from_session("UID=0\nREMOTE=1\nREMOTE_HOST=203.0.113.7\n"),
            Some("203.0.113.7".parse().unwrap())
        );
        assert_eq!(from_session("UID=0\nREMOTE=0\n"), None);
        assert_eq!(from_session("REMOTE_HOST=name.example\n"), None);
    }
}
