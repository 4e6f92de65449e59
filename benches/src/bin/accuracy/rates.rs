//! What is granted by what is due: a caller looks again and again and takes all there is.

use core::time::Duration;

use sluicegate_benches::machine::with_version;

use crate::Effort;
use crate::guard::{Failure, guarded};
use crate::peers::{Answer, Asked, Simulate, Simulated, Unfit, simulated};
use crate::table::{NOTHING, Table};

const SECOND: Duration = Duration::from_secs(1);
const RATES: [(&str, u64, Duration); 8] = [
    ("1/min", 1, Duration::from_secs(60)),
    ("1/s", 1, SECOND),
    ("7/s", 7, SECOND),
    ("10/s", 10, SECOND),
    ("1,000/s", 1_000, SECOND),
    ("1.5 M/s", 1_500_000, SECOND),
    ("7 M/s", 7_000_000, SECOND),
    ("300 M/s", 300_000_000, SECOND),
];

/// How often the caller looks.
const POLLS: [Duration; 3] = [Duration::from_nanos(1_900), Duration::from_micros(119), Duration::from_micros(10_700)];

pub(crate) fn table(effort: &Effort) -> Table {
    let mut table = Table::new(
        "rates",
        "Rate",
        "Granted by due, in simulated time: the burst is taken, then a caller looks every 1.9 us, 119 us or 10.7 ms and takes all \
         there is, for at least 1 s and 10 permits, and until there is something once more; due is the rate by that time, in \
         whole permits. The least and the most of the three, one number where they agree. Above 1 is too much. Looking every \
         1.9 us at one a minute, for ten minutes, is left out. Not here: pingora_limits, which reads the system's clock.",
        "granted / due",
        RATES.iter().map(|(name, ..)| (*name).to_owned()),
    );
    for (name, simulate) in simulated() {
        let cell = |(_, permits, period): &(_, u64, Duration)| {
            // A tenth of a second's, so that nothing is cut between two looks.
            let per_second = (*permits as f64 / period.as_secs_f64()) as u64;
            share(
                simulate,
                Asked { permits: *permits, period: *period, burst: (per_second / 10).max(10) },
                effort.polls,
            )
        };
        let cells = RATES.iter().map(cell);
        table.rows.push(std::iter::once(with_version(name)).chain(cells).collect());
    }
    table
}

/// The cell: over all ways of looking that do not take more than so many looks.
fn share(simulate: Simulate, asked: Asked, most: u64) -> String {
    let mut found = Vec::new();
    for poll in POLLS {
        let periods = 10_u64.div_ceil(asked.permits).max(1);
        let time = asked.period.as_nanos() as u64 * periods;
        let looks = time.div_ceil(poll.as_nanos() as u64);
        if looks > most {
            continue;
        }
        let run = move || Ok::<_, Unfit>(poll_for(&mut *simulate(asked)?, asked, poll, looks));
        match guarded(Duration::from_secs(120), run) {
            Ok(Ok(share)) => found.push(share),
            Ok(Err(_)) => return NOTHING.to_owned(),
            Err(Failure::Panicked) => return "panic".to_owned(),
            Err(Failure::Hung) => return "hang".to_owned(),
        }
    }
    let bounds = found.iter().fold(None, |bounds, &share| {
        let (least, most) = bounds.unwrap_or((share, share));
        Some((f64::min(least, share), f64::max(most, share)))
    });
    let Some((least, most)) = bounds.map(|(least, most)| (format!("{least:.4}"), format!("{most:.4}"))) else {
        return NOTHING.to_owned();
    };
    if least == most { least } else { format!("{least} - {most}") }
}

/// Granted by due, of a limiter that is full.
///
/// After so many looks up to the next one that is granted something: one that refills now and then is then asked after a
/// refill, and not at any time between two. Who grants nothing for as long again is measured all the same.
fn poll_for(limiter: &mut dyn Simulated, asked: Asked, poll: Duration, looks: u64) -> f64 {
    drain(limiter);
    let (mut granted, mut looked) = (0, 0);
    while looked < 2 * looks {
        limiter.advance(poll);
        let found = drain(limiter);
        (granted, looked) = (granted + found, looked + 1);
        if looked >= looks && found > 0 {
            break;
        }
    }
    let elapsed = poll.as_nanos() * u128::from(looked);
    let due = elapsed * u128::from(asked.permits) / asked.period.as_nanos();
    granted as f64 / due as f64
}

/// Takes all there is, and tells how much: doubles what it asks for until that is denied, and then halves it.
pub(crate) fn drain(limiter: &dyn Simulated) -> u64 {
    let (mut taken, mut n) = (0_u64, 1_u64);
    while limiter.take(n) == Answer::Granted {
        taken += n;
        // No further than what every call can name.
        n = (n * 2).min(1 << 31);
        if taken > 1 << 40 {
            break;
        }
    }
    while n > 1 {
        n /= 2;
        while limiter.take(n) == Answer::Granted {
            taken += n;
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::{Asked, POLLS, Simulated, drain, poll_for, simulated};

    fn ours(asked: Asked) -> Box<dyn Simulated> {
        let (_, simulate) = simulated().next().expect("ours is the first");
        simulate(asked).unwrap_or_else(|unfit| panic!("{asked:?}: {unfit:?}"))
    }

    #[test]
    fn a_drained_bucket_had_its_burst() {
        for burst in [1, 7, 1_000, 4_096] {
            let limiter = ours(Asked::per_second(1, burst));
            assert_eq!((drain(&*limiter), drain(&*limiter)), (burst, 0));
        }
    }

    #[test]
    fn ours_grants_what_is_due() {
        let asked = Asked::per_second(7_000_000, 700_000);
        let mut limiter = ours(asked);
        assert_eq!(poll_for(&mut *limiter, asked, POLLS[1], 1_000), 1.0);
    }
}
