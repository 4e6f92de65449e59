//! Model checks of keys that come, are evicted and come again, that are held and let go: a key has one state at any
//! time, and is as far as one bucket would be that was there always.
//!
//! The map is one of a single shard, whose lock loom knows. Each model names the mutation of the sources that it was seen
//! to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use loom::thread;
use sluicegate_loom::RateLimitExceeded;
use support::keys::{
    Handle, KEY, Keys, OTHER, PERIOD, after_a_sweep, assert_are_words, assert_is_one, granted, held, keys_of, quota,
    race_with, sweep_of_itself, sweeping, taken, wait,
};
use support::{ModelClock, model, race};

type Shared = support::Shared<Keys>;

fn shared((keys, clock): (Keys, ModelClock)) -> Shared {
    (loom::sync::Arc::new(keys), clock)
}

/// Kills `newcomer-looks-once`: both let the key in, with a charge each.
#[test]
fn newcomer_newcomer() {
    race(
        "newcomer_newcomer",
        3,
        || shared(keys_of(quota(1), |builder| builder)),
        |keys, _| granted(keys.try_acquire(&KEY)),
        |keys, clock| {
            clock.advance(PERIOD);
            granted(keys.try_acquire(&KEY))
        },
        |keys, clock, here, there| {
            // Both, if the one was there before the time passed; and then it was the time that the other one had.
            assert!(here + there >= 1);
            assert_eq!(wait(keys, 1), PERIOD);
            assert_are_words(keys, clock, 1);
        },
    );
}

/// A key that was charged, has been full for long and is dropped; who calls for it with an older reading comes before, as
/// it were. Kills `newcomer-starts-at-zero` and `raised-after-removal`: a full burst at a reading at which it owed.
#[test]
fn acquire_evict() {
    after_a_sweep(|| {
        race(
            "acquire_evict",
            3,
            || shared(sweeping(quota(1))),
            |keys, _| granted(keys.try_acquire(&KEY)),
            |keys, clock| {
                clock.advance(2 * PERIOD);
                keys.cleanup() as u64
            },
            |keys, _, granted, evicted| {
                // One permit has come, and was there long before it could be taken.
                assert_eq!(granted + keys.available(&KEY), 1, "{evicted} evicted");
                assert!(granted + evicted >= 1, "one of them finds it full");
                assert_eq!(keys.len() as u64, granted.max(1 - evicted));
                sweep_of_itself();
            },
        );
    });
}

/// The same, and the one who evicts lets it in again.
#[test]
fn acquire_evict_reinsert() {
    after_a_sweep(|| {
        race(
            "acquire_evict_reinsert",
            3,
            || shared(sweeping(quota(1))),
            |keys, _| granted(keys.try_acquire(&KEY)),
            |keys, clock| {
                clock.advance(2 * PERIOD);
                keys.cleanup();
                granted(keys.try_acquire(&KEY))
            },
            |keys, _, here, there| {
                assert_eq!(here + there, 1, "at one instant");
                assert_eq!(wait(keys, 1), PERIOD);
                assert_eq!(keys.len(), 1);
                sweep_of_itself();
            },
        );
    });
}

/// A refund makes a key as good as new while it is swept. Kills `evicts-who-owes`.
#[test]
fn acquire_refund_evict() {
    after_a_sweep(|| {
        race(
            "acquire_refund_evict",
            3,
            || shared(sweeping(quota(2))),
            |keys, _| {
                keys.refund(&KEY, 2);
                granted(keys.try_acquire_n(&KEY, 2))
            },
            |keys, _| keys.cleanup(),
            |keys, clock, granted, _| {
                assert_eq!(granted, 1);
                assert_eq!(wait(keys, 1), PERIOD);
                assert_eq!(keys.cleanup(), 0, "it owes");
                clock.advance(3 * PERIOD);
                assert_eq!(keys.cleanup(), 1);
                sweep_of_itself();
            },
        );
    });
}

