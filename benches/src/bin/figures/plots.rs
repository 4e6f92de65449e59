//! The pictures, each made of the rows of one figure.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::chart::{Area, Drawn, Frame, GRID, INK, Pen, Series, lines, write};
use crate::rows::{Rows, Where};

/// Draws all of them into `directory`, where the rows are.
pub(crate) fn draw(directory: &Path) -> Result<(), Box<dyn Error>> {
    let read = |name| Rows::read(directory, name);
    let contended = read("contended")?;
    threads(&directory.join("contended.svg"), &contended, "allow", "granted")?;
    threads(&directory.join("denied.svg"), &contended, "deny", "denied")?;
    stalls(&directory.join("stalls.svg"), &read("stalls")?)?;
    rates(&directory.join("accuracy.svg"), &read("accuracy")?)
}

// Told apart by people who see fewer colours, too (Okabe and Ito): ours in blue and thick, governor black.
const BLUE: RGBColor = RGBColor(0, 90, 160);
const SKY: RGBColor = RGBColor(60, 150, 215);
const GREEN: RGBColor = RGBColor(0, 135, 100);
const ORANGE: RGBColor = RGBColor(200, 130, 0);
const RED: RGBColor = RGBColor(200, 80, 0);
const PINK: RGBColor = RGBColor(180, 90, 140);
const GREY: RGBColor = RGBColor(125, 125, 125);

/// By the beginning of its name.
fn pen(subject: &str) -> Pen {
    let known = [
        ("sluicegate_local", SKY, 3),
        ("sluicegate_striped", GREEN, 3),
        ("sluicegate", BLUE, 3),
        ("governor", INK, 2),
        ("ratelimit", ORANGE, 1),
        ("better_bucket", PINK, 1),
        ("rate_net", PINK, 1),
        ("leaky_bucket", RED, 1),
    ];
    let found = known.into_iter().find(|(name, _, _)| subject.starts_with(name));
    found.map_or(Pen { colour: GREY, width: 1 }, |(_, colour, width)| Pen { colour, width })
}

/// Who is drawn over the numbers of threads: every limiter at its best, and the mutexes that people write.
const OVER_THREADS: [&str; 10] = [
    "sluicegate",
    "sluicegate_striped",
    "sluicegate_local",
    "governor",
    "ratelimit",
    "better_bucket",
    "rate_net",
    "leaky_bucket",
    "std_mutex_instant",
    "parking_lot_instant",
];

/// Two charts, one above the other: nanoseconds a decision, and decisions a second.
fn threads(path: &Path, rows: &Rows, suite: &str, outcome: &str) -> Drawn {
    let root = SVGBackend::new(path, (860, 800)).into_drawing_area();
    root.fill(&WHITE)?;
    let places: Vec<String> = rows.distinct(&[], "threads").into_iter().map(str::to_owned).collect();
    let halves = root.split_vertically(400);
    let x = format!("threads, on {} cores", rows.cores);
    let frame = |title, y| Frame { title, x: &x, y, places: &places };
    let series = |value: fn(f64) -> f64| -> Result<Vec<Series>, Box<dyn Error>> {
        let mut all = Vec::new();
        for subject in OVER_THREADS {
            let nanos = |threads: &String| {
                let cell: Where<'_> = &[("suite", suite), ("threads", threads), ("subject", subject)];
                rows.median(cell, "ns").map(|nanos| Some(value(nanos)))
            };
            let values = places.iter().map(nanos).collect::<Result<_, _>>()?;
            all.push(Series { name: subject.to_owned(), pen: pen(subject), values });
        }
        Ok(all)
    };
    let title = format!("A call that is {outcome}: wall time by the decisions of all threads; lower is better");
    lines(&halves.0, &frame(&title, "ns a decision"), &series(|nanos| nanos)?)?;
    let title = format!("The same as calls that are {outcome} a second, by all threads together; higher is better");
    lines(&halves.1, &frame(&title, "decisions a second"), &series(|nanos| 1e9 / nanos)?)?;
    root.present()?;
    Ok(())
}

