//! Two kinds of charts as SVG: columns over time, bars for names. Sizes are in units of the drawing.

use std::fmt::Write;

use super::html::escaped;

const WIDTH: u64 = 900;
const HEIGHT: u64 = 220;
/// Room for the numbers at the left and the names below.
const LEFT: u64 = 48;
const BOTTOM: u64 = 24;
const TOP: u64 = 16;

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
    // Writing to a string cannot fail.
    write!(
        svg,
        "<line x1=\"{LEFT}\" y1=\"{base}\" x2=\"{WIDTH}\" y2=\"{base}\"/>\
         <text class=\"soft\" x=\"{x}\" y=\"{TOP}\" text-anchor=\"end\">{most}</text>\
         <text class=\"soft\" x=\"{x}\" y=\"{base}\" text-anchor=\"end\">0</text>",
        x = LEFT - 6
    )
    .ok();
    // So many names fit below without touching.
    let every = 70_u64.div_ceil(slot).max(1);
    for (place, (name, count)) in (0u64..).zip(counts) {
        let x = LEFT + place * slot;
        let tall = scaled(*count, most, height);
        let (y, wide, name) = (base - tall, slot.saturating_sub(2).max(1), escaped(name));
        write!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{tall}\"><title>{name}: {count}</title></rect>"
        )
        .ok();
        if place.is_multiple_of(every) {
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
    const LONGEST_NAME: usize = 48;
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most == 0 {
        return "<p class=\"soft\">None.</p>".to_owned();
    }
    let mut svg = begin(label, ROW * counts.len() as u64);
    for (place, (name, count)) in (0u64..).zip(counts) {
        let y = place * ROW;
        let long = scaled(*count, most, WIDTH - NAMES - NUMBERS);
        let short: String = match name.chars().count() {
            0..=LONGEST_NAME => name.clone(),
            _ => name.chars().take(LONGEST_NAME - 1).chain(['…']).collect(),
        };
        let (short, name) = (escaped(&short), escaped(name));
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
    fn charts_are_whole_elements() {
        let counts: Vec<_> = (0..120).map(|month| (format!("m{month}"), month)).collect();
        for svg in [columns("a", &counts), bars("b", &counts)] {
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
            assert_eq!(svg.matches("<rect ").count(), 120);
        }
        assert_eq!(columns("a", &[]), bars("b", &[("x".to_owned(), 0)]));
    }
}