/// With room for one key. Kills `evicts-who-owes`: room is made at the cost of one who owes.
#[test]
fn acquire_make_room() {
    race(
        "acquire_make_room",
        3,
        || {
            let shared = keys_of(quota(1), |builder| builder.max_keys(1));
            assert!(shared.0.try_acquire(&KEY).is_ok());
            self::shared(shared)
        },
        |keys, _| keys.try_acquire(&KEY),
        |keys, clock| {
            clock.advance(PERIOD);
            keys.try_acquire(&OTHER)
        },
        |keys, clock, here, there| {
            let exhausted = Err(RateLimitExceeded::KeysExhausted { max_keys: 1 });
            match here {
                Ok(()) => assert_eq!(there, exhausted),
                Err(RateLimitExceeded::Denied { .. }) => assert_eq!(there, Ok(()), "it is full by then"),
                Err(_) => assert_eq!((here, there), (exhausted, Ok(()))),
            }
            assert_eq!(keys.available(&KEY), u64::from(here.is_err()));
            assert_eq!(keys.contains_key(&KEY), here.is_ok());
            assert_are_words(keys, clock, 1);
        },
    );
}

/// Two newcomers, and room for one of them. Kills `place-is-stored`.
#[test]
fn make_room_make_room() {
    race(
        "make_room_make_room",
        3,
        || {
            let shared = keys_of(quota(1), |builder| builder.max_keys(1));
            assert!(shared.0.try_acquire(&KEY).is_ok());
            shared.1.advance(PERIOD);
            self::shared(shared)
        },
        |keys, _| keys.try_acquire(&OTHER).is_ok(),
        |keys, _| keys.try_acquire(&3).is_ok(),
        |keys, clock, here, there| {
            assert_ne!(here, there);
            assert!(!keys.contains_key(&KEY));
            assert_are_words(keys, clock, 1);
        },
    );
}

/// Kills `promotes-beside-others`: a grant on the word between the copy and the mark is forgotten.
#[test]
fn promote_acquire() {
    race_with(
        "promote_acquire",
        3,
        || {
            let (keys, clock) = taken(quota(2), 2);
            clock.advance(PERIOD);
            (keys, clock, (), ())
        },
        |keys, _, ()| granted(keys.try_acquire(&KEY)),
        |keys, _, ()| {
            let handle = keys.handle(KEY);
            (granted(handle.try_acquire()), handle)
        },
        |keys, clock, by_map, (by_handle, handle)| {
            assert_eq!(by_map + by_handle, 1);
            assert_eq!(handle.available(), 0);
            assert_is_one(keys, clock, &handle);
            drop(handle);
            assert_are_words(keys, clock, 1);
        },
    );
}

/// A handle for one whom nobody knows, while another one lets it in.
#[test]
fn promote_newcomer() {
    race_with(
        "promote_newcomer",
        3,
        || {
            let (keys, clock) = keys_of(quota(2), |builder| builder);
            (keys, clock, (), ())
        },
        |keys, _, ()| granted(keys.try_acquire(&KEY)),
        |keys, _, ()| {
            let handle = keys.handle(KEY);
            (granted(handle.try_acquire()), handle)
        },
        |keys, clock, by_map, (by_handle, handle)| {
            assert_eq!((by_map, by_handle), (1, 1));
            assert_eq!(handle.available(), 0);
            assert_is_one(keys, clock, &handle);
            drop(handle);
            assert_are_words(keys, clock, 1);
        },
    );
}

/// Two handles, and one bucket for both. Kills `promotes-beside-others`.
#[test]
fn promote_promote() {
    race_with(
        "promote_promote",
        3,
        || {
            let (keys, clock) = taken(quota(2), 1);
            (keys, clock, (), ())
        },
        |keys, _, ()| keys.handle(KEY),
        |keys, clock, ()| {
            clock.advance(PERIOD);
            keys.handle(KEY)
        },
        |keys, clock, here, there| {
            assert_eq!((here.try_acquire_up_to(2), there.try_acquire_up_to(2)), (2, 0), "one bucket");
            assert_is_one(keys, clock, &there);
            drop((here, there));
            assert_are_words(keys, clock, 1);
        },
    );
}

