//! `#[rate_limit]`: the limits hold, and the function stays what it is.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![cfg(all(feature = "macros", feature = "async", feature = "per-key"))]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use sluicegate::*;

type Denial = RateLimitExceeded;

fn retry_after<T>(result: Result<T, Denial>) -> Duration {
    match result {
        Err(Denial::Denied { retry_after }) => retry_after,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was admitted"),
    }
}

// --- A limiter of one's own

/// The burst is admitted, no call more, and a denied one does not run the body.
///
/// Kills: an acquire behind the body; a limiter made at each call; a burst that is not the one given.
#[test]
fn the_burst_and_no_call_more() {
    static RUNS: AtomicU32 = AtomicU32::new(0);

    #[rate_limit(rate = 1, per = "hour", burst = 3)]
    fn limited() -> Result<u32, Denial> {
        Ok(RUNS.fetch_add(1, Ordering::Relaxed))
    }

    #[rate_limit(rate = 1, per = "hour")]
    fn another() -> Result<(), Denial> {
        Ok(())
    }

    assert_eq!([limited(), limited(), limited()], [Ok(0), Ok(1), Ok(2)]);
    assert!(retry_after(limited()) > Duration::from_secs(3_590));
    assert_eq!(RUNS.load(Ordering::Relaxed), 3);
    assert!(another().is_ok()); // has a limiter of its own
    assert!(another().is_err());
}

/// The rate is the one that was written, and the burst what a period of it brings.
///
/// Kills: a rate taken for one a second; a fraction rounded; a default burst of 1, or of the fraction's numerator.
#[test]
fn the_rate_is_as_written() {
    macro_rules! check {
        ($burst:literal, $wait:literal s, $($options:tt)*) => {{
            #[rate_limit($($options)*)]
            fn limited() -> Result<(), Denial> {
                Ok(())
            }
            for call in 0..$burst {
                assert!(limited().is_ok(), "{call} of {}", stringify!($($options)*));
            }
            let wait = retry_after(limited()).as_secs_f64();
            assert!(wait <= $wait && wait > 0.9 * $wait, "{wait} s for {}", stringify!($($options)*));
        }};
    }
    check!(1, 120.0 s, rate = 0.5, per = "minute");
    check!(1, 30.0 s, rate = 2.0, per = "minute", burst = 1);
    check!(2, 24.0 s, rate = 2.5, per = "minute");
    check!(4, 900.0 s, rate = 4, per = "hour");
    check!(6, 14_400.0 s, per = "day", rate = 6.0);
    check!(1, 1_000.0 s, rate = 1e-3, per = "second");
    check!(3, 1_000.0 s, burst = 3, rate = 1e-3,);
    check!(20, 10.0 s, rate = 0.1, burst = 20);
}

/// A literal that came through another macro is one all the same. Kills: a group that is not looked into.
#[test]
fn options_may_come_from_a_macro() {
    macro_rules! limited {
        ($name:ident, $rate:expr, $burst:literal, $per:expr) => {
            #[rate_limit(rate = $rate, burst = $burst, per = $per)]
            fn $name() -> Result<(), Denial> {
                Ok(())
            }
        };
    }
    limited!(two, 1.0, 2, "day");
    assert!(two().is_ok() && two().is_ok() && two().is_err());
}

