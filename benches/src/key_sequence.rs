//! Which key each call names: drawn before anything is measured, and the same for every subject.

/// Keys between 0 and a bound, over and over.
#[derive(Clone, Debug)]
pub struct KeySequence {
    /// A power of two of them. Half as wide as a key, so that they take less of the caches from what is measured.
    keys: Box<[u32]>,
}

impl KeySequence {
    /// `length` draws of `keys` keys that are all as likely.
    ///
    /// # Panics
    /// If `keys` is zero or `length` is no power of two.
    #[must_use]
    pub fn uniform(keys: u32, length: usize) -> Self {
        assert!(keys > 0, "there must be a key");
        // The high half of the product: as near to uniform as 32 bits of chance can be.
        Self::drawn(length, |chance| ((u64::from(keys) * (chance >> 32)) >> 32) as u32)
    }

    /// `length` draws of `keys` keys by Zipf's law with exponent 1: key `k` comes `k + 1` times more rarely than key 0.
    ///
    /// # Panics
    /// If `keys` is zero or `length` is no power of two.
    #[must_use]
    pub fn zipf(keys: u32, length: usize) -> Self {
        assert!(keys > 0, "there must be a key");
        let mut total = 0.0;
        let sums: Vec<f64> = (1..=keys)
            .map(|rank| {
                total += 1.0 / f64::from(rank);
                total
            })
            .collect();
        Self::drawn(length, |chance| {
            let point = (chance >> 11) as f64 / (1_u64 << 53) as f64 * total;
            (sums.partition_point(|&sum| sum <= point) as u32).min(keys - 1)
        })
    }

    fn drawn(length: usize, draw: impl Fn(u64) -> u32) -> Self {
        assert!(length.is_power_of_two(), "{length} is no power of two");
        let mut state = 7_u64;
        Self { keys: (0..length).map(|_| draw(split_mix(&mut state))).collect() }
    }

    /// The keys of thread `index` of `threads`, which starts at a place of its own.
    #[inline]
    pub fn of_thread(&self, index: usize, threads: usize) -> impl FnMut() -> u64 + '_ {
        let mut at = self.keys.len() / threads * index;
        move || {
            let key = self.keys[at & (self.keys.len() - 1)];
            at = at.wrapping_add(1);
            u64::from(key)
        }
    }
}

/// The next number of the generator `SplitMix64`.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::KeySequence;

    fn counts(sequence: &KeySequence) -> [f64; 10] {
        let mut counts = [0.0; 10];
        for &key in &sequence.keys {
            counts[key as usize] += 1.0 / sequence.keys.len() as f64;
        }
        counts
    }

    #[test]
    fn keys_come_as_often_as_they_should() {
        let harmonic: f64 = (1..=10).map(|rank| 1.0 / f64::from(rank)).sum();
        for (rank, share) in (1..).zip(counts(&KeySequence::zipf(10, 1 << 16))) {
            assert!((share - 1.0 / (f64::from(rank) * harmonic)).abs() < 0.01, "{rank}: {share}");
        }
        for share in counts(&KeySequence::uniform(10, 1 << 16)) {
            assert!((share - 0.1).abs() < 0.01, "{share}");
        }
    }

    #[test]
    fn goes_around_from_each_threads_place() {
        let sequence = KeySequence::uniform(1_000, 8);
        let (mut first, mut second) = (sequence.of_thread(0, 2), sequence.of_thread(1, 2));
        let first: Vec<u64> = (0..12).map(|_| first()).collect();
        let second: Vec<u64> = (0..8).map(|_| second()).collect();
        assert_eq!((&first[4..], &first[..4]), (&second[..], &first[8..]));
    }
}
