//! Two kinds of charts: columns over time, and bars for names. Each stands beside, or is, a table of its numbers, for those
//! who cannot see it. Sizes are those of the screen: a chart that is too wide for it scrolls, its text stays readable.

use std::fmt::Write;

use certadm_rules::markup::escaped;

const HEIGHT: u64 = 220;
/// Room for the numbers at the left, for the names below, and for the number above the highest column.
const LEFT: u64 = 48;
const BOTTOM: u64 = 24;
const TOP: u64 = 36;
/// What all columns take together, where they are neither very few nor very many.
const USUAL: u64 = 780;
/// What a name below takes, and the narrowest column with its number above it.
const NAME: u64 = 62;
const NUMBERED: u64 = 30;

/// One column: its name, how much it stands for, and how much of that is of the second kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) count: u64,
    pub(super) marked: u64,
}

/// What the parts of the columns are called, and what column this day is in, with the share of it that is over.
pub(super) struct Meaning<'a> {
    pub(super) label: &'a str,
    pub(super) count: &'a str,
    pub(super) marked: Option<&'a str>,
    pub(super) today: Option<(usize, f64)>,
}

/// Columns in the order given, such as months, and their table.
pub(super) fn columns(meaning: &Meaning<'_>, columns: &[Column]) -> String {
    let most = columns.iter().map(|column| column.count).max().unwrap_or(0);
    if most == 0 {
        return "<p class=\"soft\">None.</p>".to_owned();
    }
    let slot = (USUAL / columns.len().max(1) as u64).clamp(14, 60);
    let width = (LEFT + slot * columns.len() as u64 + 8).max(LEFT + NAME);
    let (height, base) = (HEIGHT - BOTTOM - TOP, HEIGHT - BOTTOM);
    let mut svg = format!(
        "<div class=\"chart\" tabindex=\"0\" role=\"group\" aria-label=\"{label}\">\
         <svg width=\"{width}\" height=\"{HEIGHT}\" viewBox=\"0 0 {width} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">",
        label = escaped(meaning.label),
    );
    // Writing to a string cannot fail.
    let mut line = |share: u64, text: &str| {
        let y = base - scaled(share, 4, height);
        let x = LEFT - 6;
        write!(svg, "<line x1=\"{LEFT}\" y1=\"{y}\" x2=\"{width}\" y2=\"{y}\"/>").ok();
        write!(svg, "<text class=\"soft\" x=\"{x}\" y=\"{}\" text-anchor=\"end\">{text}</text>", y + 4).ok();
    };
    line(4, &most.to_string());
    if most.is_multiple_of(2) {
        line(2, &(most / 2).to_string());
    }
    line(0, "0");
    // So many names fit below without touching.
    let every = NAME.div_ceil(slot).max(1);
    for (place, column) in (0u64..).zip(columns) {
        let x = LEFT + place * slot;
        let (tall, marked) = (scaled(column.count, most, height), scaled(column.marked, most, height));
        let past = meaning.today.is_some_and(|(today, _)| place < today as u64);
        let class = if past { " class=\"past\"" } else { "" };
        let (y, wide, name) = (base - tall, slot.saturating_sub(2).max(1), escaped(&column.name));
        write!(svg, "<rect{class} x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{tall}\"/>").ok();
        if marked != 0 {
            let y = base - marked;
            write!(svg, "<rect class=\"marked\" x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{marked}\"/>")
                .ok();
        }
        if NUMBERED <= slot && column.count != 0 {
            let (at, above, count) = (x + wide / 2, y - 5, column.count);
            write!(
                svg,
                "<text class=\"soft\" x=\"{at}\" y=\"{above}\" text-anchor=\"middle\">{count}</text>"
            )
            .ok();
        }
        if place.is_multiple_of(every) && x + NAME <= width + slot {
            write!(svg, "<text class=\"soft\" x=\"{x}\" y=\"{}\">{name}</text>", HEIGHT - 6).ok();
        }
    }
    if let Some((place, share)) = meaning.today {
        let x = (LEFT + place as u64 * slot) as f64 + share * slot as f64;
        let (side, anchor) = if x < width as f64 / 2.0 { (x + 4.0, "start") } else { (x - 4.0, "end") };
        write!(
            svg,
            "<line class=\"today\" x1=\"{x:.0}\" y1=\"0\" x2=\"{x:.0}\" y2=\"{base}\"/>\
             <text x=\"{side:.0}\" y=\"12\" text-anchor=\"{anchor}\">today</text>"
        )
        .ok();
    }
    svg.push_str("</svg></div>");
    svg.push_str(&table(meaning, columns));
    svg
}