/// So may the function, in parts. Kills: a body that is taken for none where a `macro_rules` matched it as a block.
#[test]
fn a_function_may_come_from_a_macro() {
    macro_rules! limited {
        ($(#[$attribute:meta])* $vis:vis fn $name:ident() -> $returned:ty $body:block) => {
            #[rate_limit(rate = 1, per = "day")]
            $(#[$attribute])* $vis fn $name() -> $returned $body
        };
        ($item:item) => {
            #[rate_limit(rate = 1, per = "day")]
            $item
        };
    }
    limited!(
        #[inline]
        pub(crate) fn by_parts() -> Result<u8, Denial> {
            Ok(1)
        }
    );
    limited!(
        fn whole(n: u8) -> Result<u8, Denial> {
            Ok(n)
        }
    );
    assert_eq!((by_parts(), whole(2)), (Ok(1), Ok(2)));
    assert!(by_parts().is_err() && whole(2).is_err());
}

// --- Functions of every kind

static ALL: TokenBucket = TokenBucket::const_new(Quota::per_hour(1_000));

mod kept {
    #![deny(missing_docs, unfulfilled_lint_expectations, unused_variables)]

    use super::*;

    /// Documented, or it would not compile.
    #[deprecated]
    #[rate_limit(limiter = ALL)]
    pub(super) fn old() -> Result<(), Denial> {
        #![allow(unused_variables)]
        let unused = 0;
        Ok(())
    }

    #[expect(deprecated)]
    pub(super) fn new() -> Result<(), Denial> {
        old()
    }
}

struct Words<'a, T> {
    words: Vec<&'a str>,
    sum: T,
}

trait Count {
    type Item;

    fn count(&self, items: &[Self::Item]) -> Result<usize, Denial>;

    #[rate_limit(limiter = ALL)]
    fn twice(&self, items: &[Self::Item]) -> Result<usize, Denial> {
        Ok(2 * self.count(items)?)
    }
}

impl<T> Count for Words<'_, T> {
    type Item = T;

    #[rate_limit(limiter = ALL)]
    fn count(&self, items: &[Self::Item]) -> Result<usize, Denial> {
        Ok(items.len())
    }
}

impl<'a, T> Words<'a, T>
where
    T: Copy + std::ops::AddAssign,
{
    #[rate_limit(rate = 1, burst = 100)]
    fn new(sum: T) -> Result<Self, Denial> {
        Ok(Self { words: Vec::new(), sum })
    }

    #[rate_limit(limiter = ALL)]
    fn first(&self) -> Result<&'a str, Denial> {
        Ok(self.words.first().copied().unwrap_or(""))
    }

    #[rate_limit(limiter = ALL)]
    fn add(&mut self, word: &'a str, value: T) -> Result<&mut T, Denial> {
        self.words.push(word);
        self.sum += value;
        Ok(&mut self.sum)
    }

    #[rate_limit(limiter = ALL)]
    async fn add_later(&mut self, word: &'a str, value: T) -> Result<&mut T, Denial> {
        self.words.push(word);
        self.sum += value;
        Ok(&mut self.sum)
    }

    #[rate_limit(limiter = ALL)]
    fn into_words(self) -> Result<impl Iterator<Item = &'a str>, Denial> {
        Ok(self.words.into_iter())
    }
}

#[rate_limit(rate = 1, burst = 2, wait)]
extern "C" fn abi(x: u32) -> u32 {
    x
}

#[rate_limit(limiter = ALL)]
fn sorted<const N: usize>(mut items: [u8; N], (low, _): (u8, u8), each: impl Fn(u8) -> u8) -> Result<[u8; N], Denial> {
    items.sort_unstable();
    if items.is_empty() {
        return Ok(items);
    }
    Ok(items.map(|item| each(item.max(low))))
}

