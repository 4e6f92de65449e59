//! What is reported to an adaptive limiter and what follows at once: by hand, by calls that report by themselves, and, in
//! `pauses`, a server's Retry-After.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![cfg(feature = "async")]
#![allow(missing_docs)]

#[path = "adaptive_feedback/pauses.rs"]
mod pauses;
mod support;

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::future::block_on;
use sluicegate::RateLimitExceeded::{Denied, ExceedsCapacity};
use sluicegate::{
    AdaptiveRateLimiter, AdaptiveRateLimiterBuilder, CallError, Clock, ManualClock, Outcome, RateLimitExceeded,
};
use support::waiting::HOUR;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

type Limiter = AdaptiveRateLimiter<ManualClock>;

/// Ten a second and a burst of 20, a window of an hour, on a clock that stands still.
fn builder() -> (AdaptiveRateLimiterBuilder<ManualClock>, ManualClock) {
    let clock = ManualClock::new();
    (AdaptiveRateLimiter::builder().base_rate(10.0).window(HOUR).min_samples(1).clock(clock.clone()), clock)
}

fn full() -> (Limiter, ManualClock) {
    let (builder, clock) = builder();
    (builder.build().unwrap(), clock)
}

/// Samples and errors of the running window.
fn reported<C: Clock>(limiter: &AdaptiveRateLimiter<C>) -> (u64, u64) {
    let stats = limiter.stats();
    (stats.window_samples, stats.window_errors)
}

fn denied<T>(retry_after: Duration) -> Result<T, RateLimitExceeded> {
    Err(Denied { retry_after })
}

// --- Reports

#[test]
fn outcomes_are_samples_errors_or_nothing() {
    let (limiter, _clock) = full();
    let expected = [
        (Outcome::Success, (1, 0)),
        (Outcome::Error, (2, 1)),
        (Outcome::Ignored, (2, 1)),
        (Outcome::Throttled(None), (3, 2)),
        (Outcome::Throttled(Some(Duration::ZERO)), (4, 3)),
    ];
    for (outcome, counts) in expected {
        limiter.record(outcome);
        assert_eq!(reported(&limiter), counts, "{outcome:?}");
        assert_eq!(limiter.available(), 20, "{outcome:?} closes nothing");
    }
    limiter.record_success();
    limiter.record_error();
    assert_eq!((reported(&limiter), limiter.stats().error_rate), ((6, 4), 4.0 / 6.0));
    assert_eq!(limiter.stats().total_requests, 0, "a report is no call");
}

#[test]
fn observe_reports_and_hands_the_result_back() {
    let (limiter, _clock) = full();
    assert_eq!(limiter.observe(Ok::<_, String>(7)), Ok(7));
    assert_eq!(limiter.observe(Err::<u8, _>("no")), Err("no"));
    assert_eq!(reported(&limiter), (2, 1));
    // A status of 500 is no error of the client's; and some errors are nobody's fault.
    let judge = |result: &Result<u16, &str>| match result {
        Ok(503) => Outcome::Throttled(Some(SECOND)),
        Ok(500..) => Outcome::Error,
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Ignored,
    };
    assert_eq!(limiter.observe_with(Ok(500), judge), Ok(500));
    assert_eq!(limiter.observe_with(Err("mine"), judge), Err("mine"));
    assert_eq!(limiter.observe_with(Ok(200), judge), Ok(200));
    assert_eq!((reported(&limiter), limiter.available()), ((4, 2), 20));
    assert_eq!(limiter.observe_with(Ok(503), judge), Ok(503));
    assert_eq!((reported(&limiter), limiter.try_acquire()), ((5, 3), denied(SECOND)));
}

// --- Calls

/// Kills: a report of calls that were denied.
#[test]
fn a_call_takes_a_permit_and_reports() {
    let (limiter, _clock) = full();
    assert_eq!(limiter.call(|| Ok::<_, String>(7)), Ok(7));
    assert_eq!((reported(&limiter), limiter.available()), ((1, 0), 19));
    assert_eq!(limiter.call(|| Err::<u8, _>("down")), Err(CallError::Inner("down")));
    assert_eq!((reported(&limiter), limiter.available()), ((2, 1), 18));
    assert_eq!(limiter.try_acquire_n(18), Ok(()));
    let ran = Cell::new(false);
    let result = limiter.call(|| {
        ran.set(true);
        Ok::<_, String>(7)
    });
    assert_eq!(result, Err(CallError::RateLimited(Denied { retry_after: 100 * MS })));
    assert_eq!((ran.get(), reported(&limiter)), (false, (2, 1)));
    assert_eq!((limiter.stats().allowed_requests, limiter.stats().rejected_requests), (3, 1));
}

