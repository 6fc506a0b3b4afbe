//! The order of the nodes of a page, and the range that the page above leaves them (ese.md 3.4).

use core::cmp::Ordering;

use super::fault::Problem;
use crate::page::{Node, Page, flag};

/// The range of keys that a page may hold; the upper end is exclusive, and none is infinity.
#[derive(Clone, Copy)]
pub(super) struct Range<'k> {
    pub(super) low: &'k [u8],
    pub(super) high: Option<&'k [u8]>,
}

/// The first node that does not follow the one before it, or lies outside the range of the page. `each` sees all nodes: they
/// are taken apart once.
#[inline]
pub(super) fn misorder<'p>(
    page: &'p Page,
    non_unique: bool,
    range: Range<'_>,
    mut each: impl FnMut(usize, &Node<'p>),
) -> Option<Problem> {
    let leaf = page.has(flag::LEAF);
    let last = page.node_count().checked_sub(1)?;
    let with_data = non_unique && leaf;
    let mut before: Option<Node<'_>> = None;
    let mut problem = None;
    for (line, node) in page.nodes().enumerate() {
        each(line, &node);
        if problem.is_some() {
            continue;
        }
        // The last node of a level has no key, which stands for infinity.
        let infinite = !leaf && line == last && node.suffix.is_empty() && node.prefix.is_empty();
        if let Some(before) = before
            && !infinite
            && compare_nodes(&before, &node, with_data) != Ordering::Less
        {
            problem = Some(Problem::KeyOrder { line });
        } else if line == 0 && !infinite && compare(&node, with_data, range.low) == Ordering::Less {
            problem = Some(Problem::OutsideParent { line });
        } else if line == last {
            let fits = match range.high {
                None => leaf || infinite,
                Some(high) if leaf => compare(&node, with_data, high) == Ordering::Less,
                Some(high) => !infinite && compare(&node, with_data, high) != Ordering::Greater,
            };
            problem = (!fits).then_some(Problem::OutsideParent { line });
        }
        before = Some(node);
    }
    problem
}

/// Compares nodes of one page: by key, and where keys are not unique by data too.
#[inline]
fn compare_nodes(left: &Node<'_>, right: &Node<'_>, with_data: bool) -> Ordering {
    let keys = if left.prefix.len() == right.prefix.len() {
        compare_bytes(left.suffix, right.suffix)
    } else {
        left.prefix.iter().chain(left.suffix).cmp(right.prefix.iter().chain(right.suffix))
    };
    if with_data { keys.then_with(|| left.data.cmp(right.data)) } else { keys }
}

/// As the order of byte strings. Neighbours mostly differ in their first bytes, which two numbers tell faster than a call
/// for the whole strings does.
#[inline]
fn compare_bytes(left: &[u8], right: &[u8]) -> Ordering {
    if let (Some(left), Some(right)) = (left.first_chunk::<8>(), right.first_chunk::<8>()) {
        match u64::from_be_bytes(*left).cmp(&u64::from_be_bytes(*right)) {
            Ordering::Equal => {}
            other => return other,
        }
    } else if left.len() == right.len()
        && let (Some(first), Some(last)) = (left.first_chunk::<4>(), left.last_chunk::<4>())
        && let (Some(other_first), Some(other_last)) = (right.first_chunk::<4>(), right.last_chunk::<4>())
    {
        // Less than 8 bytes: the two halves overlap where they are equal.
        let halves = (u32::from_be_bytes(*first), u32::from_be_bytes(*last));
        return halves.cmp(&(u32::from_be_bytes(*other_first), u32::from_be_bytes(*other_last)));
    }
    left.cmp(right)
}

/// Compares a node with a separator, which where keys are not unique may have a part of the data behind the key.
fn compare(node: &Node<'_>, with_data: bool, separator: &[u8]) -> Ordering {
    let mut rest = separator;
    let parts = [node.prefix, node.suffix, if with_data { node.data } else { &[] }];
    for (place, part) in parts.iter().enumerate() {
        let common = part.len().min(rest.len());
        match part[..common].cmp(&rest[..common]) {
            Ordering::Equal => {}
            other => return other,
        }
        if common < part.len() {
            return Ordering::Greater;
        }
        rest = &rest[common..];
        if rest.is_empty() {
            let more = parts[place + 1..].iter().any(|part| !part.is_empty());
            return if more { Ordering::Greater } else { Ordering::Equal };
        }
    }
    Ordering::Less
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node<'a>(prefix: &'a [u8], suffix: &'a [u8], data: &'a [u8]) -> Node<'a> {
        Node { flags: 0, prefix, suffix, data }
    }

    #[test]
    fn separators_are_compared_over_all_parts_of_a_node() {
        let one = node(b"ab", b"c", b"xy");
        for (separator, with_data, order) in [
            (&b"abc"[..], false, Ordering::Equal),
            (b"abc", true, Ordering::Greater),
            (b"abcx", true, Ordering::Greater),
            (b"abcxy", true, Ordering::Equal),
            (b"abcxz", true, Ordering::Less),
            (b"abcx", false, Ordering::Less),
            (b"ab", false, Ordering::Greater),
            (b"b", true, Ordering::Less),
            (b"", true, Ordering::Greater),
        ] {
            assert_eq!(compare(&one, with_data, separator), order, "{separator:?}");
        }
    }

    #[test]
    fn short_strings_are_ordered_as_byte_strings_are() {
        let mut strings: Vec<Vec<u8>> = Vec::new();
        for length in 0..11 {
            for place in 0..length.max(1) {
                for byte in [0, 1, 0x7F, 0x80, 0xFF] {
                    let mut string = vec![0x7F; length];
                    if let Some(at) = string.get_mut(place) {
                        *at = byte;
                    }
                    strings.push(string);
                }
            }
        }
        for left in &strings {
            for right in &strings {
                assert_eq!(compare_bytes(left, right), left.cmp(right), "{left:?} {right:?}");
            }
        }
    }

    #[test]
    fn nodes_compare_by_their_whole_keys() {
        let (short, long) = (node(b"", b"abcd", b"2"), node(b"abc", b"d", b"1"));
        assert_eq!(compare_nodes(&short, &long, false), Ordering::Equal);
        assert_eq!(compare_nodes(&short, &long, true), Ordering::Greater);
        assert_eq!(compare_nodes(&node(b"abc", b"a", b""), &short, true), Ordering::Less);
    }
}