/// Kills: signatures, attributes or inner attributes that are dropped, and a body that is moved into a closure.
#[test]
fn a_function_stays_what_it_is() {
    kept::new().unwrap();
    let mut words = Words::new(1).unwrap();
    *words.add("a", 2).unwrap() += 10;
    *block_on(words.add_later("b", 3)).unwrap() += 100;
    assert_eq!((words.sum, words.first()), (116, Ok("a")));
    assert_eq!(words.twice(&[1, 2]), Ok(4));
    assert_eq!(words.into_words().unwrap().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(abi(5), 5);
    assert_eq!(sorted([3, 1, 2], (2, 0), |item| 10 * item), Ok([20, 20, 30]));
}

/// One `static` for all types of a generic function, and for all values of a method, as documented.
#[test]
fn a_generic_function_has_one_limiter() {
    #[rate_limit(rate = 1, per = "hour", burst = 2)]
    fn limited<T>(value: T) -> Result<T, Denial> {
        Ok(value)
    }
    assert!(limited(1_u8).is_ok() && limited("two").is_ok());
    assert!(limited(1_u8).is_err() && limited('c').is_err());
}

/// Neither the names of the expansion nor those of the function get in each other's way.
///
/// Kills: a static or variable of the expansion that the body sees; paths that are not absolute.
#[test]
fn names_do_not_meet() {
    #[derive(Debug)]
    struct Failed;
    impl From<Denial> for Failed {
        fn from(_: Denial) -> Self {
            Self
        }
    }
    #[allow(dead_code)]
    mod core {}
    #[allow(dead_code)]
    mod sluicegate {}
    static LIMITER: u8 = 3;

    #[rate_limit(rate = 1, per = "hour", burst = 1)]
    fn own(limiter: u8, exceeded: u8) -> Outcome {
        Ok(LIMITER + limiter + exceeded)
    }
    type Outcome = ::std::result::Result<u8, Failed>;

    assert_eq!(own(1, 2).unwrap(), 6);
    assert!(own(1, 2).is_err());
}

/// Nor those of a `static` or `const`, which no hygiene keeps apart. Kills: an expansion with variables of these names.
#[test]
#[allow(non_upper_case_globals)]
fn names_of_statics_do_not_meet() {
    static limiter: TokenBucket = TokenBucket::const_new(Quota::per_hour(1));
    const exceeded: u8 = 3;

    #[rate_limit(limiter = limiter)]
    fn limited() -> Result<u8, Denial> {
        Ok(exceeded)
    }
    assert_eq!(limited(), Ok(3));
    assert!(limited().is_err());
}

// --- Async functions, and waiting

fn assert_send<T: Send>(value: T) -> T {
    value
}

/// The permit is taken when the future is polled, not when it is made. Kills: an acquire outside the body.
#[test]
fn an_async_function_acquires_when_polled() {
    #[rate_limit(rate = 1, per = "hour", burst = 2)]
    async fn limited(text: &str) -> Result<usize, Denial> {
        futures_lite::future::yield_now().await;
        Ok(text.len())
    }
    let futures: Vec<_> = ["a", "bc", "def"].into_iter().map(|text| assert_send(limited(text))).collect();
    let lengths: Vec<_> = futures.into_iter().rev().map(block_on).collect();
    assert_eq!(lengths[..2], [Ok(3), Ok(2)]);
    assert!(lengths[2].is_err());
}

/// Waiting needs no `Result`, and brings the pace. Kills: `wait` that is not heeded, in either kind of function.
#[test]
fn who_waits_is_paced() {
    #[rate_limit(rate = 50, burst = 1, wait)]
    fn paced() {}

    #[rate_limit(rate = 50, burst = 1, wait)]
    async fn paced_async(text: &str) -> &str {
        text
    }

    let start = Instant::now();
    (0..4).for_each(|_| paced());
    assert!(start.elapsed() >= Duration::from_millis(59), "{:?}", start.elapsed());

    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(paced_async("x"))).collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), "x");
        }
    });
    assert!(start.elapsed() >= Duration::from_millis(59), "{:?}", start.elapsed());
}

/// What cannot come in time is refused at once, what can is waited for.
///
/// Kills: a timeout of another unit; a timeout that is none, or for ever.
#[test]
fn a_timeout_is_the_longest_wait() {
    #[rate_limit(rate = 10, burst = 1, timeout = "1s")]
    fn in_time() -> Result<(), Denial> {
        Ok(())
    }

    #[rate_limit(rate = 10, burst = 1, timeout = "90ms")]
    async fn too_late() -> Result<(), Denial> {
        Ok(())
    }

    assert!(in_time().is_ok());
    let start = Instant::now();
    assert!(in_time().is_ok());
    assert!(start.elapsed() >= Duration::from_millis(99), "{:?}", start.elapsed());

    block_on(async {
        assert!(too_late().await.is_ok());
        let start = Instant::now();
        assert!(retry_after(too_late().await) > Duration::from_millis(90) - start.elapsed());
        assert!(start.elapsed() < Duration::from_millis(90), "{:?}", start.elapsed());
    });
}

// --- Limiters that stand elsewhere

mod shared {
    use super::*;

    pub(super) static WINDOW: SlidingWindowCounter = SlidingWindowCounter::const_strict(3, Duration::from_secs(3_600));
}

/// Functions share it, whatever its kind. Kills: a limiter of each function's own.
#[test]
fn functions_share_a_limiter() {
    use shared::WINDOW;
    static STRIPED: LazyLock<StripedTokenBucket> =
        LazyLock::new(|| StripedTokenBucket::new(Quota::per_hour(1_000_000)).unwrap());

    #[rate_limit(limiter = WINDOW)]
    fn one() -> Result<u8, Denial> {
        Ok(1)
    }

    #[rate_limit(limiter = shared::WINDOW, timeout = "1ms")]
    async fn two() -> Result<u8, Denial> {
        Ok(2)
    }

    #[rate_limit(limiter = STRIPED, wait)]
    fn three() -> Result<u8, Denial> {
        Ok(3)
    }

    assert_eq!((one(), block_on(two()), one()), (Ok(1), Ok(2), Ok(1)));
    assert!(one().is_err() && block_on(two()).is_err());
    let before = STRIPED.available();
    assert_eq!(three(), Ok(3));
    assert_eq!(STRIPED.available(), before - 1);
}

