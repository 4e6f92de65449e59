//! What was aimed at, and what was measured: the table that says which targets are missed, and by how much.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use crate::rows::{Rows, Where};

/// One line of the table: the most, or the least, that these may be.
struct Target {
    what: String,
    limit: Limit,
    /// Each with the number of threads or the like that it is of.
    measured: Vec<(String, f64)>,
    digits: usize,
}

#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn at_most(limit: f64, what: impl Into<String>, measured: Vec<(String, f64)>) -> Self {
        Self { what: what.into(), limit: Limit::AtMost(limit), measured, digits: 2 }
    }

    fn at_least(limit: f64, what: impl Into<String>, measured: Vec<(String, f64)>) -> Self {
        Self { what: what.into(), limit: Limit::AtLeast(limit), measured, digits: 2 }
    }

    const fn digits(mut self, digits: usize) -> Self {
        self.digits = digits;
        self
    }

    /// To the digits that are printed: more are noise.
    fn is_met_by(&self, value: f64) -> bool {
        let scale = 10_f64.powi(self.digits as i32);
        let rounded = (value * scale).round() / scale;
        match self.limit {
            Limit::AtMost(limit) => rounded <= limit,
            Limit::AtLeast(limit) => rounded >= limit,
        }
    }

    fn line(&self) -> String {
        let (sign, limit) = match self.limit {
            Limit::AtMost(limit) => ("<=", limit),
            Limit::AtLeast(limit) => (">=", limit),
        };
        let mut line = format!("| {} | {sign} {limit} |", self.what);
        for (index, (of, value)) in self.measured.iter().enumerate() {
            let mark = if self.is_met_by(*value) { "" } else { "**" };
            let comma = if index > 0 { "," } else { "" };
            let _ = write!(line, "{comma} {mark}{value:.*}{mark} ({of})", self.digits);
        }
        let missed = self.measured.iter().filter(|(_, value)| !self.is_met_by(*value)).count();
        let verdict = match missed {
            0 => "met".to_owned(),
            all if all == self.measured.len() => "**missed**".to_owned(),
            some => format!("**missed** in {some} of {}", self.measured.len()),
        };
        line + &format!(" | {verdict} |")
    }
}

/// As Markdown, from the rows in `directory`.
pub(crate) fn table(directory: &Path) -> Result<String, Box<dyn Error>> {
    let mut table = "| | target | measured | |\n| --- | --- | --- | --- |\n".to_owned();
    for target in targets(directory)? {
        table += &target.line();
        table.push('\n');
    }
    Ok(table)
}

/// The ratio of two subjects in one suite, for each number of threads.
fn ratios(rows: &Rows, suite: &str, threads: &[&str], ours: &str, theirs: &str) -> Result<Vec<(String, f64)>, String> {
    let ratio = |threads: &&str| {
        let cell: Where<'_> = &[("suite", suite), ("threads", threads)];
        Ok(((*threads).to_owned(), rows.ratio(cell, ours, theirs, "ns")?))
    };
    threads.iter().map(ratio).collect()
}

fn targets(directory: &Path) -> Result<Vec<Target>, Box<dyn Error>> {
    let read = |name| Rows::read(directory, name);
    let mut all = buckets(&read("bucket")?, &read("utilisation")?)?;
    all.extend(others(&read("compose")?, &read("window")?, &read("adaptive")?)?);
    all.extend(keyed(&read("keyed")?, &read("stalls")?, &read("bytes")?)?);
    Ok(all)
}

fn buckets(rows: &Rows, utilisation: &Rows) -> Result<Vec<Target>, String> {
    let governor = |suite, threads: &[&str], ours| ratios(rows, suite, threads, ours, "governor");
    let faster = |theirs| ratios(rows, "allow", &["2", "8"], theirs, "sluicegate");
    let coarse = |suite| {
        let cell: Where<'_> = &[("suite", suite), ("threads", "1"), ("subject", "sluicegate_coarse")];
        Ok::<_, String>(vec![("1".to_owned(), rows.median(cell, "ns")?)])
    };
    let least = |subject| {
        let rates = utilisation.distinct(&[], "rate");
        let threads = utilisation.distinct(&[], "threads");
        let cells = rates.iter().flat_map(|rate| threads.iter().map(move |threads| (*rate, *threads)));
        let shares = cells.map(|(rate, threads)| {
            let cell: Where<'_> = &[("rate", rate), ("threads", threads), ("subject", subject)];
            Ok((format!("{rate}/s, {threads} threads"), 100.0 * utilisation.median(cell, "utilisation")?))
        });
        let shares = shares.collect::<Result<Vec<_>, String>>()?;
        Ok::<_, String>(shares.into_iter().min_by(|one, other| one.1.total_cmp(&other.1)).into_iter().collect())
    };
    Ok(vec![
        Target::at_most(1.0, "`TokenBucket`, allow, x governor", governor("allow", &["1", "2", "8"], "sluicegate")?),
        Target::at_most(1.0, "`TokenBucket`, deny, x governor", governor("deny", &["1", "2", "8"], "sluicegate")?),
        Target::at_least(4.0, "std mutex on an `Instant`, allow, x `TokenBucket`", faster("std_mutex_instant")?),
        Target::at_least(1.0, "std mutex on our clock, allow, x `TokenBucket`", faster("std_mutex_monotonic")?),
        Target::at_most(
            0.4,
            "`StripedTokenBucket`, allow, x governor",
            governor("allow", &["1"], "sluicegate_striped")?,
        ),
        Target::at_most(0.1, "the same", governor("allow", &["2", "8"], "sluicegate_striped")?),
        Target::at_most(0.11, "`LocalTokenBucket`, allow, x governor", governor("allow", &["1"], "sluicegate_local")?),
        Target::at_most(0.03, "the same", governor("allow", &["2", "8"], "sluicegate_local")?),
        Target::at_most(
            1.0,
            "`StripedTokenBucket`, deny, x governor",
            governor("deny", &["1", "2", "8"], "sluicegate_striped")?,
        ),
        Target::at_most(
            1.0,
            "`LocalTokenBucket`, deny, x governor",
            governor("deny", &["1", "2", "8"], "sluicegate_local")?,
        ),
        Target::at_least(98.0, "`StripedTokenBucket`, utilisation, %, the least", least("sluicegate_striped")?)
            .digits(1),
        Target::at_least(95.0, "`LocalTokenBucket`, utilisation, %, the least", least("sluicegate_local")?).digits(1),
        Target::at_most(7.0, "`CoarseClock`, allow, ns", coarse("allow")?).digits(1),
        Target::at_most(1.0, "`CoarseClock`, deny, ns", coarse("deny")?).digits(1),
    ])
}

