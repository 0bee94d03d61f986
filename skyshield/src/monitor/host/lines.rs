//! Files of the kernel's whose own words become names: read line by line, whatever is new in them.

/// `/proc/meminfo`: name as `node_exporter` writes it, value, whether it is in kilobytes.
pub(super) fn memory(text: &str) -> Vec<(String, f64, bool)> {
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let name = words.next()?.strip_suffix(':')?;
        let value = words.next()?.parse().ok()?;
        let name = name.replace('(', "_").replace(')', "");
        Some((name, value, words.next() == Some("kB")))
    };
    text.lines().filter_map(line).collect()
}

/// `/proc/loadavg`.
pub(super) fn load(text: &str) -> Option<[f64; 3]> {
    let mut words = text.split_ascii_whitespace().map(str::parse);
    let mut next = || words.next()?.ok();
    Some([next()?, next()?, next()?])
}

/// `/proc/sys/fs/file-nr`: in use, and at the most.
pub(super) fn descriptors(text: &str) -> Option<(f64, f64)> {
    let mut words = text.split_ascii_whitespace();
    Some((words.next()?.parse().ok()?, words.nth(1)?.parse().ok()?))
}

/// One file of `/proc/pressure`, in seconds.
pub(super) fn pressure(resource: &'static str, text: &str) -> Vec<(&'static str, &'static str, f64)> {
    let line = |line: &str| {
        let (share, rest) = line.split_once(' ')?;
        let share = match share {
            "some" => "some",
            "full" => "full",
            _ => return None,
        };
        let (_, total) = rest.rsplit_once("total=")?;
        Some((resource, share, total.trim().parse::<f64>().ok()? / 1e6))
    };
    text.lines().filter_map(line).collect()
}

/// `/proc/net/sockstat` and its sibling: protocol, what, how many.
pub(super) fn sockets(text: &str, text6: &str) -> Vec<(String, String, f64)> {
    let mut found = Vec::new();
    for line in text.lines().chain(text6.lines()) {
        let Some((protocol, rest)) = line.split_once(':') else { continue };
        let words: Vec<_> = rest.split_ascii_whitespace().collect();
        for pair in words.chunks_exact(2) {
            if let [what, count] = pair
                && let Ok(count) = count.parse()
            {
                found.push((protocol.to_owned(), (*what).to_owned(), count));
            }
        }
    }
    found
}

/// `/proc/net/softnet_stat`, of each processor: processed, dropped, squeezed.
pub(super) fn softnet(text: &str) -> Vec<[f64; 3]> {
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace().map(|word| u32::from_str_radix(word, 16));
        let mut next = || words.next()?.ok().map(f64::from);
        Some([next()?, next()?, next()?])
    };
    text.lines().filter_map(line).collect()
}

/// Counters of the kernel's by their own names, as far as `node_exporter` tells of them by default.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Of `/proc/vmstat`.
    pub(super) memory: Vec<(String, f64)>,
    /// Of `/proc/net/{netstat,snmp,snmp6}`: protocol, word, value.
    pub(super) network: Vec<(String, String, f64)>,
}

impl Words {
    /// Reads `/proc/vmstat`, the tables with a line of names and a line of values, and the list of IPv6.
    pub(super) fn read(vmstat: &str, tables: &[&str], list6: &str) -> Self {
        let pair = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            let wanted = name.starts_with("oom_kill")
                || name.starts_with("pgpg")
                || name.starts_with("pswp")
                || name.starts_with("pg") && name.contains("fault");
            wanted.then(|| Some((name.to_owned(), value.trim().parse().ok()?))).flatten()
        };
        let mut network = Vec::new();
        for table in tables {
            let mut lines = table.lines();
            while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
                let Some((protocol, names)) = names.split_once(':') else { continue };
                let values = values.split_once(':').map_or("", |(_, values)| values);
                for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
                    network.push((protocol.to_owned(), name.to_owned(), value));
                }
            }
        }
        for line in list6.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
            if let Some(six) = name.find('6') {
                let (protocol, word) = name.split_at(six + 1);
                network.push((protocol.to_owned(), word.to_owned(), value));
            }
        }
        let network = network.into_iter().filter(|(protocol, word, _)| is_wanted(protocol, word));
        Self {
            memory: vmstat.lines().filter_map(pair).collect(),
            network: network
                .filter_map(|(protocol, word, value)| Some((protocol, word, value.parse().ok()?)))
                .collect(),
        }
    }
}

/// Whether `node_exporter` tells of this word of this protocol by default.
fn is_wanted(protocol: &str, word: &str) -> bool {
    let wanted: &[&str] = match protocol {
        "Ip" => &["Forwarding"],
        "Ip6" | "IpExt" => &["InOctets", "OutOctets"],
        "Icmp" | "Icmp6" => &["InMsgs", "OutMsgs"],
        "Tcp" => &["ActiveOpens", "InSegs", "OutSegs", "OutRsts", "PassiveOpens", "RetransSegs", "CurrEstab"],
        "Udp" | "Udp6" => &["InDatagrams", "OutDatagrams", "NoPorts", "RcvbufErrors", "SndbufErrors"],
        "TcpExt" if word.starts_with("Listen") || word.starts_with("Syncookies") => return true,
        "TcpExt" => &["TCPSynRetrans", "TCPTimeouts"],
        _ => &[],
    };
    wanted.contains(&word) || word.ends_with("InErrors") || word.ends_with("InErrs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_memory_are_node_exporters() {
        let read = memory("MemTotal:   100 kB\nActive(anon):   7 kB\nHugePages_Total:   3\nodd\n");
        let expected =
            [("MemTotal", 100.0, true), ("Active_anon", 7.0, true), ("HugePages_Total", 3.0, false)];
        assert_eq!(read, expected.map(|(name, value, kilo)| (name.to_owned(), value, kilo)));
    }

    #[test]
    fn pressure_is_in_seconds() {
        let text = "some avg10=0.31 avg60=0.15 avg300=0.45 total=6377831\nfull avg10=0.00 avg60=0.03 avg300=0.23 total=3995462\n";
        assert_eq!(pressure("io", text), [("io", "some", 6.377_831), ("io", "full", 3.995_462)]);
    }

    #[test]
    fn a_table_of_the_kernels_is_read_by_its_own_names() {
        let table = "Tcp: ActiveOpens CurrEstab RtoMin\nTcp: 33 4 200\n";
        let words = Words::read("oom_kill 2\npgfault 9\nnr_dirty 1\n", &[table], "Udp6InDatagrams   \t5\n");
        assert_eq!(words.memory, [("oom_kill".to_owned(), 2.0), ("pgfault".to_owned(), 9.0)]);
        let names: Vec<_> =
            words.network.iter().map(|(protocol, word, _)| format!("{protocol}_{word}")).collect();
        assert_eq!(names, ["Tcp_ActiveOpens", "Tcp_CurrEstab", "Udp6_InDatagrams"]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "[a-zA-Z0-9:() =.\n-]{0,200}") {
            memory(&text);
            load(&text);
            descriptors(&text);
            pressure("io", &text);
            sockets(&text, &text);
            softnet(&text);
            Words::read(&text, &[&text], &text);
        }
    }
}
