//! The attribute, and what it expands to besides the public verbs.

/// Limits a function: every call takes a permit, ahead of the body.
///
/// ```
/// use sluicegate::{RateLimitExceeded, rate_limit};
///
/// /// Looks a name up: twice a second, and three at once.
/// #[rate_limit(rate = 2.0, burst = 3)]
/// fn look_up(name: &str) -> Result<usize, RateLimitExceeded> {
///     Ok(name.len())
/// }
///
/// assert_eq!(look_up("alice"), Ok(5));
/// assert!(look_up("bob").is_ok() && look_up("carol").is_ok());
/// assert!(look_up("dave").is_err()); // denied: the body did not run
/// ```
///
/// It goes on functions and methods, sync and async, generic or not, also on those of a trait that have a body. Signature, body,
/// documentation and other attributes stay as they are. On an `async fn` the permit is taken when the future is first
/// polled.
///
/// # Options
/// | option | |
/// |---|---|
/// | `rate = 10.0` | a bucket of the function's own, with so many permits a second: a number as it is written, of which nothing is rounded |
/// | `burst = 20` | with `rate`: the most permits at once; by default what one second (or whatever `per` says) brings, and at least 1 |
/// | `per = "minute"` | with `rate`: by the `"minute"`, `"hour"` or `"day"` instead of the `"second"` |
/// | `limiter = PATH` | a limiter in a `static` instead, which other functions may share; of any kind, a composite too, also behind a `LazyLock` |
/// | `key = expr` | with a `limiter` per key: whose permit, as its `try_acquire` takes it; `expr` may name the parameters |
/// | `adaptive = PATH` | an [`AdaptiveRateLimiter`] in a `static` instead, which is also told whether the `Result` was `Ok` |
/// | `wait` | waits for the permit: the task of an `async fn`, else the thread |
/// | `timeout = "100ms"` | waits so long at most: a whole number of `us`, `ms`, `s`, `min` or `h` |
///
/// There is one of `rate`, `limiter` and `adaptive`, and one of `wait` and `timeout` or neither.
///
/// # Errors
/// A call that gets no permit returns the [`RateLimitExceeded`], made into the function's own error by [`From`]. So a
/// function must return a `Result` whose error is `From<RateLimitExceeded>`, or it does not compile:
///
/// ```compile_fail
/// #[sluicegate::rate_limit(rate = 2.0)]
/// fn look_up(name: &str) -> usize {
///     name.len()
/// }
/// ```
///
/// With `rate` and `wait` it may return what it likes: a bucket that nobody else knows grants a permit in the end. With `limiter`
/// or `adaptive` a wait can fail too, since their lines may be full (`max_waiters`), or all keys in use.
///
/// A quota that no bucket can keep does not compile.
///
/// # Panics
/// Never, for its part.
///
/// # Blocking
/// Without `wait` and `timeout` a call never waits. With them a function that is not async parks its thread, as
/// [`blocking_acquire`](crate::TokenBucket::blocking_acquire) does. Both need the feature `async`.
///
/// # Cancel safety
/// Of an `async fn`: dropped while it waits, nothing was charged. Dropped later, the permit stays taken, and an adaptive
/// limiter is told what the builder's [`abandoned`](crate::AdaptiveRateLimiterBuilder::abandoned) says, as when the body
/// panics.
///
/// # What it expands to
/// One `static` made by [`const_new`](crate::TokenBucket::const_new), and the acquire, as one would write them by hand; with
/// `limiter` the acquire alone. The body stays where it is, but under `adaptive`, which must see what it returns: there it is the body of
/// a closure that is called at once. Nothing is allocated.
///
/// It names the crate as `::sluicegate`, so that must be its name among the dependencies of the function's crate.
///
/// The `static` of a generic function is one for all its types, and that of a method one for all values. A limit of each
/// value's own is a `key`, or a limiter in a field and an acquire by hand.
///
/// Of several such attributes on one function the last one is asked first, and what it took stays taken if another one
/// denies.
///
/// A function that returns a future without being an `async fn`, also by way of an attribute such as `async_trait` on the
/// block around it, returns no `Result`, so it does not compile; nor with `wait`, which would park the thread that makes the
/// future: put the attribute on an `async fn` that it calls.
///
/// # Examples
/// One limit for two functions, and an error type of one's own:
///
/// ```
/// use sluicegate::{Quota, RateLimitExceeded, TokenBucket, rate_limit};
///
/// static API: TokenBucket = TokenBucket::const_new(Quota::per_hour(5_000).burst(2));
///
/// #[derive(Debug)]
/// enum ApiError {
///     TooMany(RateLimitExceeded),
/// }
///
/// impl From<RateLimitExceeded> for ApiError {
///     fn from(exceeded: RateLimitExceeded) -> Self {
///         Self::TooMany(exceeded)
///     }
/// }
///
/// #[rate_limit(limiter = API)]
/// fn get(path: &str) -> Result<String, ApiError> {
///     Ok(format!("GET {path}"))
/// }
///
/// #[rate_limit(limiter = API)]
/// async fn put(path: &str) -> Result<String, ApiError> {
///     Ok(format!("PUT {path}"))
/// }
///
/// # futures_lite::future::block_on(async {
/// assert!(get("/a").is_ok() && put("/a").await.is_ok());
/// assert!(matches!(get("/b"), Err(ApiError::TooMany(_))));
/// # });
/// ```
///
/// A limit for each user:
///
#[cfg_attr(feature = "per-key", doc = "```")]
#[cfg_attr(not(feature = "per-key"), doc = "```ignore")]
/// use sluicegate::{PerKeyRateLimiter, Quota, RateLimitExceeded, rate_limit};
/// use std::sync::LazyLock;
///
/// static USERS: LazyLock<PerKeyRateLimiter<String>> =
///     LazyLock::new(|| PerKeyRateLimiter::new(Quota::per_hour(1)).expect("the quota is in range"));
///
/// struct Request {
///     user: String,
/// }
///
/// #[rate_limit(limiter = USERS, key = request.user.as_str())]
/// fn export(request: Request) -> Result<(), RateLimitExceeded> {
///     drop(request);
///     Ok(())
/// }
///
/// let by = |user: &str| export(Request { user: user.to_owned() });
/// assert!(by("alice").is_ok() && by("bob").is_ok());
/// assert!(by("alice").is_err());
/// ```
///
/// A rate that follows what the service can take:
///
/// ```
/// use sluicegate::{AdaptiveRateLimiter, CallError, rate_limit};
/// use std::sync::LazyLock;
///
/// static SEARCH: LazyLock<AdaptiveRateLimiter> =
///     LazyLock::new(|| AdaptiveRateLimiter::builder().base_rate(50.0).build().expect("the rate is in range"));
///
/// #[rate_limit(adaptive = SEARCH)]
/// fn search(text: &str) -> Result<u32, CallError<std::num::ParseIntError>> {
///     text.parse().map_err(CallError::Inner)
/// }
///
/// assert!(search("7").is_ok() && search("seven").is_err());
/// assert_eq!(SEARCH.stats().error_rate, 0.5);
/// ```
///
/// Pacing, where nothing is to be returned:
///
#[cfg_attr(feature = "async", doc = "```")]
#[cfg_attr(not(feature = "async"), doc = "```ignore")]
/// use sluicegate::rate_limit;
///
/// #[rate_limit(rate = 600, per = "minute", burst = 1, wait)]
/// async fn send(_mail: &str) {}
///
/// # futures_lite::future::block_on(async {
/// let start = std::time::Instant::now();
/// send("one").await;
/// send("two").await;
/// assert!(start.elapsed().as_millis() >= 99);
/// # });
/// ```
///
/// [`AdaptiveRateLimiter`]: crate::AdaptiveRateLimiter
/// [`RateLimitExceeded`]: crate::RateLimitExceeded
pub use sluicegate_macros::rate_limit;

