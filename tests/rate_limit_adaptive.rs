//! `#[rate_limit(adaptive = ..)]`: the limiter is told what the function returned, however it returned.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![cfg(all(feature = "macros", feature = "async"))]

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once, yield_now};
use sluicegate::{AdaptiveRateLimiter, CallError, ManualClock, Outcome, RateLimitExceeded, rate_limit};

type Failure = CallError<&'static str>;

/// A limiter of 100 a second whose windows are ended by hand.
macro_rules! limiter {
    ($LIMITER:ident, $CLOCK:ident) => {
        static $CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::new);
        static $LIMITER: LazyLock<AdaptiveRateLimiter<ManualClock>> = LazyLock::new(|| {
            let builder = AdaptiveRateLimiter::builder().base_rate(100.0).min_samples(1).abandoned(Outcome::Error);
            builder.clock($CLOCK.clone()).build().unwrap()
        });
    };
}

/// Samples and errors of the running window.
fn reports(limiter: &AdaptiveRateLimiter<ManualClock>) -> (u64, u64) {
    let stats = limiter.stats();
    (stats.window_samples, stats.window_errors)
}

/// Errors bring the rate down, whether they come by `return`, by `?` or as the last expression.
///
/// Kills: a body whose `return` or `?` leaves the function past the report; errors reported as successes.
#[test]
fn errors_bring_the_rate_down() {
    limiter!(LIMITER, CLOCK);

    #[rate_limit(adaptive = LIMITER)]
    fn call(how: u8) -> Result<u8, Failure> {
        if how == 0 {
            return Err(CallError::Inner("returned"));
        }
        let digit = if how == 1 { Err("propagated") } else { Ok(how) };
        let digit = digit.map_err(CallError::Inner)?;
        if how == 2 { Err(CallError::Inner("last")) } else { Ok(digit) }
    }

    for (how, reported) in [(0, (1, 1)), (1, (2, 2)), (2, (3, 3)), (3, (4, 3))] {
        assert_eq!(call(how).is_ok(), how == 3);
        assert_eq!(reports(&LIMITER), reported);
    }
    CLOCK.advance(Duration::from_secs(10));
    assert_eq!(LIMITER.current_rate(), 50.0);
}

/// Kills: as above; a body that does not run in the function's own future.
#[test]
fn async_errors_bring_the_rate_down() {
    limiter!(LIMITER, CLOCK);

    #[rate_limit(adaptive = LIMITER)]
    async fn call(how: &str) -> Result<usize, Failure> {
        yield_now().await;
        if how == "return" {
            return Err(CallError::Inner("returned"));
        }
        let length = if how == "?" { Err("propagated") } else { Ok(how.len()) };
        let length = length.map_err(CallError::Inner)?;
        yield_now().await;
        Ok(length)
    }

    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    for (how, reported) in [("return", (1, 1)), ("?", (2, 2)), ("well", (3, 2))] {
        assert_eq!(block_on(assert_send(call(how))).is_ok(), how == "well");
        assert_eq!(reports(&LIMITER), reported);
    }
    CLOCK.advance(Duration::from_secs(10));
    assert_eq!(LIMITER.current_rate(), 50.0);
}

/// A denied call does not run and is no sample. Kills: a denial that is reported; an acquire that is left out.
#[test]
fn a_denied_call_is_no_sample() {
    limiter!(LIMITER, CLOCK);

    #[rate_limit(adaptive = LIMITER)]
    fn call() -> Result<(), RateLimitExceeded> {
        Ok(())
    }

    #[rate_limit(adaptive = LIMITER)]
    async fn call_async() -> Result<(), RateLimitExceeded> {
        Ok(())
    }

    assert_eq!(LIMITER.try_acquire_n(198), Ok(()));
    assert_eq!((call(), block_on(call_async())), (Ok(()), Ok(())));
    let denied = Err(RateLimitExceeded::Denied { retry_after: Duration::from_millis(10) });
    assert_eq!((call(), block_on(call_async())), (denied, denied));
    assert_eq!(reports(&LIMITER), (2, 0));
    CLOCK.advance(Duration::from_millis(10));
    assert_eq!(call(), Ok(()));
}

