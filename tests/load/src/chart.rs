//! The chart: one bar a row, as long as its part of the ceiling, with a mark at its goal. Plain SVG: a bar is one element,
//! and a library would be larger than this file.

use std::fmt::Write as _;

use crate::{
    row::Row,
    table::{number, time},
};

const WIDTH: f64 = 1_000.0;
/// Where bars begin.
const LEFT: f64 = 360.0;
/// Length of a bar that reaches its ceiling.
const FULL: f64 = 380.0;
const LINE: f64 = 24.0;
const TOP: f64 = 56.0;
/// Longer bars are cut: above a ceiling is above it.
const LONGEST: f64 = 1.2;

/// The chart of all rows that have a ceiling.
pub(crate) fn chart(rows: &[Row]) -> String {
    let shown: Vec<&Row> = rows.iter().filter(|row| row.ratio.is_some()).collect();
    let height = TOP + LINE * shown.len() as f64 + 32.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"28\" font-size=\"17\">Repartee: operations a second, as a part of the ceiling</text>\n"
    );
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (x, bottom) = (LEFT + FULL * part, height - 24.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{bottom}\" stroke=\"#ddd\"/>\n\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{part}</text>",
            TOP - 8.0,
            height - 8.0,
        );
    }
    for (number, row) in shown.iter().enumerate() {
        svg.push_str(&bar(row, TOP + LINE * number as f64));
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(row: &Row, y: f64) -> String {
    let ratio = row.ratio.unwrap_or(0.0);
    let length = FULL * ratio.min(LONGEST);
    let reached = row.goal.is_none_or(|goal| ratio >= goal);
    let color = if reached { "#2b7a78" } else { "#c2571a" };
    let given = if row.given.is_empty() { String::new() } else { format!("; {}", row.given) };
    let name = format!("{}{given}, {} × {}", row.scenario.name(), row.over.name(), row.clients);
    let figures = format!("{ratio:.2} · {}/s · p50 {}", number(row.per_second), time(row.latency.p50_us));
    let goal = row.goal.map_or_else(String::new, |goal| {
        let x = LEFT + FULL * goal;
        format!(
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{x}\" y2=\"{}\" stroke=\"#111\" stroke-width=\"2\"/>\n",
            y + 18.0
        )
    });
    let (text, behind) = (y + 14.0, LEFT + FULL * LONGEST + 12.0);
    format!(
        "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\n\
         <rect x=\"{LEFT}\" y=\"{}\" width=\"{length:.1}\" height=\"14\" fill=\"{color}\"/>\n{goal}\
         <text x=\"{behind}\" y=\"{text}\">{}</text>\n",
        LEFT - 10.0,
        escaped(&name),
        y + 2.0,
        escaped(&figures),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::chart;
    use crate::row::tests::row;

    #[test]
    fn each_row_with_a_ceiling_has_a_bar() {
        let without = crate::row::Row { ratio: None, ..row() };
        let svg = chart(&[row(), without, crate::row::Row { goal: Some(0.5), ..row() }]);
        assert_eq!(svg.matches("height=\"14\"").count(), 2);
        assert_eq!(svg.matches("stroke=\"#111\"").count(), 1, "one goal");
        assert_eq!(svg.matches("#c2571a").count(), 1, "one goal that is not reached");
        assert!(svg.contains("0.25 · 50/s · p50 500 µs"));
    }

    #[test]
    fn text_cannot_break_the_file() {
        let svg = chart(&[crate::row::Row { given: "a < b & c".into(), ..row() }]);
        assert!(svg.contains("a &lt; b &amp; c"));
    }
}