/// Kills `sweep-drops-who-is-held`: the map's next call would be granted on another state than the handle's.
#[test]
fn handle_evict() {
    after_a_sweep(|| {
        race_with(
            "handle_evict",
            3,
            || {
                let (keys, clock) = sweeping(quota(1));
                let handle = keys.handle(KEY);
                (keys, clock, handle, ())
            },
            |_, _, handle| (granted(handle.try_acquire()), handle),
            |keys, clock, ()| {
                clock.advance(2 * PERIOD);
                assert_eq!(keys.cleanup(), 0, "it is held");
                granted(keys.try_acquire(&KEY))
            },
            |keys, clock, (by_handle, handle), by_map| {
                assert_eq!(by_handle + by_map, 1);
                assert_eq!(handle.available(), 0);
                assert_is_one(keys, clock, &handle);
                sweep_of_itself();
            },
        );
    });
}

/// The handle is let go meanwhile: evicted or not, nobody can tell. Kills `newcomer-starts-at-zero`, by a bucket.
#[test]
fn last_handle_evict() {
    after_a_sweep(|| {
        race_with(
            "last_handle_evict",
            3,
            || {
                let (keys, clock) = sweeping(quota(1));
                let handle = keys.handle(KEY);
                (keys, clock, handle, ())
            },
            |keys, _, handle: Handle| {
                drop(handle);
                granted(keys.try_acquire(&KEY))
            },
            |keys, clock, ()| {
                clock.advance(2 * PERIOD);
                keys.cleanup();
            },
            |keys, clock, granted, ()| {
                assert_eq!(granted + keys.available(&KEY), 1);
                clock.advance(2 * PERIOD);
                keys.cleanup();
                assert!(keys.is_empty());
                sweep_of_itself();
            },
        );
    });
}

/// Kills `remove-drops-who-is-held`.
#[test]
fn handle_remove() {
    race_with(
        "handle_remove",
        3,
        || {
            let (keys, clock, handle) = held(quota(1), 1);
            (keys, clock, handle, ())
        },
        |_, _, handle| (granted(handle.try_acquire()), handle),
        |keys, _, ()| assert!(keys.remove(&KEY)),
        |keys, clock, (granted, handle), ()| {
            assert_eq!(granted + handle.available(), 1, "afresh, once");
            assert_eq!(keys.available(&KEY), handle.available());
            assert_is_one(keys, clock, &handle);
            drop(handle);
            assert_are_words(keys, clock, 1);
        },
    );
}

/// A key that is removed while its last handle goes: a word, or a bucket that starts afresh in place.
#[test]
fn last_handle_remove() {
    race_with(
        "last_handle_remove",
        3,
        || {
            let (keys, clock, handle) = held(quota(1), 1);
            (keys, clock, handle, ())
        },
        |_, _, handle: Handle| {
            let granted = granted(handle.try_acquire());
            drop(handle);
            granted
        },
        |keys, _, ()| assert!(keys.remove(&KEY)),
        |keys, clock, granted, ()| {
            assert_eq!(granted + keys.available(&KEY), 1);
            assert_eq!(keys.len() as u64, granted, "one that owes nothing is not known");
            assert_are_words(keys, clock, granted as usize);
        },
    );
}

/// Two handles at once: the last one, whichever it is, makes the key a word again.
#[test]
fn demote_demote() {
    race_with(
        "demote_demote",
        3,
        || {
            let (keys, clock, handle) = held(quota(3), 2);
            let other = handle.clone();
            (keys, clock, handle, other)
        },
        |_, _, handle: Handle| granted(handle.try_acquire()),
        |_, clock, handle: Handle| {
            clock.advance(PERIOD);
            granted(handle.try_acquire())
        },
        |keys, clock, here, there| {
            // One was there, and one has come; which an old reading may not find any more.
            assert_eq!(here + there + keys.available(&KEY), 2);
            assert_eq!((there, wait(keys, 3)), (1, (1 + here + there) * PERIOD));
            assert_are_words(keys, clock, 1);
        },
    );
}

/// Kills `users-outside-the-guard`: the bucket is gone when the call by the map comes to it. And
/// `last-user-leaves-relaxed` and `nobody-is-found-relaxed`: the last one does not see what was taken of it.
#[test]
fn demote_acquire() {
    race_with(
        "demote_acquire",
        3,
        || {
            let (keys, clock, handle) = held(quota(2), 2);
            (keys, clock, handle, ())
        },
        |_, _, handle: Handle| drop(handle),
        |keys, clock, ()| {
            clock.advance(PERIOD);
            keys.try_acquire(&KEY)
        },
        |keys, clock, (), granted| {
            assert_eq!(granted, Ok(()));
            assert_eq!(wait(keys, 1), PERIOD);
            assert_are_words(keys, clock, 1);
        },
    );
}

