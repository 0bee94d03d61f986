//! Prefixes that may lie in one another, as the addresses at which what holds becomes another.

use ipnet::IpNet;

/// From an address on, what holds: the number of a policy or a class, 0 for none.
pub(super) type Edge<A> = (A, u32);

/// A prefix of one family: its first and last address, its length, and its number.
pub(super) type Span<A> = (A, A, u8, u32);

/// The edges of `spans`, rising; the first is the lowest address there is. The longest prefix that holds
/// an address decides; of equals the lowest number.
pub(super) fn edges<A: Copy + Ord + Default>(
    mut spans: Vec<Span<A>>,
    next: impl Fn(A) -> Option<A>,
) -> Vec<Edge<A>> {
    // The outer before what lies in it; of equals the one that is to win last.
    spans.sort_unstable_by_key(|&(first, _, len, number)| (first, len, std::cmp::Reverse(number)));
    let mut edges: Vec<Edge<A>> = vec![(A::default(), 0)];
    // What is open: where it ends, and its number.
    let mut open: Vec<(A, u32)> = Vec::new();
    for (first, last, _, number) in spans {
        close(&mut edges, &mut open, Some(first), &next);
        push(&mut edges, (first, number));
        open.push((last, number));
    }
    close(&mut edges, &mut open, None, &next);
    edges
}

/// Ends what is open and ends before `before`.
fn close<A: Copy + Ord>(
    edges: &mut Vec<Edge<A>>,
    open: &mut Vec<(A, u32)>,
    before: Option<A>,
    next: &impl Fn(A) -> Option<A>,
) {
    while let Some(&(last, _)) = open.last()
        && before.is_none_or(|before| last < before)
    {
        open.pop();
        if let Some(after) = next(last) {
            push(edges, (after, open.last().map_or(0, |(_, number)| *number)));
        }
    }
}

fn push<A: Copy + Ord>(edges: &mut Vec<Edge<A>>, edge: Edge<A>) {
    if edges.last().is_some_and(|last| last.0 == edge.0) {
        edges.pop();
    }
    if edges.last().is_none_or(|last| last.1 != edge.1) {
        edges.push(edge);
    }
}

/// `prefixes` by family.
pub(super) fn by_family(prefixes: impl Iterator<Item = (IpNet, u32)>) -> (Vec<Span<u32>>, Vec<Span<u128>>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (prefix, number) in prefixes {
        match prefix {
            IpNet::V4(net) => {
                v4.push((net.network().to_bits(), net.broadcast().to_bits(), net.prefix_len(), number));
            }
            IpNet::V6(net) => {
                v6.push((net.network().to_bits(), net.broadcast().to_bits(), net.prefix_len(), number));
            }
        }
    }
    (v4, v6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at<A: Copy + Ord>(edges: &[Edge<A>], address: A) -> u32 {
        edges[edges.partition_point(|edge| edge.0 <= address) - 1].1
    }

    proptest! {
        #[test]
        fn the_longest_prefix_decides(prefixes in prop::collection::vec((any::<u8>(), 0_u8..=8, 1_u32..6), 0..40)) {
            let spans: Vec<Span<u8>> = prefixes.iter().map(|&(bits, len, number)| {
                let mask = u8::MAX.checked_shl((8 - len).into()).unwrap_or(0);
                (bits & mask, bits | !mask, len, number)
            }).collect();
            let edges = edges(spans.clone(), |last| last.checked_add(1));
            for address in 0..=u8::MAX {
                let around = spans.iter().filter(|(first, last, ..)| (first..=last).contains(&&address));
                let best = around.max_by_key(|(_, _, len, number)| (*len, std::cmp::Reverse(*number)));
                prop_assert_eq!(at(&edges, address), best.map_or(0, |best| best.3), "{} in {:?}", address, &spans);
            }
            prop_assert!(edges.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
            prop_assert!(edges.len() <= 2 * spans.len() + 1);
        }
    }
}
