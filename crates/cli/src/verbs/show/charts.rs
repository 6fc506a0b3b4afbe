//! Two kinds of charts as SVG: columns over time, bars for names. Sizes are in units of the drawing.

use std::fmt::Write;

use super::markup::escaped;

const WIDTH: u64 = 900;
const HEIGHT: u64 = 220;
/// Room for the numbers at the left and the names below.
const LEFT: u64 = 48;
const BOTTOM: u64 = 24;
const TOP: u64 = 24;
/// What a name below takes, and the narrowest column with its number above it.
const NAME: u64 = 70;
const NUMBERED: u64 = 30;

/// Columns in the order given, such as months.
pub(super) fn columns(label: &str, counts: &[(String, u64)]) -> String {
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most == 0 {
        return "<p class=\"soft\">None.</p>".to_owned();
    }
    let mut svg = begin(label, HEIGHT);
    let (height, base) = (HEIGHT - BOTTOM - TOP, HEIGHT - BOTTOM);
    let slot = (WIDTH - LEFT) / counts.len().max(1) as u64;
    let slot = slot.clamp(1, 60);
    let middle = base - height / 2;
    // Writing to a string cannot fail.
    write!(
        svg,
        "<line x1=\"{LEFT}\" y1=\"{TOP}\" x2=\"{WIDTH}\" y2=\"{TOP}\"/>\
         <line x1=\"{LEFT}\" y1=\"{middle}\" x2=\"{WIDTH}\" y2=\"{middle}\"/>\
         <line x1=\"{LEFT}\" y1=\"{base}\" x2=\"{WIDTH}\" y2=\"{base}\"/>\
         <text class=\"soft\" x=\"{x}\" y=\"{}\" text-anchor=\"end\">{most}</text>\
         <text class=\"soft\" x=\"{x}\" y=\"{base}\" text-anchor=\"end\">0</text>",
        TOP + 4,
        x = LEFT - 6
    )
    .ok();
    // So many names fit below without touching.
    let every = NAME.div_ceil(slot).max(1);
    for (place, (name, count)) in (0u64..).zip(counts) {
        let x = LEFT + place * slot;
        let tall = scaled(*count, most, height);
        let (y, wide, name) = (base - tall, slot.saturating_sub(2).max(1), escaped(name));
        write!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{tall}\"><title>{name}: {count}</title></rect>"
        )
        .ok();
        if NUMBERED <= slot && *count != 0 {
            let (at, above) = (x + wide / 2, y - 5);
            write!(
                svg,
                "<text class=\"soft\" x=\"{at}\" y=\"{above}\" text-anchor=\"middle\">{count}</text>"
            )
            .ok();
        }
        if place.is_multiple_of(every) && x + NAME <= WIDTH + slot {
            write!(svg, "<text class=\"soft\" x=\"{x}\" y=\"{}\">{name}</text>", HEIGHT - 6).ok();
        }
    }
    svg.push_str("</svg>");
    svg
}

/// One bar a name, the number behind it.
pub(super) fn bars(label: &str, counts: &[(String, u64)]) -> String {
    const ROW: u64 = 24;
    const NAMES: u64 = 330;
    const NUMBERS: u64 = 70;
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most == 0 {
        return "<p class=\"soft\">None.</p>".to_owned();
    }
    let mut svg = begin(label, ROW * counts.len() as u64);
    for (place, (name, count)) in (0u64..).zip(counts) {
        let y = place * ROW;
        let long = scaled(*count, most, WIDTH - NAMES - NUMBERS);
        let (short, name) = (escaped(&shortened(name)), escaped(name));
        write!(
            svg,
            "<text x=\"{at}\" y=\"{text}\" text-anchor=\"end\">{short}<title>{name}</title></text>\
             <rect x=\"{NAMES}\" y=\"{top}\" width=\"{long}\" height=\"{bar}\"><title>{name}: {count}</title></rect>\
             <text class=\"soft\" x=\"{behind}\" y=\"{text}\">{count}</text>",
            at = NAMES - 8,
            text = y + 16,
            top = y + 4,
            bar = ROW - 8,
            behind = NAMES + long + 6
        )
        .ok();
    }
    svg.push_str("</svg>");
    svg
}

/// A name that fits before its bar. Object identifiers of one CA differ at their end, so the middle goes.
fn shortened(name: &str) -> String {
    const LONGEST: usize = 44;
    const BEGINNING: usize = 16;
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= LONGEST {
        return name.to_owned();
    }
    let end = letters.len() - (LONGEST - BEGINNING - 1);
    letters[..BEGINNING].iter().chain(&['…']).chain(&letters[end..]).collect()
}

fn begin(label: &str, height: u64) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">", escaped(label))
}

/// The share of `room` that a count takes; what is there is visible.
fn scaled(count: u64, most: u64, room: u64) -> u64 {
    let share = u128::from(count) * u128::from(room) / u128::from(most.max(1));
    // At most `room`, because no count is above the largest.
    let share = u64::try_from(share).unwrap_or(room);
    if count == 0 { 0 } else { share.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_fills_its_room_and_the_smallest_is_seen() {
        assert_eq!(scaled(u64::MAX, u64::MAX, 500), 500);
        assert_eq!(scaled(1, u64::MAX, 500), 1);
        assert_eq!(scaled(0, 10, 500), 0);
    }

    #[test]
    fn long_names_keep_their_end() {
        let short = shortened(&format!("1.3.6.1.4.1.311.21.8.{}.68840058", "1234567.".repeat(9)));
        assert!(short.starts_with("1.3.6.1.4.1.311.…") && short.ends_with(".68840058"), "{short}");
        assert_eq!(short.chars().count(), 44);
        assert_eq!(shortened("User"), "User");
    }

    #[test]
    fn charts_are_whole_elements() {
        let counts: Vec<_> = (0..120).map(|month| (format!("m{month}"), month)).collect();
        for svg in [columns("a", &counts), bars("b", &counts)] {
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
            assert_eq!(svg.matches("<rect ").count(), 120);
        }
        assert_eq!(columns("a", &[]), bars("b", &[("x".to_owned(), 0)]));
    }
}