/// The numbers behind a chart.
fn table(meaning: &Meaning<'_>, columns: &[Column]) -> String {
    let mut table = format!(
        "<details><summary>The numbers</summary><table class=\"numbers\"><caption>{}</caption>\
         <tr><th scope=\"col\">Time</th><th scope=\"col\">{}</th>",
        escaped(meaning.label),
        escaped(meaning.count)
    );
    if let Some(marked) = meaning.marked {
        write!(table, "<th scope=\"col\">{}</th>", escaped(marked)).ok();
    }
    table.push_str("</tr>");
    for column in columns.iter().filter(|column| column.count != 0) {
        write!(table, "<tr><th scope=\"row\">{}</th><td>{}</td>", escaped(&column.name), column.count).ok();
        if meaning.marked.is_some() {
            write!(table, "<td>{}</td>", column.marked).ok();
        }
        table.push_str("</tr>");
    }
    table.push_str("</table></details>");
    table
}

/// One row a name: a table whose numbers have bars beside them.
pub(super) fn bars(label: &str, counts: &[(String, u64)]) -> String {
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most == 0 {
        return "<p class=\"soft\">None.</p>".to_owned();
    }
    let mut table = format!("<table class=\"bars\"><caption class=\"hidden\">{}</caption>", escaped(label));
    for (name, count) in counts {
        write!(
            table,
            "<tr><th scope=\"row\">{}</th><td>{count}</td>\
             <td aria-hidden=\"true\"><span style=\"width:{}%\"></span></td></tr>",
            escaped(name),
            scaled(*count, most, 100)
        )
        .ok();
    }
    table.push_str("</table>");
    table
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

    const MEANING: Meaning<'_> =
        Meaning { label: "a", count: "Issued", marked: Some("Revoked"), today: Some((3, 0.5)) };

    fn column(name: &str, count: u64) -> Column {
        Column { name: name.to_owned(), count, marked: count / 2 }
    }

    #[test]
    fn the_largest_fills_its_room_and_the_smallest_is_seen() {
        assert_eq!(scaled(u64::MAX, u64::MAX, 500), 500);
        assert_eq!(scaled(1, u64::MAX, 500), 1);
        assert_eq!(scaled(0, 10, 500), 0);
    }

    #[test]
    fn a_chart_has_its_table_and_this_day() {
        let counts: Vec<_> = (1..=120).map(|month| column(&format!("m{month}"), month)).collect();
        let chart = columns(&MEANING, &counts);
        assert_eq!(
            chart.matches("<rect ").count(),
            120 + 119,
            "the first one has half of one marked, which is none"
        );
        assert_eq!(chart.matches("<rect class=\"past\"").count(), 3);
        assert_eq!(chart.matches("class=\"today\"").count(), 1);
        assert_eq!(chart.matches("<tr><th scope=\"row\">").count(), 120);
        assert!(chart.contains("<th scope=\"row\">m7</th><td>7</td><td>3</td>"), "{chart}");
        let names = bars("b", &[("x".to_owned(), 3), ("y".to_owned(), 1)]);
        assert!(names.contains("<th scope=\"row\">y</th><td>1</td>"), "{names}");
        assert_eq!(columns(&MEANING, &[]), bars("b", &[("x".to_owned(), 0)]));
    }
}
