//! The text of a quota: every quota has one that is read back as the same quota, no text makes it panic, and who errs is shown
//! the place.

mod support;

use std::error::Error;
use std::time::Duration;

use proptest::num::f64 as floats;
use proptest::prelude::*;
use sluicegate::{ParseQuotaError, Quota};
use support::quotas::{any_quota, cases, duration, number};

const DAY: u64 = 86_400;

/// What the constructors can make, usable or not.
fn quota() -> impl Strategy<Value = Quota> {
    let decimal =
        (0..1_u64 << 34, 0_u32..10).prop_map(|(nanos, power)| Duration::from_nanos(nanos * 10_u64.pow(power)));
    let round = (0..u64::MAX / DAY, prop::sample::select(vec![1, 60, 3_600, DAY]));
    prop_oneof![
        2 => (number(), duration()).prop_map(|(permits, period)| Quota::per(permits, period)),
        2 => (number(), duration(), number()).prop_map(|(permits, period, burst)| Quota::per(permits, period).burst(burst)),
        2 => (number(), decimal).prop_map(|(permits, period)| Quota::per(permits, period)),
        2 => (number(), round).prop_map(|(permits, (n, unit))| Quota::per(permits, Duration::from_secs(n * unit))),
        2 => floats::ANY.prop_map(Quota::from_rate),
        2 => (-25.0_f64..50.0).prop_map(|log| Quota::from_rate(log.exp())),
        2 => any_quota(),
    ]
}

proptest! {
    #![proptest_config(cases(20_000))]

    /// Kills: a unit that is written for a period which is no multiple of it, a lost zero behind or before the decimals, a burst
    /// that is left out though it is not the permits.
    #[test]
    fn every_quota_is_read_back_from_its_text(quota in quota()) {
        let text = quota.to_string();
        prop_assert_eq!(text.parse(), Ok(quota), "{}", text);
        // The three parts, white space, and nothing that would have to be escaped.
        prop_assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "/. ".contains(c)), "{}", text);
    }

    /// Kills: an index that is not on a boundary of characters, sums and products that do not fit.
    #[test]
    fn no_text_makes_it_panic(text in "[0-9_./ burstmhdnsµ\u{3bc}é\u{a0}]{0,24}|[0-9_]{1,24}/[0-9]{0,24}[.]?[0-9]{0,24} ?[a-zµ]{0,4}|.*") {
        match text.parse::<Quota>() {
            Ok(quota) => prop_assert_eq!(quota.to_string().parse(), Ok(quota)),
            Err(error) => {
                prop_assert!(text.is_char_boundary(error.position()));
                let begins = format!("expected {} at ", error.expected());
                prop_assert!(error.to_string().starts_with(&begins));
            }
        }
    }

    /// Kills: decimals that are rounded, or counted in another power of ten.
    #[test]
    fn decimals_are_exact(whole in 0..1_u64 << 30, decimals in "[0-9]{1,9}", unit in 0_usize..4) {
        let (name, seconds) = [("s", 1), ("min", 60), ("h", 3_600), ("d", DAY)][unit];
        let part = u128::from(decimals.parse::<u64>().expect("digits")) * u128::from(seconds);
        let nanos = part * 10_u128.pow(9 - decimals.len() as u32);
        let period = Duration::from_secs(whole * seconds) + Duration::from_nanos(nanos.try_into().expect("below a day"));
        let text = format!("1/{whole}.{decimals}{name}");
        prop_assert_eq!(text.parse(), Ok(Quota::per(1, period)), "{}", text);
    }
}

#[test]
fn the_shortest_text_is_written() {
    let table = [
        (Quota::per_second(100), "100/s"),
        (Quota::per_minute(100), "100/min"),
        (Quota::per_hour(5_000).burst(200), "5000/h burst 200"),
        (Quota::per_day(1), "1/d"),
        (Quota::per_day(1).burst(1), "1/d"),
        (Quota::per(7, Duration::from_millis(1_500)), "7/1.5s"),
        (Quota::per(7, Duration::new(90, 50_000)), "7/90.00005s"),
        (Quota::per(3, Duration::from_millis(250)), "3/250ms"),
        (Quota::per(3, Duration::from_millis(1)), "3/ms"),
        (Quota::per(3, Duration::from_micros(1_500)), "3/1500us"),
        (Quota::per(3, Duration::from_nanos(1)), "3/ns"),
        (Quota::per(1, Duration::from_secs(90)), "1/90s"),
        (Quota::per(1, Duration::from_secs(5_400)), "1/90min"),
        (Quota::per(1, Duration::from_secs(36 * 3_600)), "1/36h"),
        (Quota::per(1, Duration::from_secs(30 * DAY)), "1/30d"),
        (Quota::from_rate(2.5), "5/2s burst 2"),
        (Quota::from_rate(0.1), "1/10s"),
        (Quota::from_rate(1e-9), "1/1000000000s"),
        (Quota::from_rate(f64::NAN), "0/0s"),
        (Quota::per(0, Duration::from_secs(1)).burst(u64::MAX), "0/s burst 18446744073709551615"),
        (Quota::per(u64::MAX, Duration::MAX), "18446744073709551615/18446744073709551615.999999999s"),
    ];
    for (quota, text) in table {
        assert_eq!(quota.to_string(), text);
    }
}

