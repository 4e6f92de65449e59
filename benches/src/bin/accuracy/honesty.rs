//! Whether a wait that is told is enough, and whether less would have done.

use core::time::Duration;

use sluicegate_benches::machine::with_version;

use crate::Effort;
use crate::guard::guarded;
use crate::peers::{Answer, Asked, Simulate, Simulated, simulated};
use crate::table::{NOTHING, Table, grouped};

const RATES: [(&str, u64); 5] =
    [("7/s", 7), ("1,000/s", 1_000), ("300,000/s", 300_000), ("1.5 M/s", 1_500_000), ("7 M/s", 7_000_000)];
const BURST: u64 = 10;

pub(crate) fn table(effort: &Effort) -> Table {
    let heads = RATES.iter().flat_map(|(name, _)| [format!("{name}: honest"), "told - least, ns".to_owned()]);
    let mut table = Table::new(
        "retry_after",
        "Told to wait",
        "Waiting as long as a denial tells, in simulated time. Honest: of the denials, those after which the same call is granted at \
         the moment that was told. Told - least: by how many nanoseconds that is later than the least wait after which the same \
         limiter grants; least - most of the denials, negative where the caller is sent back too early. —: tells no wait.",
        "told to wait",
        heads,
    );
    for (name, simulate) in simulated() {
        let mut row = vec![with_version(name)];
        for (_, rate) in RATES {
            let scenes = effort.scenes;
            let found =
                guarded(Duration::from_secs(60), move || examine(simulate, Asked::per_second(rate, BURST), scenes));
            row.extend(match found {
                Ok(Some(found)) => [
                    format!("{:.1} %", f64::from(found.honest) * 100.0 / f64::from(found.denials)),
                    if found.least == found.most {
                        signed(found.least)
                    } else {
                        format!("{} - {}", signed(found.least), signed(found.most))
                    },
                ],
                Ok(None) => [NOTHING.to_owned(), NOTHING.to_owned()],
                Err(failure) => [format!("{failure:?}").to_lowercase(), NOTHING.to_owned()],
            });
        }
        table.rows.push(row);
    }
    table
}

fn signed(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(nanos.unsigned_abs()))
}

struct Found {
    denials: u32,
    honest: u32,
    /// By which the told wait exceeds the least, in nanoseconds.
    least: i64,
    most: i64,
}

/// `None` if it tells nothing.
fn examine(simulate: Simulate, asked: Asked, scenes: u32) -> Option<Found> {
    let mut random = 88_172_645_463_325_252_u64;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    let mut found = Found { denials: 0, honest: 0, least: i64::MAX, most: i64::MIN };
    while found.denials < scenes {
        let scene = Scene { simulate, asked, after: below((asked.interval() * 3e9) as u64), n: 1 + below(BURST) };
        let told = match scene.denied()? {
            (_, Answer::Denied(Some(told))) => told.as_nanos() as u64,
            (_, Answer::Denied(None)) => return None,
            _ => continue,
        };
        found.denials += 1;
        found.honest += u32::from(scene.grants_after(told));
        let beyond = told as i64 - scene.least(told)? as i64;
        (found.least, found.most) = (found.least.min(beyond), found.most.max(beyond));
    }
    Some(found)
}

/// An hour after it was made a bucket is emptied, and some time `after` that somebody asks for `n`.
#[derive(Clone, Copy)]
struct Scene {
    simulate: Simulate,
    asked: Asked,
    after: u64,
    n: u64,
}

impl Scene {
    /// The limiter, and what it says. The same every time.
    fn denied(self) -> Option<(Box<dyn Simulated>, Answer)> {
        let mut limiter = (self.simulate)(self.asked).ok()?;
        limiter.advance(Duration::from_secs(3_600));
        assert_eq!(limiter.take(BURST), Answer::Granted, "a bucket is full after an hour");
        limiter.advance(Duration::from_nanos(self.after));
        let answer = limiter.take(self.n);
        Some((limiter, answer))
    }

    fn grants_after(self, wait: u64) -> bool {
        self.denied().is_some_and(|(mut limiter, _)| {
            limiter.advance(Duration::from_nanos(wait));
            limiter.take(self.n) == Answer::Granted
        })
    }

    /// The least wait that grants, found by halving; `None` if a day does not.
    fn least(self, told: u64) -> Option<u64> {
        let (mut denies, mut grants, mut step) = (0, told, 1);
        while !self.grants_after(grants) {
            (denies, grants, step) = (grants, grants + step, step * 2);
            if step > 86_400_000_000_000 {
                return None;
            }
        }
        while denies + 1 < grants {
            let middle = denies + (grants - denies) / 2;
            if self.grants_after(middle) {
                grants = middle;
            } else {
                denies = middle;
            }
        }
        Some(grants)
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, examine, simulated};

    #[test]
    fn ours_tells_the_least_to_the_nanosecond() {
        let (_, ours) = simulated().next().expect("ours is the first");
        for rate in [7, 300_000, 7_000_000] {
            let found = examine(ours, Asked::per_second(rate, super::BURST), 20).expect("it tells");
            assert_eq!((found.denials, found.honest, found.least, found.most), (20, 20, 0, 0), "{rate}/s");
        }
    }
}
