//! The interval in which most was granted beyond what the rate brings.

/// One call that was granted: the time just before it, and the time just after, in nanoseconds.
pub(crate) type Grant = (u64, u64);

/// The most that was granted within any interval that holds a grant, less `rate` permits a second by its length. 0 of nothing.
///
/// A grant counts for an interval if its whole call lies within: whenever the limiter decided, it was then. So a limiter that
/// keeps burst and rate is never above its burst, however its callers were interrupted.
pub(crate) fn excess(mut grants: Vec<Grant>, rate: u64) -> f64 {
    grants.sort_unstable();
    let mut by_end: Vec<usize> = (0..grants.len()).collect();
    by_end.sort_unstable_by_key(|&index| grants[index].1);
    // In billionths of a permit. Beginnings stand at the leaves; an end takes its own call in, and asks for the best beginning.
    let mut tree = Tree::new(grants.len());
    let beyond = by_end.into_iter().map(|index| {
        let (start, end) = grants[index];
        tree.add(index, i128::from(rate) * i128::from(start));
        tree.best() - i128::from(rate) * i128::from(end)
    });
    beyond.max().unwrap_or(0) as f64 * 1e-9
}

/// Over beginnings in their order: the best sum of a beginning's own value and of all calls that begin with it or later.
struct Tree {
    leaves: usize,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    calls: i128,
    best: i128,
}

/// A permit.
const CALL: i128 = 1_000_000_000;

impl Tree {
    fn new(calls: usize) -> Self {
        let leaves = calls.next_power_of_two();
        Self { leaves, nodes: vec![Node { calls: 0, best: i128::MIN / 2 }; 2 * leaves] }
    }

    fn add(&mut self, index: usize, value: i128) {
        let mut at = self.leaves + index;
        self.nodes[at] = Node { calls: CALL, best: value + CALL };
        while at > 1 {
            at /= 2;
            let (left, right) = (self.nodes[2 * at], self.nodes[2 * at + 1]);
            let best = right.best.max(left.best + right.calls);
            self.nodes[at] = Node { calls: left.calls + right.calls, best };
        }
    }

    fn best(&self) -> i128 {
        // Of a single leaf, the leaf.
        self.nodes[1].best
    }
}

#[cfg(test)]
mod tests {
    use super::{Grant, excess};

    fn slowly(grants: &[Grant], rate: u64) -> f64 {
        let beyond = |start: u64, end: u64| {
            let within = grants.iter().filter(|grant| grant.0 >= start && grant.1 <= end).count();
            (within > 0).then(|| within as f64 - rate as f64 * (end - start) as f64 * 1e-9)
        };
        let pairs = grants.iter().flat_map(|from| grants.iter().map(|to| (from.0, to.1)));
        pairs.filter(|(start, end)| start < end).filter_map(|(start, end)| beyond(start, end)).fold(f64::MIN, f64::max)
    }

    /// Kills: `left.best + right.calls` -> `left.best`.
    #[test]
    fn finds_what_trying_every_interval_finds() {
        let mut random = 1_u64;
        let mut below = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        for calls in 1..60 {
            let grants: Vec<Grant> = (0..calls)
                .map(|_| {
                    let start = below(5_000);
                    (start, start + 1 + below(800))
                })
                .collect();
            for rate in [1_000_000, 20_000_000, 300_000_000] {
                let (fast, slow) = (excess(grants.clone(), rate), slowly(&grants, rate));
                assert!((fast - slow).abs() < 1e-6, "{calls} calls at {rate}/s: {fast}, not {slow}");
            }
        }
    }

    #[test]
    fn a_call_that_took_long_is_nowhere_else() {
        // Three a millisecond apart, at 1,000 a second: one beyond the rate, and the second one may have been at any time.
        assert!((excess(vec![(0, 1), (2, 1_999_999), (2_000_000, 2_000_001)], 1_000) - 1.0).abs() < 1e-5);
    }
}