/// What an expansion names. Not for other use: it changes with the attribute.
pub mod expanded {
    use crate::adaptive::{AdaptiveRateLimiter, Outcome};
    use crate::clock::Clock;
    use crate::error::RateLimitExceeded;

    /// What a function returns that can be denied: a `Result` that can hold the denial.
    #[diagnostic::on_unimplemented(
        message = "a function that can be denied must return a `Result` whose error type is `From<RateLimitExceeded>`",
        label = "`{Self}` is no `Result`",
        note = "with `rate` the option `wait` does without: it waits, and cannot fail"
    )]
    pub trait Answer {
        /// The denial.
        fn refused(exceeded: RateLimitExceeded) -> Self;

        /// Whether the call went well.
        fn is_ok(&self) -> bool;
    }

    impl<T, E: From<RateLimitExceeded>> Answer for Result<T, E> {
        #[inline(always)]
        fn refused(exceeded: RateLimitExceeded) -> Self {
            Err(exceeded.into())
        }

        #[inline(always)]
        fn is_ok(&self) -> bool {
            Result::is_ok(self)
        }
    }

    /// Runs what a permit was taken for, and reports it as `call` does.
    #[inline]
    pub fn run<C: Clock, R: Answer>(limiter: &AdaptiveRateLimiter<C>, body: impl FnOnce() -> R) -> R {
        let running = limiter.start();
        let answer = body();
        running.end(outcome_of(&answer));
        answer
    }

    /// The same as `call_async` does.
    #[inline]
    pub async fn run_async<C: Clock, R: Answer>(limiter: &AdaptiveRateLimiter<C>, body: impl Future<Output = R>) -> R {
        let running = limiter.start();
        let answer = body.await;
        running.end(outcome_of(&answer));
        answer
    }

    fn outcome_of(answer: &impl Answer) -> Outcome {
        if answer.is_ok() { Outcome::Success } else { Outcome::Error }
    }
}
