//! Random histories against a sequential model, written from what the documentation says; and the bound on the real
//! clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sluicegate::{
    AdaptiveRateLimiter, ChangeReason, Clock, Law, ManualClock, MonotonicClock, RateChange, RateLimitExceeded,
};

use super::LAWS;
use super::support::intervals::{Call, worst_excess};
use super::support::quotas::cases;
use super::support::threads::{Random, timed};

#[derive(Clone, Debug)]
struct Settings {
    law: Law,
    base: f64,
    min: f64,
    max: f64,
    threshold: f64,
    recovery: f64,
    reduction: f64,
    window: u64,
    min_samples: u64,
    utilisation: f64,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// In thousandths of a window.
    Advance(u64),
    /// To so many nanoseconds before or after the end of the window.
    Edge(i64),
    Acquire(u64),
    Drain,
    Report(u64, u64),
    Refund(u64),
    Rate,
}

fn settings() -> impl Strategy<Value = Settings> {
    let rates = (
        prop_oneof![(-1.0_f64..3.0).prop_map(|exponent| 10_f64.powf(exponent)), Just(2.0), Just(100.0)],
        0.02_f64..1.0,
        1.0_f64..20.0,
    );
    let factors = (0.01_f64..0.5, 1.01_f64..3.0, 0.1_f64..0.99);
    let window = (1_000_000_u64..20_000_000_000, 0_u64..25, prop_oneof![2 => Just(0.0), 1 => 0.0_f64..=1.0]);
    (prop::sample::select(LAWS.to_vec()), rates, factors, window).prop_map(
        |(law, (base, low, high), (threshold, recovery, reduction), (window, min_samples, utilisation))| Settings {
            law,
            base,
            min: base * low,
            max: base * high,
            threshold,
            recovery,
            reduction,
            window,
            min_samples,
            utilisation,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0_u64..1_500).prop_map(Op::Advance),
        1 => (1_500_u64..20_000).prop_map(Op::Advance),
        3 => (-2_i64..3).prop_map(Op::Edge),
        4 => (1_u64..30).prop_map(Op::Acquire),
        2 => Just(Op::Drain),
        4 => (0_u64..40, prop_oneof![2 => Just(0_u64), 1 => 0_u64..12]).prop_map(|(good, bad)| Op::Report(good, bad)),
        1 => (1_u64..10).prop_map(Op::Refund),
        2 => Just(Op::Rate),
    ]
}

/// The limiter in plain numbers: tokens as an `f64`, and one window.
struct Model {
    settings: Settings,
    now: u64,
    // Tokens.
    level: f64,
    as_of: u64,
    // The window.
    rate: f64,
    opened: u64,
    end: u64,
    samples: u64,
    errors: u64,
    calls: u64,
    permits: i64,
    // CUBIC.
    w_max: f64,
    t: f64,
    changes: Vec<(f64, f64, ChangeReason, u64, u64)>,
}

impl Model {
    fn new(settings: Settings) -> Self {
        let (rate, end) = (settings.base, settings.window);
        let mut model = Self {
            settings,
            now: 0,
            level: 0.0,
            as_of: 0,
            rate,
            opened: 0,
            end,
            samples: 0,
            errors: 0,
            calls: 0,
            permits: 0,
            w_max: rate,
            t: (rate * 0.3 / 0.4).cbrt(),
            changes: Vec::new(),
        };
        model.level = model.burst();
        model
    }

    fn burst(&self) -> f64 {
        (2.0 * self.rate).floor().max(1.0)
    }

    fn fill(&mut self) {
        let seconds = (self.now - self.as_of) as f64 / 1e9;
        self.level = (self.level + self.rate * seconds).min(self.burst());
        self.as_of = self.now;
    }

    /// What every call does that asks anything.
    fn look(&mut self) {
        self.fill();
        if self.now < self.end {
            return;
        }
        let (length, elapsed) = ((self.end - self.opened) as f64 / 1e9, (self.now - self.opened) as f64 / 1e9);
        self.end = self.now + self.settings.window;
        // With some outcomes, but too few, it goes on, until it lasted twice as long as the permits for them take.
        let for_each = (self.permits.max(0) as f64 / self.calls.max(1) as f64).max(1.0);
        let needed = self.settings.min_samples as f64 * for_each;
        if (1..self.settings.min_samples).contains(&self.samples) && elapsed * self.rate < 2.0 * needed {
            return;
        }
        self.change(length);
        (self.opened, self.samples, self.errors, self.calls, self.permits) = (self.now, 0, 0, 0, 0);
    }

