//! The picture: for each law the rate, the capacity and the goodput over time, and below it the share of errors.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::service::{Interval, total};
use crate::{Run, STORY};

const SIZE: (u32, u32) = (960, 900);
/// Pixels: the legend, then for each law its name, the rates and the errors.
const LEGEND: i32 = 40;
const NAME: i32 = 30;
const RATES: i32 = 280;
const ERRORS: i32 = 120;
/// Of the labels of the y axis and of those of the x axis.
const LEFT: u32 = 68;
const BELOW: u32 = 40;

/// The top of the y axis, permits a second, and where the names of the phases stand.
const HIGHEST: f64 = 325.0;
const NAMES: f64 = 313.0;

// Told apart by people who see fewer colours, too (Okabe and Ito).
const RATE: RGBColor = RGBColor(0, 90, 160);
const GOODPUT: RGBColor = RGBColor(80, 190, 140);
const FAILED: RGBColor = RGBColor(213, 94, 0);
const CAPACITY: RGBColor = RGBColor(110, 110, 110);
const COULD: RGBColor = RGBColor(232, 232, 232);
const GRID: RGBColor = RGBColor(215, 215, 215);
const INK: RGBColor = RGBColor(40, 40, 40);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

pub(crate) fn draw(path: &Path, runs: &[Run], reduction: f64) -> Drawn {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (top, mut rest) = root.split_vertically(LEGEND);
    legend(&top)?;
    for run in runs {
        let law = match run.name {
            "ErrorRate" => format!("rate × {reduction} when more than 10 % fail, else × 1.1"),
            _ => "rate × 0.7 when more than 10 % fail, then back on a cubic curve".to_owned(),
        };
        let parts = rest.split_vertically(NAME);
        write(&parts.0, &format!("Law::{}: {law}; one window a second", run.name), (LEFT as i32, 18), 16)?;
        let parts = parts.1.split_vertically(RATES);
        rates(&parts.0, &run.intervals)?;
        let parts = parts.1.split_vertically(ERRORS);
        errors(&parts.0, &run.intervals)?;
        rest = parts.1;
    }
    root.present()?;
    Ok(())
}

fn write(area: &Area<'_>, what: &str, at: (i32, i32), size: i32) -> Drawn {
    let style = ("sans-serif", size).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw_text(what, &style, at)?;
    Ok(())
}

/// One for both laws, where it hides nothing.
fn legend(area: &Area<'_>) -> Drawn {
    let y = LEGEND / 2 + 4;
    let entries = [
        ("capacity of the service", CAPACITY, 0),
        ("rate of the limiter", RATE, 225),
        ("goodput (requests served)", GOODPUT, 415),
        ("errors", FAILED, 650),
    ];
    for (what, colour, x) in entries {
        let x = LEFT as i32 + x;
        if colour == CAPACITY {
            area.draw(&Rectangle::new([(x, y - 6), (x + 26, y + 6)], COULD.filled()))?;
            area.draw(&PathElement::new([(x, y - 6), (x + 26, y - 6)], colour.stroke_width(1)))?;
        } else {
            let width = if colour == GOODPUT { 5 } else { 2 };
            area.draw(&PathElement::new([(x, y), (x + 26, y)], colour.stroke_width(width)))?;
        }
        write(area, what, (x + 34, y), 15)?;
    }
    Ok(())
}

fn rates(area: &Area<'_>, intervals: &[Interval]) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin_right(16)
        .set_label_area_size(LabelAreaPosition::Left, LEFT)
        .margin_bottom(6)
        .build_cartesian_2d(0.0..end(), 0.0..HIGHEST)?;
    let capacity: Vec<_> =
        STORY.iter().flat_map(|phase| [(phase.from, phase.capacity), (phase.to, phase.capacity)]).collect();
    chart.draw_series(AreaSeries::new(capacity.iter().copied(), 0.0, COULD))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(0)
        .y_labels(7)
        .y_label_formatter(&|rate| format!("{rate:.0}"))
        .y_desc("permits or requests per second")
        .label_style(("sans-serif", 14).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 14).into_font().color(&INK))
        .draw()?;
    chart.draw_series(LineSeries::new(capacity, CAPACITY.stroke_width(1)))?;
    chart.draw_series(LineSeries::new(
        by_second(intervals, |sum| sum.goodput as f64 / sum.seconds),
        GOODPUT.stroke_width(5),
    ))?;
    chart.draw_series(LineSeries::new(steps(intervals), RATE.stroke_width(2)))?;
    let style = ("sans-serif", 13).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Center));
    let names = STORY.iter().map(|phase| Text::new(phase.name, ((phase.from + phase.to) / 2.0, NAMES), style.clone()));
    chart.draw_series(names)?;
    Ok(())
}

fn errors(area: &Area<'_>, intervals: &[Interval]) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin_right(16)
        .margin_top(4)
        .set_label_area_size(LabelAreaPosition::Left, LEFT)
        .set_label_area_size(LabelAreaPosition::Bottom, BELOW)
        .build_cartesian_2d(0.0..end(), 0.0..100.0)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(12)
        .x_label_formatter(&|second| format!("{second:.0}"))
        .x_desc("time (s)")
        .y_labels(3)
        .y_label_formatter(&|share| format!("{share:.0} %"))
        .y_desc("errors")
        .label_style(("sans-serif", 14).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 14).into_font().color(&INK))
        .draw()?;
    let share = by_second(intervals, |sum| 100.0 * sum.error_share());
    chart.draw_series(AreaSeries::new(share, 0.0, FAILED.mix(0.25)).border_style(FAILED.stroke_width(2)))?;
    Ok(())
}

fn end() -> f64 {
    STORY[STORY.len() - 1].to
}

/// One point a second, in its middle: an interval has too few requests for a smooth line.
fn by_second(intervals: &[Interval], value: impl Fn(crate::service::Total) -> f64) -> Vec<(f64, f64)> {
    let seconds = (0..end() as u32).map(f64::from);
    seconds.map(|second| (second + 0.5, value(total(intervals, second, second + 1.0)))).collect()
}

/// The rate stays until it changes: only the corners of that line.
fn steps(intervals: &[Interval]) -> Vec<(f64, f64)> {
    let mut line = vec![(0.0, intervals[0].rate)];
    for pair in intervals.windows(2) {
        if pair[0].rate != pair[1].rate {
            line.extend([(pair[1].to, pair[0].rate), (pair[1].to, pair[1].rate)]);
        }
    }
    line.push((end(), intervals[intervals.len() - 1].rate));
    line
}