/// Kills: a panic that is reported as an error by default.
#[test]
fn a_call_that_panics_is_reported_as_configured() {
    let settings = [(None, (0, 0)), (Some(Outcome::Error), (1, 1)), (Some(Outcome::Success), (1, 0))];
    for (abandoned, counts) in settings {
        let (builder, _clock) = builder();
        let limiter = match abandoned {
            Some(outcome) => builder.abandoned(outcome).build().unwrap(),
            None => builder.build().unwrap(),
        };
        let panics = || limiter.call(|| -> Result<(), ()> { panic!("in the call") });
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!((reported(&limiter), limiter.available()), (counts, 19), "{abandoned:?}");
    }
    let (builder, _clock) = builder();
    let limiter = builder.abandoned(Outcome::Throttled(Some(SECOND))).build().unwrap();
    let panics = || limiter.call(|| -> Result<(), ()> { panic!("in the call") });
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!((reported(&limiter), limiter.try_acquire()), ((1, 1), denied(SECOND)));
}

#[test]
fn an_async_call_takes_reports_and_is_abandoned() {
    for (abandoned, samples) in [(Outcome::Ignored, 0), (Outcome::Error, 1)] {
        let (builder, _clock) = builder();
        let limiter = builder.abandoned(abandoned).build().unwrap();
        drop(limiter.call_async(ready(Ok::<_, ()>(7))));
        assert_eq!((reported(&limiter), limiter.available()), ((0, 0), 20), "nobody polled it");

        assert_eq!(block_on(limiter.call_async(ready(Ok::<_, ()>(7)))), Ok(7));
        assert_eq!(block_on(limiter.call_async(ready(Err::<u8, _>("down")))), Err(CallError::Inner("down")));
        assert_eq!((reported(&limiter), limiter.available()), ((2, 1), 18));

        let mut context = Context::from_waker(Waker::noop());
        {
            let mut midway = pin!(limiter.call_async(pending::<Result<(), ()>>()));
            assert!(midway.as_mut().poll(&mut context).is_pending());
            assert!(midway.as_mut().poll(&mut context).is_pending());
            assert_eq!((reported(&limiter), limiter.available()), ((2, 1), 17), "one permit, no report yet");
        }
        assert_eq!((reported(&limiter), limiter.available()), ((2 + samples, 1 + samples), 17));

        let panics = limiter.call_async(poll_fn(|_| -> Poll<Result<(), ()>> { panic!("in a poll") }));
        assert!(catch_unwind(AssertUnwindSafe(|| block_on(panics))).is_err());
        assert_eq!((reported(&limiter), limiter.available()), ((2 + 2 * samples, 1 + 2 * samples), 16));

        assert_eq!(limiter.try_acquire_n(16), Ok(()));
        let polls = Cell::new(0);
        let never_polled = poll_fn(|_| {
            polls.set(polls.get() + 1);
            Poll::Ready(Ok::<_, ()>(()))
        });
        let result = block_on(limiter.call_async(never_polled));
        assert_eq!(result.unwrap_err().rate_limited(), Some(&Denied { retry_after: 100 * MS }));
        assert_eq!((polls.get(), reported(&limiter).0), (0, 2 + 2 * samples));
    }
}

#[test]
fn the_futures_are_send_and_calls_may_nest() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    let (limiter, _clock) = full();
    let inner = limiter.call_async(async { Err::<u8, _>("down") });
    let outer = send(limiter.call_async(send(inner)));
    assert_eq!(block_on(outer), Err(CallError::Inner(CallError::Inner("down"))));
    assert_eq!((reported(&limiter), limiter.available()), ((2, 2), 18));
    drop(send(limiter.acquire_timeout(1, SECOND)));
}

#[derive(Debug, PartialEq)]
struct Refused(fmt::Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection refused")
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn a_call_error_says_what_the_error_within_says() {
    fn is_an_error<T: Error + Send + Sync + 'static>(_: &T) {}
    let exceeded = Denied { retry_after: SECOND };
    let (limited, inner) = (CallError::<Refused>::from(exceeded), CallError::Inner(Refused(fmt::Error)));
    is_an_error(&limited);
    assert_eq!(limited, CallError::RateLimited(exceeded));
    assert_eq!(limited.to_string(), exceeded.to_string());
    assert_eq!((limited.rate_limited(), inner.rate_limited()), (Some(&exceeded), None));
    assert!(limited.source().is_none());
    assert_eq!(inner.to_string(), "connection refused");
    assert_eq!(inner.source().unwrap().to_string(), fmt::Error.to_string());
    assert!(format!("{limited:?}").contains("1s") && format!("{inner:?}").contains("Refused"));
    let boxed: Box<dyn Error + Send + Sync> = inner.into();
    assert_eq!(boxed.to_string(), "connection refused");
    // With `?`, in a function whose errors are these.
    let question = |limiter: &Limiter| -> Result<(), CallError<Refused>> { Ok(limiter.try_acquire_n(21)?) };
    assert_eq!(question(&full().0), Err(CallError::RateLimited(ExceedsCapacity { requested: 21, capacity: 20 })));
}