/// Kills: a rate that is not the quotient.
#[test]
fn the_rate_is_permits_a_second() {
    for (text, rate) in
        [("5/2s", 2.5), ("90/min", 1.5), ("1/250ms", 4.0), ("7/d burst 2", 7.0 / 86_400.0), ("0/0s", 0.0)]
    {
        assert_eq!(text.parse::<Quota>().map(|quota| quota.rate()), Ok(rate), "{text}");
    }
}

#[test]
fn people_write_it_in_many_ways() {
    let (second, hour, burst) = (Quota::per_second(100), Quota::per_hour(5_000), Quota::per_hour(5_000).burst(200));
    let micros = Quota::per(1, Duration::from_micros(20));
    let table = [
        ("100/s", second),
        ("100/sec", second),
        ("100/secs", second),
        ("100/second", second),
        ("100/1seconds", second),
        (" 100 / 1 s ", second),
        ("\t100\u{a0}/\ns\u{2003}", second),
        ("0100/01.000s", second),
        ("100/1000ms", second),
        ("100/m", Quota::per_minute(100)),
        ("100/min", Quota::per_minute(100)),
        ("100/mins", Quota::per_minute(100)),
        ("100/minute", Quota::per_minute(100)),
        ("100/1 minutes", Quota::per_minute(100)),
        ("5000/h", hour),
        ("5_000/hr", hour),
        ("5_0_0_0_/hrs", hour),
        ("5000/hour", hour),
        ("5000/1hours", hour),
        ("5000/60m", hour),
        ("5000/0.5h", Quota::per(5_000, Duration::from_secs(1_800))),
        ("5000/h burst 200", burst),
        ("5000/h burst200", burst),
        ("5000/h\nburst\n200\n", burst),
        ("5000/h burst 2_00", burst),
        ("1/d", Quota::per_day(1)),
        ("1/day", Quota::per_day(1)),
        ("1/2days", Quota::per(1, Duration::from_secs(2 * DAY))),
        ("1/20us", micros),
        ("1/20\u{b5}s", micros),
        ("1/20\u{3bc}s", micros),
        ("1/0.02ms", micros),
        ("1/20000ns", micros),
        ("0/0s", Quota::per(0, Duration::ZERO)),
    ];
    for (text, quota) in table {
        assert_eq!(text.parse(), Ok(quota), "{text}");
    }
}

