//! The most calls within a window of a recorded trace, in O(n log n) and exact integers. Every call got one permit.
//!
//! A window is half-open, and a call is in it if it began at its start or later and `end`, which it did not reach, is
//! no later than the window's.

use crate::intervals::Call;

/// The most calls that lie wholly inside one window of those that are aligned to zero.
pub(crate) fn most_in_aligned(calls: &[Call], window: u64) -> u64 {
    let aligned = |call: &Call| (call.start / window == (call.end - 1) / window).then_some(call.start / window);
    let mut windows: Vec<u64> = calls.iter().filter_map(aligned).collect();
    windows.sort_unstable();
    windows.chunk_by(|one, other| one == other).map(|same| same.len() as u64).max().unwrap_or(0)
}

/// The most calls that lie wholly inside any interval of a window's length.
pub(crate) fn most_in_any(calls: &[Call], window: u64) -> u64 {
    // No interval holds a longer one. Without those, whatever began before an interval and ended after it is none.
    let short = || calls.iter().filter(|call| call.end - call.start <= window);
    let mut starts: Vec<u64> = short().map(|call| call.start).collect();
    let mut ends: Vec<u64> = short().map(|call| call.end).collect();
    starts.sort_unstable();
    ends.sort_unstable();
    // An interval that begins with a call holds as many as any: those that have ended by its end, less those that had
    // begun before it.
    let (mut most, mut ended) = (0, 0);
    for (begun, start) in starts.iter().enumerate() {
        while ends.get(ended).is_some_and(|&end| end <= start + window) {
            ended += 1;
        }
        most = most.max(ended - begun);
    }
    most as u64
}