/// Where the trait is not imported.
mod composite {
    use sluicegate::{AllOf, Quota, RateLimitExceeded, TokenBucket, all_of, rate_limit};

    static TENANT: TokenBucket = TokenBucket::const_new(Quota::per_hour(3));
    pub(super) static ALL: TokenBucket = TokenBucket::const_new(Quota::per_hour(9));
    static BOTH: AllOf<(&TokenBucket, (&TokenBucket, u64))> = all_of((&TENANT, (&ALL, 2)));

    #[rate_limit(limiter = BOTH)]
    pub(super) fn now() -> Result<(), RateLimitExceeded> {
        Ok(())
    }

    #[rate_limit(limiter = BOTH, wait)]
    pub(super) fn later() -> Result<(), RateLimitExceeded> {
        Ok(())
    }

    #[rate_limit(limiter = BOTH, timeout = "1ms")]
    pub(super) async fn soon() -> Result<(), RateLimitExceeded> {
        Ok(())
    }
}

/// Several limits as one are one. Kills: an expansion that needs `Limiter` where it stands.
#[test]
fn a_composite_is_a_limiter_too() {
    assert!(composite::now().is_ok() && composite::later().is_ok() && block_on(composite::soon()).is_ok());
    assert!(composite::now().is_err() && block_on(composite::soon()).is_err());
    assert_eq!(composite::ALL.available(), 3);
}

/// A wait that fails does not run the body. Kills: an error that is dropped as that of an own limiter.
#[test]
fn a_shared_line_may_be_full() {
    static NO_LINE: LazyLock<TokenBucket> =
        LazyLock::new(|| TokenBucket::builder(Quota::per_hour(1)).max_waiters(0).build().unwrap());

    #[rate_limit(limiter = NO_LINE, wait)]
    fn limited() -> Result<(), Denial> {
        Ok(())
    }

    assert!(limited().is_ok());
    assert!(retry_after(limited()) > Duration::from_secs(3_590));
}

static BY_USER: LazyLock<PerKeyRateLimiter<String>> =
    LazyLock::new(|| PerKeyRateLimiter::new(Quota::per_hour(2)).unwrap());
static BY_ID: LazyLock<PerKeyRateLimiter<u64>> = LazyLock::new(|| PerKeyRateLimiter::new(Quota::per_hour(1)).unwrap());

struct Session {
    user: String,
}

impl Session {
    #[rate_limit(limiter = BY_USER, key = &self.user)]
    fn act(&mut self) -> Result<&mut String, Denial> {
        Ok(&mut self.user)
    }

    #[rate_limit(limiter = BY_USER, key = self.user.as_str(), timeout = "1ms")]
    async fn act_later(&self) -> Result<(), Denial> {
        futures_lite::future::yield_now().await;
        Ok(())
    }
}

/// Each key has a limit of its own. Kills: a key that is not passed on, or not in every verb.
#[test]
fn each_key_has_its_own() {
    #[rate_limit(limiter = BY_USER, key = user)]
    fn by_name(user: &str) -> Result<usize, Denial> {
        Ok(user.len())
    }

    #[rate_limit(limiter = BY_ID, key = &(limiter + 1))]
    fn by_id(limiter: u64) -> Result<(), Denial> {
        Ok(())
    }

    let mut session = Session { user: "alice".to_owned() };
    assert_eq!(by_name("alice"), Ok(5));
    session.act().unwrap();
    assert!(by_name("alice").is_err() && session.act().is_err());
    assert!(block_on(assert_send(session.act_later())).is_err());
    assert_eq!(by_name("bob"), Ok(3));
    assert!(session.act().is_err());

    assert!(by_id(1).is_ok() && by_id(2).is_ok());
    assert!(by_id(1).is_err());
    assert!(BY_ID.contains_key(&2) && BY_ID.contains_key(&3));
}
