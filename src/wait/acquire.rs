//! A place in the line: the steps that threads and tasks take alike, and the future of those who are tasks.

use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use super::timer::Timer;
use super::{Serve, Source};
use crate::clock::{Clock, MonotonicClock};
use crate::error::RateLimitExceeded;
use crate::nanos::Nanos;
use crate::token_bucket::TokenBucket;
use crate::wake::wake_quietly;

type Outcome = Result<(), RateLimitExceeded>;

/// Nobody sleeps longer without a look: a clock may have jumped.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Somebody who waits, or is about to, for the limiter that `P` points to.
///
/// Dropped while it is in the line it leaves, and no trace of it stays.
pub(crate) struct Place<P: Deref<Target: Source>> {
    source: P,
    n: u64,
    timeout: Option<Duration>,
    state: State,
}

enum State {
    /// Not polled yet.
    New,
    /// In the line.
    Joined(Joined),
    Done,
}

#[derive(Clone, Copy)]
struct Joined {
    /// In the line.
    key: usize,
    /// By the limiter's clock.
    since: Nanos,
    /// What was slept. It counts towards the deadline whatever the clock says: one that steps back an hour must
    /// not stretch a wait of a second.
    slept: Duration,
}

/// What to do now.
pub(crate) enum Step {
    Done(Outcome),
    /// Sleep until woken, or for so long.
    Sleep(Option<Duration>),
}

/// Somebody who waits, by steps between which it sleeps: as a task or as a thread.
pub(crate) trait Steps {
    /// Goes on until there is nothing to do but to sleep; `waker` ends that.
    fn step(&mut self, waker: &Waker) -> Step;

    /// So much was slept.
    fn slept(&mut self, time: Duration);

    /// What a task sleeps on.
    fn timer(&self, time: Duration) -> Timer;
}

impl<P: Deref<Target: Source>> Steps for Place<P> {
    fn slept(&mut self, time: Duration) {
        if let State::Joined(joined) = &mut self.state {
            joined.slept = joined.slept.saturating_add(time);
        }
    }

    fn timer(&self, time: Duration) -> Timer {
        self.source.clock().timer(time)
    }

    fn step(&mut self, waker: &Waker) -> Step {
        let joined = match &self.state {
            State::New => match self.join() {
                Ok(joined) => {
                    self.state = State::Joined(joined);
                    joined
                }
                Err(outcome) => return self.finish(outcome, Duration::ZERO),
            },
            State::Joined(joined) => *joined,
            State::Done => return Step::Sleep(None),
        };
        self.look(joined, waker)
    }
}

impl<P: Deref<Target: Source>> Place<P> {
    pub(crate) fn new(source: P, n: u64, timeout: Option<Duration>) -> Self {
        Self { source, n, timeout, state: State::New }
    }

    /// Into the line, unless that is not needed or of no use.
    fn join(&self) -> Result<Joined, Outcome> {
        let (source, n, timeout) = (&*self.source, self.n, self.timeout);
        match source.try_take(n) {
            Err(RateLimitExceeded::Denied { .. }) => {}
            outcome => return Err(outcome),
        }
        let view = source.look();
        let since = source.clock().now();
        let mut line = source.line().lock();
        let estimate = source.estimate(&view, source.line().demand(), n);
        if line.is_full() || timeout.is_some_and(|timeout| estimate > timeout) {
            return Err(Err(RateLimitExceeded::Denied { retry_after: estimate }));
        }
        if line.is_empty() {
            source.set_waiting(true);
        }
        Ok(Joined { key: line.push(n), since, slept: Duration::ZERO })
    }

    fn look(&mut self, joined: Joined, waker: &Waker) -> Step {
        let (source, n) = (&*self.source, self.n);
        // A clock that is moved by hand might have been, between the reading and the registration: so after that,
        // once more.
        let mut is_registered = false;
        loop {
            // Cloned before the lock is taken: that is the caller's code.
            let stored = waker.clone();
            // Before the view: what has come until a deadline that is over is then in it.
            let waited = self.waited(joined);
            let mut view = source.look();
            let left = self.timeout.map(|timeout| timeout.saturating_sub(waited));

            let mut line = source.line().lock();
            // Or one that wants more than a call can get now would sleep on: whoever changed the quota before this has
            // found no waker to wake.
            if !source.is_current(&view) {
                continue;
            }
            let capacity = source.capacity(&view);
            if n > capacity {
                drop(line);
                self.leave(joined.key);
                return self.finish(Err(RateLimitExceeded::ExceedsCapacity { requested: n, capacity }), waited);
            }
            let due = if line.is_head(joined.key) {
                match source.serve(&mut view, n, !line.is_alone()) {
                    Serve::Served => {
                        let wakers = line.unlink(joined.key);
                        drop(line);
                        // Before anybody's code runs, which might panic.
                        let step = self.finish(Ok(()), waited);
                        wake_next(wakers);
                        return step;
                    }
                    Serve::Stale => continue,
                    Serve::Later(due) => Some(due),
                }
            } else {
                None
            };
            if left.is_some_and(|left| left.is_zero()) {
                drop(line);
                self.leave(joined.key);
                let retry_after = self.source.estimate(&view, self.source.line().demand(), n);
                return self.finish(Err(RateLimitExceeded::Denied { retry_after }), waited);
            }
            let old = line.store(joined.key, stored);
            drop(line);
            drop(old);

            let sleep = match (due, left) {
                // The one before wakes it.
                (None, None) => return Step::Sleep(None),
                (due, left) => due.unwrap_or(Duration::MAX).min(left.unwrap_or(Duration::MAX)),
            };
            if is_registered {
                return Step::Sleep(None);
            }
            if !source.clock().wake_on_change(waker) {
                return Step::Sleep(Some(sleep.min(LONGEST_SLEEP)));
            }
            is_registered = true;
        }
    }