    fn change(&mut self, length: f64) {
        let Settings { law, min, max, threshold, recovery, reduction, min_samples, utilisation, .. } = self.settings;
        if self.samples < min_samples {
            return;
        }
        self.t += length;
        let is_overloaded = self.samples > 0 && self.errors as f64 / self.samples as f64 > threshold;
        let used = self.permits.max(0) as f64;
        // Of a window in which nothing was granted nothing is known.
        let measured = if used > 0.0 { used / length } else { self.rate };
        let rate = match (law, is_overloaded) {
            (Law::ErrorRate, true) => self.rate * reduction,
            (Law::ErrorRate, false) => self.rate * recovery,
            (_, true) => {
                (self.w_max, self.t) = (measured.min(self.rate), 0.0);
                0.7 * self.w_max
            }
            (_, false) => {
                let k = (self.w_max * 0.3 / 0.4).cbrt();
                (0.4 * (self.t - k).powi(3) + self.w_max).min(2.0 * measured)
            }
        };
        let rate = rate.max(min).min(max);
        let rises_unused = !is_overloaded && rate > self.rate && used < utilisation * self.rate * length;
        if rate == self.rate || rises_unused {
            return;
        }
        let reason = match (is_overloaded, rate > self.rate) {
            (true, _) => ChangeReason::Errors,
            (false, true) => ChangeReason::Recovery,
            (false, false) => ChangeReason::LowDemand,
        };
        self.changes.push((self.rate, rate, reason, self.samples, self.errors));
        self.rate = rate;
        self.level = self.level.min(self.burst());
    }

    fn take(&mut self, n: u64) {
        self.level -= n as f64;
        self.calls += 1;
        self.permits += n as i64;
    }
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
}

struct Pair {
    limiter: AdaptiveRateLimiter<ManualClock>,
    clock: ManualClock,
    told: Arc<Mutex<VecDeque<RateChange>>>,
    model: Model,
}

impl Pair {
    fn new(settings: Settings) -> Self {
        let (clock, told) = (ManualClock::new(), Arc::default());
        let writer = Arc::<Mutex<VecDeque<RateChange>>>::clone(&told);
        let limiter = AdaptiveRateLimiter::builder()
            .law(settings.law)
            .base_rate(settings.base)
            .min_rate(settings.min)
            .max_rate(settings.max)
            .error_threshold(settings.threshold)
            .recovery_factor(settings.recovery)
            .reduction_factor(settings.reduction)
            .window(Duration::from_nanos(settings.window))
            .min_samples(settings.min_samples)
            .min_utilisation(settings.utilisation)
            .on_change(move |change| writer.lock().unwrap().push_back(*change))
            .clock(clock.clone())
            .build()
            .unwrap();
        Self { limiter, clock, told, model: Model::new(settings) }
    }

    fn advance(&mut self, nanos: u64) {
        self.clock.advance(Duration::from_nanos(nanos));
        self.model.now += nanos;
    }

    /// The decisions of the limiter are the model's, but where it is about the last thousandth of a permit; there the
    /// model follows.
    fn acquire(&mut self, n: u64) -> Result<bool, TestCaseError> {
        self.model.look();
        let (level, burst) = (self.model.level, self.model.burst());
        let result = self.limiter.try_acquire_n(n);
        match result {
            Ok(()) => {
                prop_assert!(level >= n as f64 - 1e-3, "{} of {}", n, level);
                self.model.take(n);
            }
            Err(RateLimitExceeded::ExceedsCapacity { capacity, .. }) => {
                prop_assert!(
                    n > capacity && (capacity as f64 - burst).abs() <= 1e-6 * burst + 1.0,
                    "{} {}",
                    capacity,
                    burst
                );
            }
            Err(_) => prop_assert!(level < n as f64 + 1e-3, "{} of {}", n, level),
        }
        Ok(result.is_ok())
    }

    fn step(&mut self, op: Op) -> Result<(), TestCaseError> {
        let window = self.model.settings.window;
        match op {
            Op::Advance(thousandths) => self.advance((u128::from(window) * u128::from(thousandths) / 1_000) as u64),
            Op::Edge(by) => {
                self.advance(self.model.end.saturating_add_signed(by).saturating_sub(self.model.now));
            }
            Op::Acquire(n) => {
                self.acquire(n)?;
            }
            Op::Drain => {
                for _ in 0..5_000 {
                    if !self.acquire(1)? {
                        break;
                    }
                }
            }
            Op::Report(good, bad) => {
                super::report(&self.limiter, good, bad);
                self.model.samples += good + bad;
                self.model.errors += bad;
            }
            Op::Refund(n) => {
                self.model.fill();
                let missing = self.model.burst() - self.model.level;
                // What has no room is dropped, and was not given back. How many that is, is not asked where a
                // rounding decides.
                let is_close = (missing - missing.round()).abs() < 1e-3 && missing > 0.5;
                if (n as f64) < missing - 1e-3 || !is_close {
                    self.limiter.refund(n);
                    self.model.permits -= (n as f64).min(missing) as i64;
                    self.model.level += (n as f64).min(missing);
                }
            }
            Op::Rate => {
                self.model.look();
                prop_assert!(is_near(self.limiter.current_rate(), self.model.rate));
            }
        }
        self.check_changes()
    }

