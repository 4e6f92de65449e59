//! How long single calls took: counts by time, exact for short ones and to 1.6 % for long ones.

/// Buckets by power of two.
const STEPS: usize = 1 << STEP_BITS;
const STEP_BITS: u32 = 6;

/// Counts by time, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64]>,
    max: u64,
}

impl Histogram {
    /// Nothing counted.
    #[must_use]
    pub fn new() -> Self {
        Self { counts: vec![0; bucket(u64::MAX) + 1].into(), max: 0 }
    }

    /// Counts one call.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.max = self.max.max(nanos);
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.max = self.max.max(other.max);
    }

    /// How many were counted.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The longest, exactly; 0 if there is none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Which share of the time of all calls was spent in those of `nanos` or longer, to the precision of the counts.
    ///
    /// A caller that waits makes no calls meanwhile: so long waits are rare among calls even if they take up most of
    /// the time. Here they weigh what they weigh.
    #[must_use]
    pub fn time_in(&self, nanos: u64) -> f64 {
        let time = |from: usize| -> f64 {
            let counts = self.counts.iter().enumerate().skip(from);
            counts.map(|(bucket, &count)| last_of(bucket) as f64 * count as f64).sum()
        };
        time(bucket(nanos)) / time(0)
    }

    /// So many nanoseconds took that share of the calls at most; never less than the truth.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = (self.calls() as f64 * share).ceil() as u64;
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank.max(1)
        });
        found.map_or(self.max, |bucket| last_of(bucket).min(self.max))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// Up to `2 * STEPS` the time itself, then `STEPS` for each power of two.
#[inline]
fn bucket(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(STEP_BITS + 1);
    shift as usize * STEPS + (nanos >> shift) as usize
}

/// The longest time that a bucket counts.
fn last_of(bucket: usize) -> u64 {
    if bucket < 2 * STEPS {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    let first = ((bucket % STEPS + STEPS) as u64) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::{Histogram, bucket, last_of};

    #[test]
    fn every_time_is_in_the_bucket_that_ends_behind_it() {
        let powers = (0..64).map(|power| 1_u64 << power);
        for nanos in powers.flat_map(|power| [power - 1, power, power + power / 3]).chain([u64::MAX]) {
            let (found, last) = (bucket(nanos), last_of(bucket(nanos)));
            assert!(last >= nanos && last - nanos <= nanos / 64, "{nanos}: {last}");
            assert!(bucket(last) == found && last.checked_add(1).is_none_or(|next| bucket(next) == found + 1));
        }
    }

    #[test]
    fn tells_quantiles_and_the_longest() {
        let (mut one, mut other) = (Histogram::new(), Histogram::new());
        (1..=99).for_each(|nanos| one.record(nanos));
        other.record(1_000_000);
        one.merge(&other);
        assert_eq!((one.calls(), one.max()), (100, 1_000_000));
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| one.quantile(share)), [1, 50, 99, 1_000_000]);
        assert!((one.time_in(1_000) - 1_000_000.0 / 1_004_950.0).abs() < 1e-3);
        assert_eq!(Histogram::new().quantile(0.5), 0);
    }
}