fn others(compose: &Rows, window: &Rows, adaptive: &Rows) -> Result<Vec<Target>, String> {
    let (one, contended): (&[&str], &[&str]) = (&["1"], &["2", "8"]);
    let alone = |subject| compose.median(&[("suite", "allow"), ("threads", "1"), ("subject", subject)], "ns");
    let composite = vec![("1".to_owned(), alone("all_of")? - alone("two_calls")?)];
    let mut all = vec![Target::at_most(4.0, "`all_of` of two, ns beyond the two calls", composite).digits(1)];
    for (law, name) in [
        ("fixed_window", "`FixedWindowCounter`"),
        ("sliding_window", "`SlidingWindowCounter`"),
        ("sliding_window_strict", "`SlidingWindowCounter`, strict"),
    ] {
        let bucket = |suite, threads| ratios(window, suite, threads, law, "token_bucket");
        all.push(Target::at_most(1.3, format!("{name}, allow, x `TokenBucket`"), bucket("allow", one)?));
        all.push(Target::at_most(1.5, format!("{name}, deny, x `TokenBucket`"), bucket("deny", one)?));
        all.push(Target::at_most(
            1.0,
            format!("{name}, allow, contended, x `TokenBucket`"),
            bucket("allow", contended)?,
        ));
    }
    let bucket = |suite, threads: &[&str]| ratios(adaptive, suite, threads, "adaptive", "token_bucket");
    all.push(Target::at_most(
        1.15,
        "`AdaptiveRateLimiter`, allow, x `TokenBucket`",
        bucket("allow", &["1", "2", "8"])?,
    ));
    let report: Where<'_> = &[("suite", "report"), ("threads", "1"), ("subject", "adaptive")];
    let report = vec![("1".to_owned(), adaptive.median(report, "ns")?)];
    all.push(Target::at_most(8.0, "a report of success, ns", report).digits(1));
    Ok(all)
}

fn keyed(rows: &Rows, stalls: &Rows, bytes: &Rows) -> Result<Vec<Target>, Box<dyn Error>> {
    let governor = |suite, threads: &[&str], ours| ratios(rows, suite, threads, ours, "governor");
    let mut all = Vec::new();
    for (suite, keys, two) in [("keys_1k", "1k", 0.85), ("keys_100k", "100k", 0.75), ("keys_1m", "1M", 0.75)] {
        let what = format!("`PerKeyRateLimiter`, {keys} keys, x governor");
        all.push(Target::at_most(0.7, what.clone(), governor(suite, &["1"], "sluicegate")?));
        all.push(Target::at_most(two, what, governor(suite, &["2"], "sluicegate")?));
    }
    let hot = "`PerKeyRateLimiter`, one hot key, x governor";
    all.push(Target::at_most(0.8, hot, governor("hot_key", &["1", "2", "8"], "sluicegate")?));
    let handle = "`KeyHandle`, one hot key, x governor";
    all.push(Target::at_most(0.45, handle, governor("hot_key", &["1"], "sluicegate_handle")?));
    all.push(Target::at_most(0.3, handle, governor("hot_key", &["2", "8"], "sluicegate_handle")?));

    let of = |limiter| bytes.median(&[("table", "key"), ("measure", "u64"), ("limiter", limiter)], "bytes");
    let keys = bytes.distinct(&[("table", "key")], "count").concat();
    let ratio = vec![(format!("{keys} keys"), of("sluicegate")? / of("governor")?)];
    all.push(Target::at_most(1.02, "bytes a key, x governor", ratio).digits(3));

    let tail = |scene: &str, threads: &str| {
        let ratio = stalls.ratio(&[("scene", scene), ("threads", threads)], "sluicegate", "governor", "p99.99")?;
        Ok::<_, String>((format!("{scene}, {threads}"), ratio))
    };
    let cells = [("kept", "1"), ("kept", "2"), ("dropped", "1"), ("dropped", "2")];
    let tails = cells.into_iter().map(|(scene, threads)| tail(scene, threads)).collect::<Result<_, _>>()?;
    all.push(Target::at_most(0.02, "p99.99 of a call while a million keys are swept, x governor", tails).digits(3));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn says_what_is_missed() {
        let measured = |values: &[f64]| values.iter().map(|value| ("2".to_owned(), *value)).collect::<Vec<_>>();
        let line = Target::at_most(0.8, "that", measured(&[0.804, 0.806])).line();
        assert_eq!(line, "| that | <= 0.8 | 0.80 (2), **0.81** (2) | **missed** in 1 of 2 |");
        let line = Target::at_least(98.0, "share", measured(&[97.96])).digits(1).line();
        assert_eq!(line, "| share | >= 98 | 98.0 (2) | met |");
        assert!(Target::at_least(4.0, "that", measured(&[3.0])).line().ends_with("**missed** |"));
    }
}