/// The permit is waited for, then the body runs and is reported. Kills: a wait that is not heeded.
#[test]
fn an_adaptive_limiter_can_be_waited_for() {
    limiter!(LIMITER, CLOCK);

    #[rate_limit(adaptive = LIMITER, timeout = "10ms")]
    fn soon() -> Result<(), Failure> {
        Err(CallError::Inner("failed"))
    }

    #[rate_limit(adaptive = LIMITER, wait)]
    async fn at_last() -> Result<(), Failure> {
        Ok(())
    }

    assert_eq!(LIMITER.try_acquire_n(200), Ok(()));
    let mut waits = Box::pin(at_last());
    assert!(block_on(poll_once(&mut waits)).is_none());
    assert!(matches!(soon(), Err(CallError::RateLimited(_)))); // comes after the one that waits, in 20 ms
    assert_eq!(reports(&LIMITER), (0, 0));
    CLOCK.advance(Duration::from_millis(10));
    assert_eq!(block_on(waits), Ok(()));
    assert_eq!(reports(&LIMITER), (1, 0));
    CLOCK.advance(Duration::from_millis(10));
    assert_eq!(soon(), Err(CallError::Inner("failed")));
    assert_eq!(reports(&LIMITER), (2, 1));
}

/// A body that panics, or whose future is dropped, is reported as `call` reports it.
///
/// Kills: a report by hand behind the body.
#[test]
fn an_abandoned_call_is_reported_as_the_builder_says() {
    limiter!(LIMITER, CLOCK);

    #[rate_limit(adaptive = LIMITER)]
    fn panics() -> Result<(), RateLimitExceeded> {
        panic!("on purpose")
    }

    #[rate_limit(adaptive = LIMITER)]
    async fn hangs() -> Result<(), RateLimitExceeded> {
        std::future::pending().await
    }

    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(reports(&LIMITER), (1, 1));
    drop(hangs());
    assert_eq!(reports(&LIMITER), (1, 1)); // never polled, so never begun
    block_on(poll_once(hangs()));
    assert_eq!(reports(&LIMITER), (2, 2));
    CLOCK.advance(Duration::from_secs(10));
    assert_eq!(LIMITER.current_rate(), 50.0);
}

limiter!(ALL, ALL_CLOCK);

struct Client<T> {
    sent: Vec<T>,
}

impl<T: Clone + Send> Client<T> {
    #[rate_limit(adaptive = ALL)]
    fn send(&mut self, item: T) -> Result<&mut T, Failure> {
        self.sent.push(item);
        self.sent.last_mut().ok_or(CallError::Inner("nothing was sent"))
    }

    #[rate_limit(adaptive = ALL)]
    async fn send_later(&mut self, mut items: Vec<T>) -> Result<&mut T, Failure> {
        yield_now().await;
        self.sent.append(&mut items);
        self.sent.last_mut().ok_or(CallError::Inner("nothing was sent"))
    }

    #[rate_limit(adaptive = ALL)]
    fn all<'a>(&'a self, but: &'a str) -> Result<impl Iterator<Item = (&'a T, &'a str)>, Failure> {
        if self.sent.is_empty() {
            return Err(CallError::Inner("nothing was sent"));
        }
        Ok(self.sent.iter().map(move |item| (item, but)))
    }

    #[rate_limit(adaptive = ALL)]
    async fn into_last(mut self) -> Result<Box<dyn Fn() -> Option<T> + Send>, Failure>
    where
        T: 'static + Sync,
    {
        let last = self.sent.pop();
        Ok(Box::new(move || last.clone()))
    }
}

/// What is borrowed may be returned, and what is owned moved, as without the attribute.
///
/// Kills: a return type that an async body does not know.
#[test]
fn a_function_may_return_what_it_borrows() {
    fn show(item: &mut impl Debug) -> String {
        format!("{item:?}")
    }
    let mut client = Client { sent: Vec::new() };
    assert_eq!(show(client.send("a".to_owned()).unwrap()), "\"a\"");
    assert_eq!(show(block_on(client.send_later(vec!["b".to_owned()])).unwrap()), "\"b\"");
    assert_eq!(client.all("x").unwrap().map(|(item, x)| format!("{item}{x}")).collect::<Vec<_>>(), ["ax", "bx"]);
    assert_eq!(block_on(client.into_last()).unwrap()(), Some("b".to_owned()));
    ALL_CLOCK.advance(Duration::from_secs(1));
}