    fn check_changes(&mut self) -> Result<(), TestCaseError> {
        let told: Vec<_> = self.told.lock().unwrap().drain(..).collect();
        // A cube root of another library may be another one in the last place, and so just differ from the rate before.
        let is_told = |old: f64, new: f64| !is_near(old, new);
        let seen: Vec<_> = told.iter().filter(|change| is_told(change.old_rate, change.new_rate)).collect();
        let wanted: Vec<_> = self.model.changes.drain(..).filter(|change| is_told(change.0, change.1)).collect();
        prop_assert_eq!(seen.len(), wanted.len(), "{:?} for {:?}", &seen, &wanted);
        for (change, (old, new, reason, samples, errors)) in seen.iter().zip(wanted) {
            prop_assert!(is_near(change.old_rate, old) && is_near(change.new_rate, new), "{:?}: {}", change, new);
            prop_assert_eq!((change.reason, change.samples, change.errors), (reason, samples, errors));
        }
        if let Some(last) = told.last() {
            if self.model.settings.law == Law::ErrorRate {
                prop_assert_eq!(last.new_rate, self.model.rate, "to the last bit");
            }
            self.model.rate = last.new_rate;
        }
        Ok(())
    }

    /// A look at everything, which ends a window.
    fn look(&mut self) -> Result<(), TestCaseError> {
        self.model.look();
        let stats = self.limiter.stats();
        self.check_changes()?;
        prop_assert_eq!((stats.window_samples, stats.window_errors), (self.model.samples, self.model.errors));
        let (available, level) = (self.limiter.available() as f64, self.model.level);
        prop_assert!(available <= level + 1e-3 && available > level - 1.0 - 1e-3, "{} of {}", available, level);
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(8_000))]

    #[test]
    fn follows_a_sequential_model(
        settings in settings(), ops in prop::collection::vec((op(), prop::bool::weighted(0.3)), 0..80),
    ) {
        let mut pair = Pair::new(settings);
        for (op, looks) in ops {
            pair.step(op)?;
            if looks {
                pair.look()?;
            }
        }
        pair.look()?;
    }
}

/// Threads on the real clock, the rate changing every 5 ms: over no interval more than a bucket of the largest rate
/// gives, and from the beginning no more than the rates that there were. Kills: a full bucket at every change.
#[test]
fn in_real_time_no_more_than_the_rates_give() {
    const BASE: f64 = 100_000.0;
    const MAX: u64 = 150_000;
    for law in LAWS {
        // By the clock of the limiter: before the first call, and then at each change, which it lies before.
        let log = Arc::new(Mutex::new(vec![(MonotonicClock::new().now().as_nanos(), BASE)]));
        let writer = Arc::clone(&log);
        let told = move |change: &RateChange| {
            writer.lock().unwrap().push((MonotonicClock::new().now().as_nanos() + 1, change.new_rate));
        };
        let builder = AdaptiveRateLimiter::builder().base_rate(BASE).max_rate(MAX as f64).recovery_factor(1.4).law(law);
        let limiter = builder.window(Duration::from_millis(5)).on_change(told).build().unwrap();
        let started = Instant::now();
        let calls: Vec<Call> = thread::scope(|scope| {
            let threads: Vec<_> = (1..=3)
                .map(|seed| {
                    let limiter = &limiter;
                    scope.spawn(move || {
                        let (mut random, mut calls) = (Random::new(seed), Vec::new());
                        while started.elapsed() < Duration::from_millis(700) {
                            let permits = random.next() % 8 + 1;
                            let (result, start, end) = timed(|| limiter.try_acquire_n(permits));
                            if result.is_ok() {
                                calls.push(Call { start, end, permits });
                            }
                            // Ten milliseconds of health, ten of trouble.
                            let is_bad = started.elapsed().as_millis() / 10 % 2 == 1 && random.next() % 4 == 0;
                            super::report(limiter, u64::from(!is_bad), u64::from(is_bad));
                        }
                        calls
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let excess = worst_excess(&calls, MAX, 1_000_000_000);
        assert!(excess <= 2.0 * MAX as f64, "{law:?}: {excess}");

        let mut log = log.lock().unwrap().clone();
        assert!(
            (law == Law::Cubic || log.len() > 20) && log.len() <= 142,
            "{law:?}: {} changes in 140 windows",
            log.len()
        );
        // Between two calls of `on_change` the rate was that of before, and then the one that was told.
        log.push((calls.iter().map(|call| call.end).max().unwrap(), limiter.current_rate()));
        let given = |pair: &[(u64, f64)]| (pair[1].0 - pair[0].0) as f64 / 1e9 * pair[0].1.max(pair[1].1);
        let given = 2.0 * BASE + log.windows(2).map(given).sum::<f64>();
        let granted = calls.iter().map(|call| call.permits).sum::<u64>() as f64;
        assert!(granted <= given, "{law:?}: {granted} of {given}");
    }
}
