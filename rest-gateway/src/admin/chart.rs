//! The charts of the history, drawn as SVG.

use std::time::Duration;

use plotters::{
    chart::ChartBuilder,
    prelude::{DrawingAreaErrorKind, IntoDrawingArea as _, IntoFont as _, RGBColor, SVGBackend},
    series::LineSeries,
    style::{Color as _, ShapeStyle},
};

use crate::{
    json::{ChartQuery, HistoryPoint, Theme},
    problem::Problem,
};

/// Height of a chart, in px.
const HEIGHT: u32 = 200;
/// Spans that are longer than this, in seconds, are told in hours.
const IN_HOURS: f64 = 2.0 * 3_600.0;
/// Below this width, in px, there is room for few labels.
const NARROW: u32 = 420;
/// The library draws its letters smaller than it is told: these are 11 px.
const FONT_SIZE: u32 = 14;
const FONT: &str = "system-ui, sans-serif";

/// What a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chart {
    /// Messages posted, answered and failed, a second.
    Throughput,
    /// How long posts took, in ms.
    Latency,
    /// How long answers took, in ms.
    Answers,
    /// Messages that wait, and that are worked on.
    Depth,
    /// Storage reads and writes, a second.
    Storage,
}

/// One line: its color in a light and in a dark page, and its value at a point.
type Line = ([RGBColor; 2], fn(&HistoryPoint, f64) -> Option<f64>);

const FIRST: [RGBColor; 2] = [RGBColor(169, 80, 45), RGBColor(224, 138, 98)];
const SECOND: [RGBColor; 2] = [RGBColor(45, 122, 169), RGBColor(116, 184, 226)];
const THIRD: [RGBColor; 2] = [RGBColor(179, 38, 30), RGBColor(255, 154, 144)];