    /// How long it has waited: by the clock, but no less than it slept.
    fn waited(&self, joined: Joined) -> Duration {
        let now = self.source.clock().now().as_nanos();
        Duration::from_nanos(now.saturating_sub(joined.since.as_nanos())).max(joined.slept)
    }

    fn finish(&mut self, outcome: Outcome, waited: Duration) -> Step {
        self.state = State::Done;
        if self.n > 0 {
            self.source.count(self.n, outcome.is_ok(), waited);
        }
        Step::Done(outcome)
    }

    /// Out of the line, with nothing taken.
    fn leave(&mut self, key: usize) {
        let mut line = self.source.line().lock();
        let wakers = line.unlink(key);
        if line.is_empty() {
            self.source.set_waiting(false);
        }
        drop(line);
        self.state = State::Done;
        wake_next(wakers);
    }
}

/// Of one that left: its own waker is dropped, that of the new head is woken.
///
/// A panic of that one's is not passed on: it has been reported, and this one must learn what became of its call.
fn wake_next([own, next]: [Option<Waker>; 2]) {
    if let Some(next) = next {
        let _ = wake_quietly(next);
    }
    drop(own);
}

impl<P: Deref<Target: Source>> Drop for Place<P> {
    fn drop(&mut self) {
        if let State::Joined(joined) = self.state {
            self.leave(joined.key);
        }
    }
}

/// The future of `acquire`, `acquire_n` and `acquire_timeout`: ready when the permits are taken, or when they will not be.
///
/// It joins the line when it is first polled, and takes its permits itself when it is polled as the head; nothing is
/// taken before. Whoever holds it without polling it holds up those behind, and one that is forgotten
/// ([`core::mem::forget`]) in the line holds them up for ever. Polled again after it was ready, it is pending.
///
/// # Cancel safety
/// Dropped before it is ready it leaves the line; nothing was charged, and the next one is woken.
///
/// ```
/// use sluicegate::{Quota, RateLimitExceeded, TokenBucket};
///
/// let bucket = TokenBucket::new(Quota::per_second(1_000).burst(1))?;
/// let permits = async {
///     bucket.acquire().await?;
///     bucket.acquire().await?; // a millisecond later
///     bucket.acquire_n(2).await // more than ever fits
/// };
/// let never = futures_lite::future::block_on(permits).unwrap_err();
/// assert_eq!(never, RateLimitExceeded::ExceedsCapacity { requested: 2, capacity: 1 });
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[must_use = "futures do nothing unless they are polled"]
pub struct Acquire<'a, C: Clock = MonotonicClock, L: Source<Clock = C> = TokenBucket<C>> {
    sleeper: Sleeper<Place<&'a L>>,
    clock: PhantomData<fn() -> C>,
}

impl<'a, C: Clock, L: Source<Clock = C>> Acquire<'a, C, L> {
    pub(crate) fn new(limiter: &'a L, n: u64, timeout: Option<Duration>) -> Self {
        Self { sleeper: Sleeper::new(Place::new(limiter, n, timeout)), clock: PhantomData }
    }
}

impl<C: Clock, L: Source<Clock = C>> Future for Acquire<'_, C, L> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        self.sleeper.poll(context)
    }
}

impl<C: Clock, L: Source<Clock = C>> fmt::Debug for Acquire<'_, C, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.sleeper.steps;
        f.debug_struct("Acquire")
            .field("permits", &place.n)
            .field("timeout", &place.timeout)
            .field("is_waiting", &matches!(place.state, State::Joined(_)))
            .finish_non_exhaustive()
    }
}

/// Somebody who waits, and the timer that the task sleeps on.
pub(crate) struct Sleeper<S: Steps> {
    pub(crate) steps: S,
    /// Made when it is first needed: in a line for the head, and for who has a deadline.
    timer: Option<Timer>,
    /// What it was last set to, until it rang.
    running: Option<Duration>,
}

impl<S: Steps> Sleeper<S> {
    pub(crate) fn new(steps: S) -> Self {
        Self { steps, timer: None, running: None }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        self.rings(context);
        loop {
            match self.steps.step(context.waker()) {
                Step::Done(outcome) => {
                    self.timer = None;
                    return Poll::Ready(outcome);
                }
                Step::Sleep(None) => {
                    self.running = None;
                    return Poll::Pending;
                }
                // One that rings no later goes on: started anew at every poll, no sleep might ever come to its end.
                Step::Sleep(Some(time)) if self.running.is_some_and(|running| running <= time) => {}
                Step::Sleep(Some(time)) => {
                    match &mut self.timer {
                        Some(timer) => timer.reset(time),
                        None => self.timer = Some(self.steps.timer(time)),
                    }
                    self.running = Some(time);
                }
            }
            if !self.rings(context) {
                return Poll::Pending;
            }
        }
    }

    /// Whether the timer, if it runs, has rung; then that counts as slept.
    fn rings(&mut self, context: &mut Context<'_>) -> bool {
        let (Some(timer), Some(time)) = (&mut self.timer, self.running) else {
            return false;
        };
        let rings = timer.poll(context).is_ready();
        if rings {
            self.running = None;
            self.steps.slept(time);
        }
        rings
    }
}