/// Kills `settles-with-users`: the bucket is taken from one who has just come.
#[test]
fn demote_handle() {
    race_with(
        "demote_handle",
        3,
        || {
            let (keys, clock, handle) = held(quota(2), 2);
            clock.advance(PERIOD);
            (keys, clock, handle, ())
        },
        |_, _, handle: Handle| drop(handle),
        |keys, _, ()| {
            let handle = keys.handle(KEY);
            assert!(handle.try_acquire().is_ok());
            handle
        },
        |keys, clock, (), handle| {
            assert_eq!(handle.available(), 0);
            assert_is_one(keys, clock, &handle);
            drop(handle);
            assert_are_words(keys, clock, 1);
        },
    );
}

/// The one who goes is stopped; another one comes, goes and makes the key a word; then another key, with the same hash,
/// gets a bucket at the same place. Kills `settles-whatever-is-there`.
#[test]
fn demote_acquire_promote_other() {
    race_with(
        "demote_acquire_promote_other",
        3,
        || {
            let (keys, clock, handle) = held(quota(2), 2);
            assert!(keys.try_acquire(&OTHER).is_ok());
            (keys, clock, handle, ())
        },
        |_, _, handle: Handle| drop(handle),
        |keys, _, ()| {
            assert!(keys.try_acquire(&KEY).is_err());
            keys.handle(OTHER)
        },
        |keys, clock, (), handle| {
            assert_eq!((keys.available(&KEY), keys.available(&OTHER), handle.available()), (0, 1, 1));
            assert!(handle.try_acquire().is_ok());
            assert_eq!(keys.available(&OTHER), 0);
            drop(handle);
            assert_are_words(keys, clock, 2);
        },
    );
}

/// What a handle owed is owed by the map, at the moment that the clock shows by then. Kills `demotion-forgets-debts`.
#[test]
fn demote_in_debt() {
    race_with(
        "demote_in_debt",
        3,
        || {
            let (keys, clock, handle) = held(quota(2), 2);
            (keys, clock, handle, ())
        },
        |_, _, handle: Handle| handle.charge(2),
        |keys, clock, ()| {
            clock.advance(2 * PERIOD);
            granted(keys.try_acquire(&KEY))
        },
        |keys, clock, charged, granted| {
            // An old reading finds less room for debt behind a grant.
            assert!(matches!((charged, granted), (2, _) | (1, 1)));
            assert_eq!(wait(keys, 2), (charged + granted) * PERIOD, "2 have come");
            assert_are_words(keys, clock, 1);
        },
    );
}

/// Three at once: one goes, one comes, one calls by the map.
#[test]
fn demote_handle_acquire() {
    model("demote_handle_acquire", 2, || {
        let (keys, clock, handle) = held(quota(3), 3);
        clock.advance(PERIOD);
        let keys = loom::sync::Arc::new(keys);
        let (there, elsewhere) = (keys.clone(), keys.clone());
        let by_map = thread::spawn(move || granted(there.try_acquire(&KEY)));
        let by_handle = thread::spawn(move || granted(elsewhere.handle(KEY).try_acquire()));
        drop(handle);
        assert_eq!(by_map.join().unwrap() + by_handle.join().unwrap(), 1);
        assert_eq!(wait(&keys, 1), PERIOD);
        assert_are_words(&keys, &clock, 1);
    });
}

/// All are forgotten while one is held and one is let in. Kills `clear-drops-who-is-held`.
#[test]
fn handle_clear() {
    race_with(
        "handle_clear",
        3,
        || {
            let (keys, clock, handle) = held(quota(1), 1);
            (keys, clock, handle, ())
        },
        |keys, _, handle: Handle| (granted(handle.try_acquire()) + granted(keys.try_acquire(&OTHER)) * 10, handle),
        |keys, _, ()| keys.clear(),
        |keys, clock, (granted, handle), ()| {
            assert!(granted >= 10);
            assert_eq!(granted % 10 + handle.available(), 1, "afresh, once");
            assert_eq!(keys.available(&OTHER), u64::from(!keys.contains_key(&OTHER)));
            assert_is_one(keys, clock, &handle);
        },
    );
}