impl Chart {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "throughput" => Some(Self::Throughput),
            "latency" => Some(Self::Latency),
            "answers" => Some(Self::Answers),
            "depth" => Some(Self::Depth),
            "storage" => Some(Self::Storage),
            _ => None,
        }
    }

    fn lines(self) -> &'static [Line] {
        match self {
            Self::Throughput => &[
                (FIRST, |point, seconds| point.posted.map(|value| value as f64 / seconds)),
                (SECOND, |point, seconds| point.answered.map(|value| value as f64 / seconds)),
                (THIRD, |point, seconds| point.failed.map(|value| value as f64 / seconds)),
            ],
            Self::Latency => &[(FIRST, |point, _| point.post_p50_ms), (SECOND, |point, _| point.post_p99_ms)],
            Self::Answers => {
                &[(FIRST, |point, _| point.answer_p50_ms), (SECOND, |point, _| point.answer_p99_ms)]
            }
            Self::Depth => &[
                (FIRST, |point, _| point.pending.map(|value| value as f64)),
                (SECOND, |point, _| point.processing.map(|value| value as f64)),
            ],
            Self::Storage => &[
                (FIRST, |point, seconds| point.storage_reads.map(|value| value as f64 / seconds)),
                (SECOND, |point, seconds| point.storage_writes.map(|value| value as f64 / seconds)),
            ],
        }
    }

    /// Draws the points, which are `interval` apart.
    ///
    /// # Errors
    /// 500 where the library cannot.
    pub(super) fn draw(
        self,
        points: &[HistoryPoint],
        interval: Duration,
        query: &ChartQuery,
    ) -> Result<String, Problem> {
        let mut picture = String::new();
        self.draw_on(&mut picture, points, interval, query)
            .map_err(|error| Problem::internal(format!("a chart could not be drawn: {error}")))?;
        Ok(picture)
    }

    fn draw_on(
        self,
        picture: &mut String,
        points: &[HistoryPoint],
        interval: Duration,
        query: &ChartQuery,
    ) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let dark = query.theme == Theme::Dark;
        let seconds = interval.as_secs_f64();
        let value = |line: &Line, point: &HistoryPoint| line.1(point, seconds);
        let highest =
            self.lines().iter().flat_map(|line| points.iter().filter_map(|point| value(line, point)));
        let top = nice(highest.fold(0.0, f64::max));
        // What lies to the right is now, and to the left as many points of the past as the span has.
        let most = query.span.points().0;
        let (unit, name) = if most as f64 * seconds > IN_HOURS { (3_600.0, "h") } else { (60.0, "min") };
        let ago = |at: f64| (at - (most - 1) as f64) * seconds / unit;
        let (ink, grid) = if dark {
            (RGBColor(165, 157, 146), RGBColor(53, 49, 44))
        } else {
            (RGBColor(106, 99, 90), RGBColor(230, 225, 217))
        };
        let area = SVGBackend::with_string(picture, (query.width, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(24)
            .y_label_area_size(44)
            .build_cartesian_2d(ago(0.0)..0.0, 0.0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(if query.width < NARROW { 4 } else { 7 })
            .y_labels(4)
            .x_label_formatter(&|at| label(*at, name))
            .y_label_formatter(&|value| number(*value))
            .label_style((FONT, FONT_SIZE).into_font().color(&ink))
            .axis_style(grid)
            .bold_line_style(grid)
            .light_line_style(grid.mix(0.0))
            .draw()?;
        let first = most.saturating_sub(points.len());
        for line in self.lines() {
            let style = ShapeStyle::from(&line.0[usize::from(dark)]).stroke_width(2);
            let placed =
                points.iter().enumerate().map(|(at, point)| (ago((first + at) as f64), value(line, point)));
            let placed: Vec<(f64, Option<f64>)> = placed.collect();
            // What is not known is a gap, not a line across it.
            for piece in placed.split(|(_, value)| value.is_none()) {
                let known = piece.iter().filter_map(|(at, value)| Some((*at, (*value)?)));
                // A point between two gaps is no line.
                let size = if piece.len() == 1 { 2 } else { 0 };
                chart.draw_series(LineSeries::new(known, style.filled()).point_size(size))?;
            }
        }
        area.present()
    }
}

/// The next of 1, 2, 5, 10, … at or above: an axis that ends in a round number.
fn nice(highest: f64) -> f64 {
    if highest <= 1.0 {
        return 1.0;
    }
    let power = 10_f64.powf(highest.log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().map(|step| step * power).find(|top| *top >= highest).unwrap_or(10.0 * power)
}

/// How long ago, in minutes or hours as `unit` says.
fn label(ago: f64, unit: &str) -> String {
    match ago {
        now if now > -0.001 => "now".to_owned(),
        short if unit == "min" && short > -10.0 && (short - short.round()).abs() > 0.01 => {
            format!("{:.0} s", short * 60.0)
        }
        _ => format!("{ago:.0} {unit}"),
    }
}

fn number(value: f64) -> String {
    match value {
        large if large >= 10_000.0 => format!("{:.0}k", large / 1_000.0),
        whole if whole.fract() == 0.0 => format!("{whole:.0}"),
        _ => format!("{value:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Chart, label, nice, number};
    use crate::json::{ChartQuery, HistoryPoint, Span, Theme};

    fn draw(points: &[HistoryPoint], theme: Theme) -> String {
        Chart::Throughput
            .draw(points, Duration::from_secs(10), &ChartQuery { span: Span::Hour, theme, width: 640 })
            .unwrap()
    }

    fn point(posted: Option<u64>) -> HistoryPoint {
        HistoryPoint { posted, ..HistoryPoint::default() }
    }

    #[test]
    fn a_chart_is_a_picture_with_axes_also_where_nothing_is_known_yet() {
        let picture = draw(&[], Theme::Light);
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"), "{picture}");
        assert!(picture.contains("now") && picture.contains(" min"), "{picture}");
        assert!(!picture.contains("#A9502D"), "{picture}");
    }

    #[test]
    fn what_is_not_known_is_a_gap() {
        let whole = draw(&[point(Some(1)), point(Some(2)), point(Some(3)), point(Some(4))], Theme::Light);
        let gap = draw(
            &[point(Some(1)), point(Some(2)), point(None), point(Some(3)), point(Some(4))],
            Theme::Light,
        );
        assert_eq!(whole.matches("stroke=\"#A9502D\"").count(), 1, "{whole}");
        assert_eq!(gap.matches("stroke=\"#A9502D\"").count(), 2, "{gap}");
    }

    #[test]
    fn a_dark_page_has_its_own_colors() {
        let points = [point(Some(1)), point(Some(2))];
        assert!(draw(&points, Theme::Dark).contains("#E08A62"));
        assert!(!draw(&points, Theme::Dark).contains("#A9502D"));
    }

    #[test]
    fn axes_end_in_round_numbers_and_say_them_shortly() {
        for (highest, top) in
            [(0.0, 1.0), (0.3, 1.0), (1.2, 2.0), (3.0, 5.0), (7.0, 10.0), (10.0, 10.0), (101.0, 200.0)]
        {
            assert!((nice(highest) - top).abs() < 1e-9, "{highest}");
        }
        assert_eq!([number(0.5), number(2.0), number(20_000.0)], ["0.5", "2", "20k"]);
        assert_eq!(
            [(0.0, "min"), (-1.5, "min"), (-2.0, "min"), (-12.5, "min"), (-20.0, "h")]
                .map(|(ago, unit)| label(ago, unit)),
            ["now", "-90 s", "-2 min", "-12 min", "-20 h"]
        );
    }
}
