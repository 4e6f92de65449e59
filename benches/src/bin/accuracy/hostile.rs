//! What becomes of input that nobody should send, and somebody does.

use core::time::Duration;

use sluicegate_benches::machine::with_version;

use crate::guard::{Failure, guarded};
use crate::peers::{Answer, Asked, Simulate, Unfit, simulated};
use crate::rates::drain;
use crate::table::{NOTHING, Table, grouped};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// So many are taken one by one.
const SINGLES: u64 = 2_000_000;
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// What is done to a limiter.
#[derive(Clone, Copy)]
enum Deed {
    /// Asks a full one for so many.
    Full(u64),
    /// Asks for so many when there is nothing left.
    Spent(u64),
    /// Takes all there is.
    TakeAll,
    /// The same, and again after a century, and again after one more year.
    TakeAllLater,
    /// Asks for one, and for one more when there is nothing left.
    OneAndOneMore,
}

const fn once(period: Duration, burst: u64) -> Asked {
    Asked { permits: 1, period, burst }
}

const CASES: [(&str, Asked, Deed); 16] = [
    ("10/s burst 10, spent: n = 0", Asked { permits: 10, ..once(SECOND, 10) }, Deed::Spent(0)),
    ("10/s burst 10: n = 11", Asked { permits: 10, ..once(SECOND, 10) }, Deed::Full(11)),
    ("10/s burst 10: n = 2^32 - 1", Asked { permits: 10, ..once(SECOND, 10) }, Deed::Full(u32::MAX as u64)),
    ("10/s burst 10: n = 2^64 - 1", Asked { permits: 10, ..once(SECOND, 10) }, Deed::Full(u64::MAX)),
    ("1/min burst 10: n = 307,445,736", once(MINUTE, 10), Deed::Full(307_445_736)),
    ("1/h burst 10: n = 5,124,097", once(HOUR, 10), Deed::Full(5_124_097)),
    ("1/day burst 10: n = 213,505", once(DAY, 10), Deed::Full(213_505)),
    ("1/day burst 213,505: had at once", once(DAY, 213_505), Deed::TakeAll),
    ("1/day burst 1,000,000: had at once", once(DAY, 1_000_000), Deed::TakeAll),
    ("1/day burst 2^32 - 1: had at once", once(DAY, u32::MAX as u64), Deed::TakeAll),
    ("1/s burst 10, spent: had in 100 years, and in 101", once(SECOND, 10), Deed::TakeAllLater),
    ("1/day burst 1,000, spent: had in 100 years, and in 101", once(DAY, 1_000), Deed::TakeAllLater),
    ("rate 0, burst 1: first and second", Asked { permits: 0, ..once(SECOND, 1) }, Deed::OneAndOneMore),
    ("period 0, burst 1: first and second", once(Duration::ZERO, 1), Deed::OneAndOneMore),
    ("burst 0, 1/s: first and second", once(SECOND, 0), Deed::OneAndOneMore),
    (
        "2^32 - 1 a second, burst 1: first and second",
        Asked { permits: u32::MAX as u64, ..once(SECOND, 1) },
        Deed::OneAndOneMore,
    ),
];
pub(crate) fn table() -> Table {
    let mut table = Table::new(
        "hostile",
        "Hostile input",
        "In simulated time; the build is a release build, in which arithmetic that is not checked wraps. Never: \
         denied, and told that waiting does not help. Error: the constructor refuses. Panic: the constructor or the call does. \
         Hang: no answer within 5 s. —: the types have no room for it. Had: permits in all until one is denied, asked for one by \
         one up to two millions.",
        "",
        simulated().map(|(name, _)| with_version(name)),
    );
    for (name, asked, deed) in CASES {
        let cell =
            |(_, simulate): (_, Simulate)| match guarded(Duration::from_secs(5), move || act(simulate, asked, deed)) {
                Ok(cell) => cell,
                Err(Failure::Panicked) => "panic".to_owned(),
                Err(Failure::Hung) => "hang".to_owned(),
            };
        table.rows.push(std::iter::once(name.to_owned()).chain(simulated().map(cell)).collect());
    }
    table
}

fn act(simulate: Simulate, asked: Asked, deed: Deed) -> String {
    let mut limiter = match simulate(asked) {
        Ok(limiter) => limiter,
        Err(Unfit::Inexpressible) => return NOTHING.to_owned(),
        Err(Unfit::Refused) => return "error".to_owned(),
    };
    match deed {
        Deed::Full(n) => in_words(limiter.take(n)).to_owned(),
        Deed::Spent(n) => {
            drain(&*limiter);
            in_words(limiter.take(n)).to_owned()
        }
        Deed::TakeAll => {
            // One by one while that takes no time, and then in large steps.
            let mut singles = 0;
            while singles < SINGLES && limiter.take(1) == Answer::Granted {
                singles += 1;
            }
            grouped(if singles < SINGLES { singles } else { singles + drain(&*limiter) })
        }
        Deed::TakeAllLater => {
            drain(&*limiter);
            let had = [YEAR * 100, YEAR].map(|time| {
                limiter.advance(time);
                grouped(drain(&*limiter))
            });
            had.join("; ")
        }
        Deed::OneAndOneMore => {
            let (first, second) = (limiter.take(1), limiter.take(1));
            format!("{}, {}", in_words(first), in_words(second))
        }
    }
}

const fn in_words(answer: Answer) -> &'static str {
    match answer {
        Answer::Granted => "granted",
        Answer::Denied(_) => "denied",
        Answer::Never => "never",
        Answer::Inexpressible => NOTHING,
    }
}

#[cfg(test)]
mod tests {
    use super::{CASES, Deed, act, simulated};

    /// Ours is held to each cell, those that are no credit to it included.
    #[test]
    fn ours_grants_nothing_beyond_the_burst() {
        let (_, ours) = simulated().next().expect("ours is the first");
        for (name, asked, deed) in CASES {
            let cell = act(ours, asked, deed);
            let fine = match deed {
                Deed::Spent(n) | Deed::Full(n) => cell == if n == 0 { "granted" } else { "never" },
                Deed::TakeAll => cell == "error" || cell.replace(',', "") == asked.burst.to_string(),
                // Its word's time is over by then, as documented.
                Deed::TakeAllLater => cell == format!("{}; 0", super::grouped(asked.burst)),
                Deed::OneAndOneMore => ["error", "granted, denied"].contains(&&*cell),
            };
            assert!(fine, "{name}: {cell}");
        }
    }
}
