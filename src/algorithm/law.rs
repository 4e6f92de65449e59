//! The laws by which an adaptive limiter changes its rate: arithmetic on what one window brought. A new one is a
//! variant here, and its formula.
//!
//! | quantity                       | unit                                 |
//! |--------------------------------|--------------------------------------|
//! | rate, measured, `w_max`        | permits a second                     |
//! | errors, samples                | outcomes reported in the window      |
//! | elapsed, `t`, `k`              | seconds                              |
//! | threshold, utilisation         | shares: 0.1 is a tenth               |
//! | reduction and recovery factors | of the rate, a window                |

/// How the rate follows from the outcomes of a window.
///
/// Under both laws a window counts as **overloaded** if the share of errors, throttled calls among them, is above the
/// threshold; the new rate is clamped to the smallest and the largest; and a window that brought fewer outcomes than
/// `min_samples` changes nothing.
///
/// ```
/// use sluicegate::{AdaptiveRateLimiter, Law};
/// use std::time::Duration;
///
/// let limiter = AdaptiveRateLimiter::builder()
///     .base_rate(100.0)
///     .law(Law::Cubic)
///     .window(Duration::from_secs(1))
///     .build()?;
/// assert_eq!(limiter.current_rate(), 100.0);
/// // Factors on the wrong side of 1 are refused, under this law too, which has no use for them.
/// assert!(AdaptiveRateLimiter::builder().base_rate(100.0).recovery_factor(0.9).law(Law::Cubic).build().is_err());
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Law {
    /// `rate * reduction_factor` after a window that was overloaded, `rate * recovery_factor` after every other one.
    ///
    /// Between two cuts the rate rises until the service is overloaded again: from `reduction_factor` times the peak to
    /// the peak, which is `capacity / (1 - error_threshold)` and up to one step of recovery.
    ///
    /// # Source
    /// Multiplicative increase, multiplicative decrease (D.-M. Chiu and R. Jain, "Analysis of the increase and decrease
    /// algorithms for congestion avoidance in computer networks", Computer Networks and ISDN Systems 17, 1989), once a
    /// window instead of once a sample.
    #[default]
    ErrorRate,
    /// A fast return to just below the rate that was too much, a while there, then a search above it:
    ///
    /// ```text
    /// overloaded   w_max = min(measured, rate);  rate = 0.7 w_max;  k = cbrt(0.3 w_max / 0.4);  t = 0
    /// otherwise    rate = min(0.4 (t - k)^3 + w_max, 2 measured)
    /// ```
    ///
    /// `measured` is what was granted a second in the window, less what was given back, or the rate if that is nothing;
    /// `t` the seconds of all windows since the last cut that brought `min_samples`, so that an idle time is not taken for success; `k` those in which the
    /// rate is back at `w_max`: 2 s of 10 permits a second, 4.2 s of 100, 9.1 s of 1,000. A window should be a fraction
    /// of that, and long enough to bring `min_samples`. Before the first cut `w_max` is the base rate and `t` starts at
    /// `k`. The factors of recovery and reduction are not used.
    ///
    /// # Source
    /// The client-side rate limiting of the AWS SDKs' adaptive retry mode: the curve of `CubicCalculator` in botocore's
    /// `retries/throttling.py`, and `min(measured, rate)` and `2 measured` of `ClientRateLimiter` in
    /// `retries/adaptive.py`; after the window growth of CUBIC (RFC 9438, sections 4.2 and 4.6: C 0.4, beta 0.7; and 5.8 for
    /// idle times). Other than there it is applied once a window instead of once a response, it cuts above a threshold of
    /// errors of any kind instead of at a single throttled response, and it is at work from the beginning. CUBIC's
    /// Reno-friendly region and fast convergence have no counterpart, as in those SDKs.
    Cubic,
}

/// Why a rate was changed: in a [`RateChange`](crate::RateChange).
///
/// ```
/// use sluicegate::{AdaptiveRateLimiter, ChangeReason, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let limiter = AdaptiveRateLimiter::builder().base_rate(100.0).min_samples(1).clock(clock.clone()).build()?;
/// limiter.record_error();
/// clock.advance(Duration::from_secs(10));
/// let change = limiter.stats().last_change.expect("the window is over");
/// assert_eq!(change.reason, ChangeReason::Errors);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ChangeReason {
    /// The share of errors was above the threshold.
    Errors,
    /// The share of errors was not above the threshold, so the rate rises.
    Recovery,
    /// The share of errors was not above the threshold, but fewer permits were used than half of the rate: under
    /// [`Law::Cubic`], which rises no further above what is known to go well.
    LowDemand,
}

