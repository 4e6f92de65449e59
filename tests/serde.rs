//! Feature `serde`: a quota is its text, statistics and builders are structs, so that a service's settings hold its limiters.
#![cfg(feature = "serde")]

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluicegate::{
    AdaptiveRateLimiter, AdaptiveRateLimiterBuilder, AdaptiveStats, ChangeReason, FixedWindowCounter,
    FixedWindowCounterBuilder, Law, ManualClock, Outcome, PerKeyRateLimiter, PerKeyRateLimiterBuilder, Quota,
    RateLimitExceeded, RateLimiterStats, SlidingWindowCounter, SlidingWindowCounterBuilder, StripedTokenBucket,
    StripedTokenBucketBuilder, TokenBucket, TokenBucketBuilder, WhenFull,
};

fn written<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("it can be written")
}

/// Settings as a service has them.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    plan: Quota,
    api: TokenBucketBuilder,
    tiles: StripedTokenBucketBuilder,
    logins: PerKeyRateLimiterBuilder<String>,
    sms: FixedWindowCounterBuilder,
    partner: SlidingWindowCounterBuilder,
    search: AdaptiveRateLimiterBuilder,
}

const SETTINGS: &str = r#"
plan = "5000/h burst 200"

[api]
quota = "100/s burst 200"
initial = 50
max_waiters = 0
stats = true

[tiles]
quota = "1_000_000/s"

[logins]
quota = "3/min"
cleanup_interval = "10s"
max_keys = 1
when_full = "share"
stats = true

[sms]
limit = 2
window = "1 hour"

[partner]
limit = 100
window = "10s"
strict = true

[search]
base_rate = 100
max_rate = 150.0
reduction_factor = 0.7
window = "min"
law = "cubic"
abandoned = "error"
"#;