#[test]
fn an_error_shows_the_place() {
    const UNIT: &str = "expected a unit of time (ns, us, ms, s, min, h, d)";
    const PERMITS: &str = "expected a whole number of permits";
    let table = [
        ("", format!("{PERMITS} at the end of \"\"")),
        ("  ", format!("{PERMITS} at the end of \"  \"")),
        ("many/s", format!("{PERMITS} at column 1 of \"many/s\"")),
        ("-1/s", format!("{PERMITS} at column 1 of \"-1/s\"")),
        ("+1/s", format!("{PERMITS} at column 1 of \"+1/s\"")),
        ("_1/s", format!("{PERMITS} at column 1 of \"_1/s\"")),
        ("\u{663}/s", format!("{PERMITS} at column 1 of \"\u{663}/s\"")),
        ("/s", format!("{PERMITS} at column 1 of \"/s\"")),
        ("100", "expected \"/\" at the end of \"100\"".into()),
        ("100 per second", "expected \"/\" at column 5 of \"100 per second\"".into()),
        ("1,000/s", "expected \"/\" at column 2 of \"1,000/s\"".into()),
        ("10 0/s", "expected \"/\" at column 4 of \"10 0/s\"".into()),
        ("2.5/s", "expected \"/\" (permits are whole, as in 5/2s) at column 2 of \"2.5/s\"".into()),
        ("100/", format!("{UNIT} at the end of \"100/\"")),
        ("100/x", format!("{UNIT} at column 5 of \"100/x\"")),
        ("100/S", format!("{UNIT} at column 5 of \"100/S\"")),
        ("100/10", format!("{UNIT} at the end of \"100/10\"")),
        ("100/ 10 week", format!("{UNIT} at column 9 of \"100/ 10 week\"")),
        ("100/-1s", format!("{UNIT} at column 5 of \"100/-1s\"")),
        ("100/.5s", format!("{UNIT} at column 5 of \"100/.5s\"")),
        ("100/1e3s", format!("{UNIT} at column 6 of \"100/1e3s\"")),
        ("100/sburst 5", format!("{UNIT} at column 5 of \"100/sburst 5\"")),
        ("100/1.s", "expected a digit at column 7 of \"100/1.s\"".into()),
        ("100/1._5s", "expected a digit at column 7 of \"100/1._5s\"".into()),
        ("100/s bursts 5", "expected \"burst\" or the end at column 7 of \"100/s bursts 5\"".into()),
        ("100/s, burst 5", "expected \"burst\" or the end at column 6 of \"100/s, burst 5\"".into()),
        ("100/1h30m", "expected \"burst\" or the end at column 7 of \"100/1h30m\"".into()),
        ("100/s burst", format!("{PERMITS} at the end of \"100/s burst\"")),
        ("100/s burst all", format!("{PERMITS} at column 13 of \"100/s burst all\"")),
        ("100/s burst 5 6", "expected the end at column 15 of \"100/s burst 5 6\"".into()),
        ("100/20µs é", "expected \"burst\" or the end at column 10 of \"100/20µs é\"".into()),
        ("100/s \"5\"", "expected \"burst\" or the end at column 7 of \"100/s \\\"5\\\"\"".into()),
        (
            "18446744073709551616/s",
            "expected a number below 2^64 at column 1 of \"18446744073709551616/s\"".into(),
        ),
        (
            "1/s burst 99999999999999999999999999999999999999999999",
            "expected a number below 2^64 at column 11 of \"1/s burst 99999999999999999999999999999999999999999999\"".into(),
        ),
        (
            "1/18446744073709551616ns",
            "expected a number below 2^64 at column 3 of \"1/18446744073709551616ns\"".into(),
        ),
        (
            "1/18446744073709551615d",
            "expected a time below 2^64 seconds at column 3 of \"1/18446744073709551615d\"".into(),
        ),
        ("1/307445734561825860.28m", "expected a time below 2^64 seconds at column 3 of \"1/307445734561825860.28m\"".into()),
        ("1/0.5ns", "expected a whole number of nanoseconds at column 3 of \"1/0.5ns\"".into()),
        ("1/0.1234567891s", "expected a whole number of nanoseconds at column 3 of \"1/0.1234567891s\"".into()),
        // What is cut off here is not nothing.
        (
            "1/0.50000000000000001s",
            "expected a whole number of nanoseconds at column 3 of \"1/0.50000000000000001s\"".into(),
        ),
        (
            "1/0.50000000000000000000000000000000000000000000001d",
            "expected a whole number of nanoseconds at column 3 of \"1/0.50000000000000000000000000000000000000000000001d\""
                .into(),
        ),
    ];
    for (text, message) in table {
        let error = text.parse::<Quota>().expect_err(text);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn the_limits_are_read() {
    assert_eq!("1/0.500000000000000000000000000000s".parse(), Ok(Quota::per(1, Duration::from_millis(500))));
    // A day in 2^16: sixteen decimals are needed.
    let part = Duration::from_nanos(86_400_000_000_000 >> 16);
    assert_eq!("1/0.0000152587890625d".parse(), Ok(Quota::per(1, part)));
    let longest = "1/18446744073709551615.999999999s".parse();
    assert_eq!(longest, Ok(Quota::per(1, Duration::MAX)));
    assert_eq!("1/307445734561825860.25m".parse(), Ok(Quota::per(1, Duration::from_secs(u64::MAX))));
}

#[test]
fn the_error_is_one_to_pass_on() {
    fn is_error<E: Error + Clone + PartialEq + Send + Sync + 'static>(error: E) -> Box<dyn Error + Send + Sync> {
        assert_eq!(error.clone(), error);
        Box::new(error)
    }
    let error = "1/µ".parse::<Quota>().unwrap_err();
    assert_eq!(error.position(), 2);
    let other: ParseQuotaError = "1 ".parse::<Quota>().unwrap_err();
    assert_ne!(error, other);
    assert!(is_error(error).downcast_ref::<ParseQuotaError>().is_some());
}