/// What a limiter was built with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    pub(crate) law: Law,
    pub(crate) min_rate: f64,
    pub(crate) max_rate: f64,
    pub(crate) error_threshold: f64,
    pub(crate) recovery_factor: f64,
    pub(crate) reduction_factor: f64,
    pub(crate) min_samples: u64,
    pub(crate) min_utilisation: f64,
}

/// What a window brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) samples: u64,
    pub(crate) errors: u64,
    /// Calls that were granted in it, and the permits that they took, less what was given back.
    pub(crate) calls: u64,
    pub(crate) permits: u64,
    /// How long it was, or if it was granted from beyond its end, until somebody came to end it. What lies idle between
    /// its end and that is no part of it.
    pub(crate) seconds: f64,
}

/// What a law keeps from one window to the next, besides the rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    /// `w_max`.
    peak: f64,
    /// `t`.
    since_cut: f64,
}

impl Memory {
    /// How many numbers it is.
    pub(crate) const LEN: usize = 2;

    pub(crate) const fn from_array([peak, since_cut]: [f64; Self::LEN]) -> Self {
        Self { peak, since_cut }
    }

    pub(crate) const fn to_array(self) -> [f64; Self::LEN] {
        [self.peak, self.since_cut]
    }

    /// Before the first window.
    pub(crate) fn new(base_rate: f64) -> Self {
        Self { peak: base_rate, since_cut: plateau(base_rate) }
    }
}

/// CUBIC's beta and C.
const BETA: f64 = 0.7;
const SCALING: f64 = 0.4;

/// `k`: the seconds after a cut in which the rate is back at `peak`.
fn plateau(peak: f64) -> f64 {
    libm::cbrt(peak * (1.0 - BETA) / SCALING)
}

impl Tuning {
    /// Whether a window goes on for lack of outcomes: until it lasted twice as long as `min_samples` permits take to
    /// come. Otherwise a rate that is low enough, after an outage, would never be raised again.
    ///
    /// Where calls take several permits, so many more.
    pub(crate) fn goes_on(&self, rate: f64, window: &Window, elapsed: f64) -> bool {
        let permits_a_call = (window.permits as f64 / window.calls.max(1) as f64).max(1.0);
        let enough = self.min_samples as f64 * permits_a_call;
        window.samples > 0 && window.samples < self.min_samples && rate * elapsed < 2.0 * enough
    }

    /// The rate that follows `rate` after `window`, and why, if it is another one.
    pub(crate) fn next(&self, rate: f64, window: &Window, memory: &mut Memory) -> Option<(f64, ChangeReason)> {
        if window.samples < self.min_samples {
            return None;
        }
        memory.since_cut += window.seconds;
        // A quotient of whole numbers is the f64 nearest to it, hence equal to a threshold of the same digits.
        let is_overloaded = window.samples > 0 && window.errors as f64 / window.samples as f64 > self.error_threshold;
        let wanted = match self.law {
            Law::ErrorRate if is_overloaded => rate * self.reduction_factor,
            Law::ErrorRate => rate * self.recovery_factor,
            Law::Cubic => cubic(is_overloaded, rate, window, memory),
        };
        let next = wanted.clamp(self.min_rate, self.max_rate);
        let reason = if is_overloaded {
            ChangeReason::Errors
        } else if next > rate {
            ChangeReason::Recovery
        } else {
            ChangeReason::LowDemand
        };
        let is_idle = (window.permits as f64) < self.min_utilisation * rate * window.seconds;
        (next != rate && !(is_idle && reason == ChangeReason::Recovery)).then_some((next, reason))
    }
}

fn cubic(is_overloaded: bool, rate: f64, window: &Window, memory: &mut Memory) -> f64 {
    // Where nothing was granted, as in a pause, late outcomes tell nothing of what was sent.
    let measured = if window.permits > 0 { window.permits as f64 / window.seconds } else { rate };
    if is_overloaded {
        *memory = Memory { peak: measured.min(rate), since_cut: 0.0 };
        return BETA * memory.peak;
    }
    let beyond = memory.since_cut - plateau(memory.peak);
    (SCALING * beyond * beyond * beyond + memory.peak).min(2.0 * measured)
}

#[cfg(all(test, not(loom)))]
mod tests;
