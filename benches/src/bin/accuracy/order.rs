//! Whether those who wait are served in the order in which they came.

use core::future::Future;
use core::num::NonZeroU32;
use core::time::Duration;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use governor::DefaultDirectRateLimiter;
use sluicegate::{ManualClock, Quota, StripedTokenBucket, TokenBucket};
use sluicegate_benches::machine::with_version;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use crate::Effort;
use crate::guard::{Failure, guarded};
use crate::table::{NOTHING, Table};

const PER_SECOND: u32 = 2_000;
const BURST: u32 = 8;
/// Of a permit.
const INTERVAL: Duration = Duration::from_micros(1_000_000 / PER_SECOND as u64);

/// Waiters that ask for so many, in that order, on a limiter that is empty: who was served, in that order.
type Line = fn(&[u32]) -> Vec<usize>;

const LINES: [(&str, &str, Line); 7] = [
    ("sluicegate", "tasks", ours),
    ("sluicegate", "threads", our_threads),
    ("sluicegate_striped", "tasks", striped),
    ("governor", "tasks", governor),
    ("leaky_bucket", "tasks", leaky_bucket),
    ("rate_net", "tasks", rate_net),
    ("tokio_semaphore", "tasks", semaphore),
];

pub(crate) fn table(effort: &Effort) -> Table {
    let heads = ["all ask for 1: inversions", "overtaken by", "every 4th asks for 8: inversions", "overtaken by"];
    let mut table = Table::new(
        "order",
        "Order of waiters",
        "Waiters join an empty limiter of 2,000/s and burst 8 one after the other, and nobody comes later; tasks on one thread, or threads \
         that each join when the one before stands in line. Inversions: of all pairs, those served the wrong way round. \
         Overtaken by: how many later ones were served before the unluckiest. The semaphore is given a permit an interval by the \
         suite. ratelimit, better_bucket and pingora_limits have no waiting.",
        "order of service",
        heads.into_iter().map(str::to_owned),
    );
    for (name, kind, line) in LINES {
        let mut row = vec![format!("{}, {kind}", with_version(name))];
        for large in [1, BURST] {
            let sizes: Vec<u32> = (0..effort.waiters).map(|index| if index % 4 == 0 { large } else { 1 }).collect();
            let waiters = sizes.len();
            row.extend(match guarded(Duration::from_secs(60), move || line(&sizes)) {
                Ok(served) if served.len() == waiters => {
                    let (share, most) = inversions(&served);
                    [format!("{:.2} %", share * 100.0), most.to_string()]
                }
                Ok(served) => [format!("{} of {waiters} served", served.len()), NOTHING.to_owned()],
                Err(Failure::Panicked) => ["panic".to_owned(), NOTHING.to_owned()],
                Err(Failure::Hung) => ["hang".to_owned(), NOTHING.to_owned()],
            });
        }
        table.rows.push(row);
    }
    table
}

/// The share of pairs that are the wrong way round, and how many later ones came before the unluckiest.
fn inversions(served: &[usize]) -> (f64, usize) {
    let before = |(place, index): (usize, &usize)| served[..place].iter().filter(|other| *other > index).count();
    let overtaken: Vec<usize> = served.iter().enumerate().map(before).collect();
    let pairs = served.len() * (served.len() - 1) / 2;
    (overtaken.iter().sum::<usize>() as f64 / pairs as f64, overtaken.into_iter().max().unwrap_or(0))
}

/// Tasks of one thread: the first poll is in the order in which they are made.
fn tasks<L: 'static, F: Future<Output = ()> + 'static>(
    limiter: L,
    sizes: &[u32],
    wait: impl Fn(Rc<L>, u32) -> F,
    beside: impl AsyncFnOnce(Rc<L>),
) -> Vec<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let (limiter, served) = (Rc::new(limiter), Rc::new(RefCell::new(Vec::new())));
    LocalSet::new().block_on(&runtime.expect("a runtime needs nothing that is scarce"), async {
        let task = |(index, &n): (usize, &u32)| {
            let (waiting, served) = (wait(Rc::clone(&limiter), n), Rc::clone(&served));
            tokio::task::spawn_local(async move {
                waiting.await;
                served.borrow_mut().push(index);
            })
        };
        let tasks: Vec<_> = sizes.iter().enumerate().map(task).collect();
        beside(Rc::clone(&limiter)).await;
        for task in tasks {
            task.await.expect("the limiter panicked");
        }
    });
    served.take()
}

async fn nothing<L>(_: Rc<L>) {}

fn quota() -> Quota {
    Quota::per_second(u64::from(PER_SECOND)).burst(u64::from(BURST))
}