#[test]
fn a_toml_file_holds_the_limiters() {
    let settings: Settings = toml::from_str(SETTINGS).expect("it is well written");
    let clock = ManualClock::new();
    assert_eq!(settings.plan, Quota::per_hour(5_000).burst(200));

    let api = settings.api.clock(clock.clone()).build().expect("in range");
    assert_eq!((api.quota(), api.available()), (Quota::per_second(100).burst(200), 50));
    assert!(api.try_acquire_n(50).is_ok());
    assert!(api.blocking_acquire().is_err(), "nobody may wait");
    assert_eq!(api.stats().map(|stats| stats.total_requests), Some(2));

    let tiles = settings.tiles.clock(clock.clone()).build().expect("in range");
    assert_eq!((tiles.quota(), tiles.stats()), (Quota::per_second(1_000_000), None));
    assert_eq!(tiles.available(), 1_000_000);

    let two = |key: &String| (key == "alice").then(|| Quota::per_minute(2));
    let logins = settings.logins.clock(clock.clone()).quota_for(two).build().expect("in range");
    assert!(logins.try_acquire_n("alice", 2).is_ok() && logins.try_acquire("alice").is_err());
    // There is one place; who has none shares a bucket.
    assert!(logins.try_acquire_n("bob", 3).is_ok() && logins.try_acquire("carol").is_err());
    assert_eq!(logins.total_stats().map(|stats| stats.rejected_requests), Some(2));
    // Full after a minute, and forgotten ten seconds later.
    clock.advance(Duration::from_secs(69));
    assert_eq!(logins.cleanup(), 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(logins.cleanup(), 1);

    let sms = settings.sms.clock(clock.clone()).build().expect("in range");
    assert_eq!((sms.limit(), sms.window()), (2, Duration::from_secs(3_600)));

    let partner = settings.partner.clock(clock.clone()).build().expect("in range");
    clock.advance(Duration::from_secs(9));
    assert!(partner.try_acquire_n(100).is_ok());
    clock.advance(Duration::from_secs(9));
    assert!(partner.try_acquire().is_err(), "not strict");

    let search = settings.search.clock(clock.clone()).build().expect("in range");
    let debug = format!("{search:?}");
    assert!(debug.contains("Cubic"), "{debug}");
    let panics = std::panic::catch_unwind(|| search.call(|| -> Result<(), ()> { panic!("abandoned") }));
    assert!(panics.is_err());
    assert_eq!(search.stats().window_errors, 1);
    assert!(search.try_acquire_n(200).is_err(), "one is taken");
}

/// Kills: another default in the text than in the builder, for each of the fields; a field that is not written.
#[test]
fn what_is_left_out_is_the_builders_default() {
    fn same<B: DeserializeOwned + Serialize>(text: Value, builder: B) {
        let read: B = serde_json::from_value(text).expect("it is complete");
        assert_eq!(written(&read), written(&builder));
    }
    let (quota, second) = (Quota::per_second(3), Duration::from_secs(1));
    same(json!({ "quota": "3/s" }), TokenBucket::builder(quota));
    same(json!({ "quota": "3/s" }), StripedTokenBucket::builder(quota));
    same(json!({ "quota": "3/s" }), PerKeyRateLimiter::<u32>::builder(quota));
    same(json!({ "limit": 3, "window": "s" }), FixedWindowCounter::builder(3, second));
    same(json!({ "limit": 3, "window": "s" }), SlidingWindowCounter::builder(3, second));
    same(json!({}), AdaptiveRateLimiter::builder());
}

/// Kills: a setting that is not in the text, or is but is not read.
#[test]
fn a_builder_is_written_as_it_is_read() {
    fn both_ways<B: DeserializeOwned + Serialize>(builder: &B, text: &Value) {
        assert_eq!(&written(builder), text);
        let read: B = serde_json::from_value(text.clone()).expect("it was written");
        assert_eq!(&written(&read), text);
    }
    let (quota, minute) = (Quota::per_hour(5_000).burst(200), Duration::from_secs(60));
    let text = json!({ "quota": "5000/h burst 200", "initial": 1, "stats": true, "max_waiters": 7 });
    both_ways(&TokenBucket::builder(quota).initial(1).max_waiters(7).stats(), &text);
    both_ways(&StripedTokenBucket::builder(quota).initial(1).max_waiters(7).stats(), &text);
    both_ways(
        &FixedWindowCounter::builder(3, minute).max_waiters(7).stats(),
        &json!({ "limit": 3, "window": "min", "stats": true, "max_waiters": 7 }),
    );
    both_ways(
        &SlidingWindowCounter::builder(3, minute).strict().max_waiters(7).stats(),
        &json!({ "limit": 3, "window": "min", "strict": true, "stats": true, "max_waiters": 7 }),
    );
    both_ways(
        &PerKeyRateLimiter::<u32>::builder(Quota::per_second(3))
            .when_full(WhenFull::Share)
            .max_keys(9)
            .cleanup_interval(Duration::from_millis(1_500))
            .stats()
            .quota_for(|_| None),
        &json!({ "quota": "3/s", "cleanup_interval": "1.5s", "max_keys": 9, "when_full": "share", "stats": true }),
    );
    both_ways(
        &AdaptiveRateLimiter::builder()
            .base_rate(5.0)
            .min_rate(1.0)
            .max_rate(6.0)
            .error_threshold(0.25)
            .recovery_factor(1.5)
            .reduction_factor(0.75)
            .window(minute)
            .min_samples(20)
            .min_utilisation(0.5)
            .law(Law::Cubic)
            .abandoned(Outcome::Throttled(Some(Duration::from_secs(2))))
            .max_waiters(7)
            .on_change(|_| ()),
        &json!({
            "base_rate": 5.0, "min_rate": 1.0, "max_rate": 6.0, "error_threshold": 0.25, "recovery_factor": 1.5,
            "reduction_factor": 0.75, "window": "min", "min_samples": 20, "min_utilisation": 0.5, "law": "cubic",
            "abandoned": { "throttled": "2s" }, "max_waiters": 7
        }),
    );

    // And all of it read back, as TOML too, which knows no null.
    let settings: Settings = toml::from_str(SETTINGS).expect("it is well written");
    let text = toml::to_string(&settings).expect("it can be written");
    let again: Settings = toml::from_str(&text).expect("it can be read");
    assert_eq!(written(&again), written(&settings));
}

#[test]
fn bad_settings_say_what_is_wrong() {
    fn error<B: DeserializeOwned>(text: Value) -> String {
        serde_json::from_value::<B>(text).err().expect("it is wrong").to_string()
    }
    assert_eq!(
        error::<TokenBucketBuilder>(json!({ "quota": "100/x" })),
        "expected a unit of time (ns, us, ms, s, min, h, d) at column 5 of \"100/x\""
    );
    assert_eq!(
        error::<TokenBucketBuilder>(json!({ "quota": 100 })),
        "invalid type: integer `100`, expected a quota as text, for instance \"100/s burst 200\""
    );
    assert_eq!(error::<TokenBucketBuilder>(json!({ "stats": true })), "missing field `quota`");
    // A word that is not known is a mistake, in each of them.
    for field in ["max_waitres", "clock", "quota_for", "on_change", "listener"] {
        let unknown = format!("unknown field `{field}`");
        assert!(error::<TokenBucketBuilder>(json!({ "quota": "1/s", field: 1 })).starts_with(&unknown));
        assert!(error::<StripedTokenBucketBuilder>(json!({ "quota": "1/s", field: 1 })).starts_with(&unknown));
        assert!(error::<PerKeyRateLimiterBuilder<u32>>(json!({ "quota": "1/s", field: 1 })).starts_with(&unknown));
        assert!(
            error::<FixedWindowCounterBuilder>(json!({ "limit": 1, "window": "s", field: 1 })).starts_with(&unknown)
        );
        assert!(
            error::<SlidingWindowCounterBuilder>(json!({ "limit": 1, "window": "s", field: 1 })).starts_with(&unknown)
        );
        assert!(error::<AdaptiveRateLimiterBuilder>(json!({ field: 1 })).starts_with(&unknown));
    }
    assert_eq!(
        error::<FixedWindowCounterBuilder>(json!({ "limit": 1, "window": "soon" })),
        "expected a unit of time (ns, us, ms, s, min, h, d) at column 1 of \"soon\""
    );
    assert_eq!(
        error::<FixedWindowCounterBuilder>(json!({ "limit": 1, "window": { "secs": 1, "nanos": 0 } })),
        "invalid type: map, expected a time as text, for instance \"10s\""
    );
    assert_eq!(
        error::<AdaptiveRateLimiterBuilder>(json!({ "law": "Cubic" })),
        "unknown variant `Cubic`, expected `error_rate` or `cubic`"
    );
    assert_eq!(
        error::<PerKeyRateLimiterBuilder<u32>>(json!({ "quota": "1/s", "when_full": "drop" })),
        "unknown variant `drop`, expected `deny` or `share`"
    );
    // In a file, with the line.
    let error = toml::from_str::<Settings>(&SETTINGS.replace("3/min", "3/mon")).expect_err("it is wrong").to_string();
    assert!(error.contains("line 14") && error.contains("at column 3 of \"3/mon\""), "{error}");
}

#[test]
fn what_is_out_of_range_is_read_and_not_built() {
    let bucket: TokenBucketBuilder = serde_json::from_value(json!({ "quota": "0/s" })).expect("it is a quota");
    assert_eq!(bucket.build().unwrap_err().field(), "permits");
    let bucket: TokenBucketBuilder =
        serde_json::from_value(json!({ "quota": "1/s", "initial": 2 })).expect("they are numbers");
    assert_eq!(bucket.build().unwrap_err().field(), "initial");
    let adaptive: AdaptiveRateLimiterBuilder = serde_json::from_value(json!({})).expect("nothing is required");
    assert_eq!(adaptive.build().unwrap_err().field(), "base_rate");
}

#[test]
fn statistics_are_structs() {
    let bucket = TokenBucket::builder(Quota::per_hour(1)).clock(ManualClock::new()).stats().build().expect("in range");
    assert!(bucket.try_acquire().is_ok());
    assert!(matches!(bucket.try_acquire(), Err(RateLimitExceeded::Denied { .. })));
    let stats = bucket.stats().expect("they are counted");
    let value = written(&stats);
    let expected = json!({
        "total_requests": 2, "allowed_requests": 1, "rejected_requests": 1, "total_wait_time": { "secs": 0, "nanos": 0 }
    });
    assert_eq!(value, expected);
    assert_eq!(serde_json::from_value::<RateLimiterStats>(value).ok(), Some(stats));
    // Of an older version, or a newer one.
    let other = json!({ "total_requests": 5, "shed_requests": 1 });
    assert_eq!(serde_json::from_value::<RateLimiterStats>(other).map(|stats| stats.total_requests).ok(), Some(5));

    let clock = ManualClock::new();
    let limiter = AdaptiveRateLimiter::builder().base_rate(100.0).clock(clock.clone()).build().expect("in range");
    (0..10).for_each(|_| limiter.record_error());
    clock.advance(Duration::from_secs(10));
    let stats = limiter.stats();
    assert_eq!(stats.last_change.map(|change| change.reason), Some(ChangeReason::Errors));
    let value = written(&stats);
    let change = json!({ "old_rate": 100.0, "new_rate": 50.0, "reason": "errors", "samples": 10, "errors": 10 });
    assert_eq!((&value["current_rate"], &value["last_change"]), (&json!(50.0), &change));
    assert_eq!(serde_json::from_value::<AdaptiveStats>(value).ok(), Some(stats));
}

#[test]
fn an_outcome_is_a_word() {
    let table = [
        (Outcome::Success, json!("success")),
        (Outcome::Error, json!("error")),
        (Outcome::Ignored, json!("ignored")),
        (Outcome::Throttled(None), json!({ "throttled": null })),
        (Outcome::Throttled(Some(Duration::from_millis(1_500))), json!({ "throttled": "1.5s" })),
    ];
    for (outcome, value) in table {
        assert_eq!(written(&outcome), value);
        assert_eq!(serde_json::from_value::<Outcome>(value).ok(), Some(outcome));
    }
}

/// Kills: another form where the format is not made for people.
#[test]
fn a_quota_is_text_in_a_binary_format_too() {
    let (quota, mut bytes) = (Quota::per_hour(5_000).burst(200), Vec::new());
    ciborium::into_writer(&quota, &mut bytes).expect("it can be written");
    assert_eq!(bytes.get(1..), Some(&b"5000/h burst 200"[..]));
    assert_eq!(ciborium::from_reader::<Quota, _>(&bytes[..]).ok(), Some(quota));

    let (builder, mut bytes) = (FixedWindowCounter::builder(3, Duration::from_secs(60)), Vec::new());
    ciborium::into_writer(&builder, &mut bytes).expect("it can be written");
    let read: FixedWindowCounterBuilder = ciborium::from_reader(&bytes[..]).expect("it can be read");
    assert_eq!(written(&read), written(&builder));
}
