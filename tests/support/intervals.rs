//! The bound over every interval of a recorded trace, in O(n log n) and exact integers.
//!
//! Needs nothing but the standard library, so that other crates can include it by path.

#![allow(dead_code, unreachable_pub)]

/// A granted call: nanoseconds before it began and after it ended, and what it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub start: u64,
    pub end: u64,
    pub permits: u64,
}

/// The largest of `granted - rate * (T + 1 ns)` over every interval of length `T`, the empty ones included. An
/// interval `[a, b]` counts the calls with `start >= a` and `end <= b`; the rate is `permits` per `period_nanos`.
///
/// # Panics
/// If a call ends before it starts, or if the rate has more than 60 bits in `permits` or 62 in `period_nanos`.
pub fn worst_excess(calls: &[Call], permits: u64, period_nanos: u64) -> f64 {
    worst_excess_net(calls, &[], permits, period_nanos)
}

/// The same with what was given back subtracted from what was granted.
///
/// A call to give back counts wherever it *overlaps* the interval, because its effect may lie anywhere between its
/// start and its end. To count only those that lie wholly inside would claim more than is true: a full burst taken,
/// given back by a call that straddles the start of the interval, and taken again.
pub fn worst_excess_net(calls: &[Call], given_back: &[Call], permits: u64, period_nanos: u64) -> f64 {
    assert!(permits < 1 << 60 && period_nanos < 1 << 62, "the sums would not fit in 127 bits");
    assert!(calls.iter().chain(given_back).all(|call| call.start <= call.end), "a call ends before it starts");
    let (rate, period) = (i128::from(permits), i128::from(period_nanos));
    let origin = calls.iter().map(|call| call.start).min().unwrap_or(0);
    let since = |time: u64| i128::from(time) - i128::from(origin);

    // Of all intervals with the same grants the shortest one is the worst: from the start of one grant to the end of
    // another. All sums are in permits * period. With f = what was given back,
    //   granted - f(overlapping) - rate * T
    //     = [granted + f(ended before a) + rate * a] - f(started until b) - rate * b,
    // where the bracket, for every start a, stands in the tree.
    let mut starts: Vec<u64> = calls.iter().map(|call| call.start).collect();
    starts.sort_unstable();
    starts.dedup();
    let ended = Cumulative::new(given_back, |call| call.end);
    let begun = Cumulative::new(given_back, |call| call.start);
    let mut tree = Tree::new(starts.len());

    let mut by_end: Vec<&Call> = calls.iter().collect();
    by_end.sort_unstable_by_key(|call| call.end);
    // An interval without any call.
    let mut worst = 0;
    for same_end in by_end.chunk_by(|one, other| one.end == other.end) {
        let end = same_end[0].end;
        for call in same_end {
            let index = starts.partition_point(|&start| start < call.start);
            let before = ended.sum_below(call.start);
            tree.add(index, i128::from(call.permits) * period, before * period + rate * since(call.start));
        }
        worst = worst.max(tree.best() - begun.sum_below(end.saturating_add(1)) * period - rate * since(end));
    }
    (worst - rate) as f64 / period as f64
}

/// Sums of permits by time.
struct Cumulative {
    times: Vec<u64>,
    /// `sums[i]`: of the first `i`.
    sums: Vec<i128>,
}

impl Cumulative {
    fn new(calls: &[Call], time: impl Fn(&Call) -> u64) -> Self {
        let mut sorted: Vec<(u64, u64)> = calls.iter().map(|call| (time(call), call.permits)).collect();
        sorted.sort_unstable();
        let mut sums = vec![0];
        for (_, permits) in &sorted {
            sums.push(sums[sums.len() - 1] + i128::from(*permits));
        }
        Self { times: sorted.into_iter().map(|(time, _)| time).collect(), sums }
    }

    /// The permits of all calls whose time is below `time`.
    fn sum_below(&self, time: u64) -> i128 {
        self.sums[self.times.partition_point(|&known| known < time)]
    }
}

/// The largest of `value[i] + sum of weight[i..]` over all starts that were added, under point updates. A weight
/// counts for every earlier start, so a node needs only the sum of its weights and its own best.
struct Tree {
    leaves: usize,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    sum: i128,
    best: i128,
}

impl Tree {
    /// No interval starts here yet. Far enough from the end of the numbers for any sum to be added.
    const NONE: i128 = i128::MIN / 2;

    fn new(starts: usize) -> Self {
        let leaves = starts.next_power_of_two();
        Self { leaves, nodes: vec![Node { sum: 0, best: Self::NONE }; 2 * leaves] }
    }

    fn add(&mut self, index: usize, weight: i128, value: i128) {
        let mut at = self.leaves + index;
        self.nodes[at].sum += weight;
        self.nodes[at].best = value + self.nodes[at].sum;
        while at > 1 {
            at /= 2;
            let (left, right) = (self.nodes[2 * at], self.nodes[2 * at + 1]);
            self.nodes[at] =
                Node { sum: left.sum + right.sum, best: right.best.max(left.best.saturating_add(right.sum)) };
        }
    }

    fn best(&self) -> i128 {
        self.nodes[1].best
    }
}