/// Percentiles of single calls while a million keys are swept.
fn stalls(path: &Path, rows: &Rows) -> Drawn {
    const SHARES: [&str; 5] = ["p50", "p99", "p99.9", "p99.99", "max"];
    let root = SVGBackend::new(path, (860, 800)).into_drawing_area();
    root.fill(&WHITE)?;
    let halves = root.split_vertically(400);
    let places = SHARES.map(str::to_owned);
    for (half, scene, title) in [
        (&halves.0, "kept", "One caller while a million idle keys are looked at and kept; lower is better"),
        (&halves.1, "dropped", "One caller while a million idle keys are dropped; lower is better"),
    ] {
        let mut all = Vec::new();
        for subject in rows.distinct(&[("scene", scene)], "subject") {
            let nanos = |share: &&str| {
                rows.median(&[("scene", scene), ("threads", "1"), ("subject", subject)], share).map(Some)
            };
            let values = SHARES.iter().map(nanos).collect::<Result<_, _>>()?;
            all.push(Series { name: subject.to_owned(), pen: pen(subject), values });
        }
        let frame = Frame { title, x: "share of the calls that took at most so long", y: "ns a call", places: &places };
        lines(half, &frame, &all)?;
    }
    root.present()?;
    Ok(())
}

/// Granted by due, a line for each limiter and a mark for each rate and each way of asking.
fn rates(path: &Path, rows: &Rows) -> Drawn {
    const ROW: i32 = 26;
    const LEFT: i32 = 210;
    const TOP: i32 = 60;
    // From half of what is due to a quarter too much.
    const SCALE: (f64, f64) = (0.5, 1.15);
    let limiters = rows.distinct(&[("property", "rates")], "row");
    let (width, height) = (860, TOP + ROW * limiters.len() as i32 + 50);
    let root = SVGBackend::new(path, (width as u32, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let x = |share: f64| LEFT + ((share - SCALE.0) / (SCALE.1 - SCALE.0) * f64::from(width - LEFT - 60)) as i32;
    write(
        &root,
        "Permits granted by permits due, at eight rates from one a minute to 300 millions a second",
        (16, 20),
        16,
        INK,
    )?;
    write(
        &root,
        "A mark for each rate, a bar where it depends on how often the caller looks; 1 is exact, above 1 is too much",
        (16, 42),
        13,
        GREY,
    )?;
    let bottom = TOP + ROW * limiters.len() as i32;
    for share in [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1] {
        let colour = if share == 1.0 { INK } else { GRID };
        root.draw(&PathElement::new([(x(share), TOP), (x(share), bottom)], colour.stroke_width(1)))?;
        write(&root, &format!("{share}"), (x(share) - 8, bottom + 14), 13, INK)?;
    }
    write(&root, "granted / due", (x(0.8) - 30, bottom + 34), 13, INK)?;
    for (index, limiter) in limiters.into_iter().enumerate() {
        let y = TOP + ROW * index as i32 + ROW / 2;
        let colour = pen(limiter).colour;
        write(&root, limiter, (16, y), 13, colour)?;
        for cell in rows.texts(&[("property", "rates"), ("row", limiter)], "value") {
            mark(&root, cell, (&x, y), colour)?;
        }
    }
    root.present()?;
    Ok(())
}

/// One share, or the least and the most of them; what is neither is not drawn.
fn mark(area: &Area<'_>, cell: &str, (x, y): (&dyn Fn(f64) -> i32, i32), colour: RGBColor) -> Drawn {
    let (least, most) = cell.split_once(" - ").unwrap_or((cell, cell));
    let (Ok(least), Ok(most)) = (least.parse(), most.parse()) else { return Ok(()) };
    let style = colour.mix(0.75).stroke_width(4);
    area.draw(&PathElement::new([(x(least), y), (x(most), y)], style))?;
    for share in [least, most] {
        area.draw(&Circle::new((x(share), y), 5, colour.mix(0.75).filled()))?;
    }
    Ok(())
}