fn ours(sizes: &[u32]) -> Vec<usize> {
    let bucket = TokenBucket::new(quota()).expect("the quota fits");
    bucket.try_acquire_n(u64::from(BURST)).expect("it is full");
    let wait = async |bucket: Rc<TokenBucket>, n| bucket.acquire_n(u64::from(n)).await.expect("the line has room");
    tasks(bucket, sizes, wait, nothing)
}

fn striped(sizes: &[u32]) -> Vec<usize> {
    let bucket = StripedTokenBucket::new(quota()).expect("the quota fits");
    bucket.try_acquire_n(u64::from(BURST)).expect("it is full");
    let wait =
        async |bucket: Rc<StripedTokenBucket>, n| bucket.acquire_n(u64::from(n)).await.expect("the line has room");
    tasks(bucket, sizes, wait, nothing)
}

/// On a clock that the suite moves by one interval at a time, so that only the line itself decides.
fn our_threads(sizes: &[u32]) -> Vec<usize> {
    let clock = ManualClock::new();
    let bucket = TokenBucket::with_clock(quota(), clock.clone()).expect("the quota fits");
    bucket.try_acquire_n(u64::from(BURST)).expect("it is full");
    let served = Mutex::new(Vec::new());
    let so_far = || served.lock().unwrap_or_else(PoisonError::into_inner).len();
    thread::scope(|scope| {
        let mut permits = 0;
        for (index, &n) in sizes.iter().enumerate() {
            let (bucket, served) = (&bucket, &served);
            scope.spawn(move || {
                bucket.blocking_acquire_n(u64::from(n)).expect("the line has room");
                served.lock().unwrap_or_else(PoisonError::into_inner).push(index);
            });
            permits += n;
            // It stands in line when the next one would wait for it, too.
            let next = || bucket.time_to_available(1).expect("1 is within the burst");
            while next() < INTERVAL * (permits + 1) {
                thread::sleep(Duration::from_micros(50));
            }
        }
        for (before, &n) in sizes.iter().enumerate() {
            clock.advance(INTERVAL * n);
            while so_far() <= before {
                thread::sleep(Duration::from_micros(50));
            }
        }
    });
    served.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn governor(sizes: &[u32]) -> Vec<usize> {
    fn at_least_one(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)
    }
    let quota = governor::Quota::per_second(at_least_one(PER_SECOND)).allow_burst(at_least_one(BURST));
    let bucket = DefaultDirectRateLimiter::direct(quota);
    assert!(bucket.check_n(at_least_one(BURST)).is_ok_and(|full| full.is_ok()), "it is full");
    let wait = async |bucket: Rc<DefaultDirectRateLimiter>, n| {
        bucket.until_n_ready(at_least_one(n)).await.expect("nobody asks for more than the burst");
    };
    tasks(bucket, sizes, wait, nothing)
}

fn leaky_bucket(sizes: &[u32]) -> Vec<usize> {
    let mut builder = leaky_bucket::RateLimiter::builder();
    let interval = Duration::from_millis(1);
    builder.refill(PER_SECOND as usize / 1_000).interval(interval).max(BURST as usize).initial(0);
    let wait = async |bucket: Rc<leaky_bucket::RateLimiter>, n: u32| bucket.acquire(n as usize).await;
    tasks(builder.build(), sizes, wait, nothing)
}

fn rate_net(sizes: &[u32]) -> Vec<usize> {
    let limiter = rate_net::Builder::new().per_second(PER_SECOND).burst(BURST).build_direct();
    assert!(limiter.check_n(BURST).is_allow(), "it is full");
    let wait = async |limiter: Rc<rate_net::DirectLimiter>, n| {
        limiter.try_until_ready_n(n).await.expect("nobody asks for more than the burst");
    };
    tasks(limiter, sizes, wait, nothing)
}

fn semaphore(sizes: &[u32]) -> Vec<usize> {
    let permits: u32 = sizes.iter().sum();
    let wait = async |semaphore: Rc<Arc<Semaphore>>, n| {
        semaphore.acquire_many(n).await.expect("it is open").forget();
    };
    tasks(Arc::new(Semaphore::new(0)), sizes, wait, async move |semaphore| {
        for _ in 0..permits {
            tokio::time::sleep(INTERVAL).await;
            semaphore.add_permits(1);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{inversions, our_threads, semaphore};

    #[test]
    fn counts_pairs_that_are_the_wrong_way_round() {
        assert_eq!(inversions(&[0, 1, 2, 3]), (0.0, 0));
        assert_eq!(inversions(&[3, 2, 1, 0]), (1.0, 3));
        assert_eq!(inversions(&[1, 2, 0, 3]), (2.0 / 6.0, 2));
    }

    #[test]
    fn a_line_is_served_in_its_order() {
        let sizes = [8, 1, 1, 8, 1, 1, 1, 8];
        assert_eq!([our_threads(&sizes), semaphore(&sizes)], [const { [0, 1, 2, 3, 4, 5, 6, 7] }; 2]);
    }
}
