//! One chart: lines over named places, on a logarithmic scale, each with its name at its end.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn = Result<(), Box<dyn Error>>;

pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);
pub(crate) const GRID: RGBColor = RGBColor(222, 222, 222);
/// Of the labels of the y axis, of those of the x axis, and of the names at the ends of the lines.
const LEFT: u32 = 62;
const BELOW: u32 = 42;
const RIGHT: i32 = 180;
const TITLE: i32 = 30;
/// Between the middles of two names.
const LINE: i32 = 15;

/// How a subject is drawn, in every picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pen {
    pub(crate) colour: RGBColor,
    pub(crate) width: u32,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) pen: Pen,
    /// By place; `None` where nothing was measured.
    pub(crate) values: Vec<Option<f64>>,
}

/// What stands around the lines.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    /// The places along the x axis.
    pub(crate) places: &'a [String],
}

pub(crate) fn write(area: &Area<'_>, what: &str, at: (i32, i32), size: i32, colour: RGBColor) -> Drawn {
    let style = ("sans-serif", size).into_font().color(&colour).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw_text(what, &style, at)?;
    Ok(())
}

/// Draws the lines into `area`, from the power of ten below the least value to that above the largest.
pub(crate) fn lines(area: &Area<'_>, frame: &Frame<'_>, series: &[Series]) -> Drawn {
    write(area, frame.title, (LEFT as i32, TITLE / 2 + 4), 16, INK)?;
    let values = || series.iter().flat_map(|series| series.values.iter().flatten().copied());
    let least = values().fold(f64::INFINITY, f64::min);
    let most = values().fold(0.0, f64::max);
    if !(least > 0.0 && most.is_finite()) {
        return Err(format!("{}: nothing to draw", frame.title).into());
    }
    let last = frame.places.len() - 1;
    let mut chart = ChartBuilder::on(area)
        .margin_top(TITLE)
        .margin_right(RIGHT)
        .margin_left(4)
        .set_label_area_size(LabelAreaPosition::Left, LEFT)
        .set_label_area_size(LabelAreaPosition::Bottom, BELOW)
        .build_cartesian_2d(-0.15..last as f64 + 0.1, (least / 1.25..most * 1.25).log_scale())?;
    let place = |x: &f64| {
        let index = x.round();
        let is_place = (x - index).abs() < 1e-6 && index >= 0.0;
        frame.places.get(index as usize).filter(|_| is_place).cloned().unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(frame.places.len())
        .x_label_formatter(&place)
        .x_desc(frame.x)
        .y_labels(8)
        .y_label_formatter(&number)
        .y_desc(frame.y)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 13).into_font().color(&INK))
        .draw()?;
    let mut names = Vec::new();
    for series in series {
        let points: Vec<(f64, f64)> =
            series.values.iter().enumerate().filter_map(|(at, value)| Some((at as f64, (*value)?))).collect();
        let Some(end) = points.last().copied() else { continue };
        let (colour, width) = (series.pen.colour, series.pen.width);
        chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(width)))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, width + 1, colour.filled())))?;
        let (x, y) = chart.backend_coord(&end);
        names.push((x, y, series));
    }
    // The chart knows the places in the whole picture, of which the area may be a part.
    let (left, top) = area.get_base_pixel();
    names.sort_by_key(|(_, y, _)| *y);
    let wanted: Vec<i32> = names.iter().map(|(_, y, _)| *y).collect();
    for ((x, end, series), y) in names.iter().zip(apart(&wanted)) {
        let (x, colour) = (x - left, series.pen.colour);
        area.draw(&PathElement::new([(x + 6, end - top), (x + 20, y - top)], colour.mix(0.5)))?;
        write(area, &series.name, (x + 24, y - top), 13, colour)?;
    }
    Ok(())
}

/// Near the places that are wanted, in their order, and so far apart that names can be read.
fn apart(wanted: &[i32]) -> Vec<i32> {
    // Groups that touch, each around the middle of its wishes.
    let mut groups: Vec<(Vec<i32>, f64)> = Vec::new();
    for &place in wanted {
        let mut group = (vec![place], f64::from(place));
        while let Some(before) = groups.pop() {
            let half = |members: usize| f64::from(LINE) * members as f64 / 2.0;
            if before.1 + half(before.0.len()) <= group.1 - half(group.0.len()) {
                groups.push(before);
                break;
            }
            let members = [before.0, group.0].concat();
            let middle = members.iter().copied().map(f64::from).sum::<f64>() / members.len() as f64;
            group = (members, middle);
        }
        groups.push(group);
    }
    let places = groups.iter().flat_map(|(members, middle)| {
        let first = middle - f64::from(LINE) * (members.len() - 1) as f64 / 2.0;
        (0..members.len()).map(move |index| (first + f64::from(LINE) * index as f64) as i32)
    });
    places.collect()
}

/// Short, whatever its size.
fn number(value: &f64) -> String {
    match *value {
        value if value >= 1e9 => format!("{}G", value / 1e9),
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{}", (value * 1e4).round() / 1e4),
    }
}

#[cfg(test)]
mod tests {
    use super::{apart, number};

    #[test]
    fn names_do_not_touch() {
        assert_eq!(apart(&[10, 100]), [10, 100]);
        assert_eq!(apart(&[50, 50, 50]), [35, 50, 65]);
        let places = apart(&[10, 20, 24, 60, 61]);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= 14), "{places:?}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.1, 20.0, 3_000.0, 5e6, 2e9].map(|value| number(&value)), ["0.1", "20", "3k", "5M", "2G"]);
    }
}
