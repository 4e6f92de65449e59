//! The integers against wide arithmetic that cannot round.

use core::time::Duration;

use num_bigint::BigUint;
use proptest::prelude::*;

use super::*;

const NANOSECOND: TickLength = TickLength::NANOSECOND;

/// Quotas of every magnitude, with bursts that fit.
fn quotas() -> impl Strategy<Value = (Quota, Scale)> {
    let bits = |range: core::ops::Range<u32>| range.prop_flat_map(|bits| 0..=(u64::MAX >> (63 - bits)));
    (bits(0..63), bits(0..63), bits(0..41)).prop_filter_map("no bucket keeps it", |(permits, nanos, burst)| {
        let quota = Quota::per(permits + 1, Duration::from_nanos(nanos + 1)).burst(burst + 1);
        Scale::finest(&quota).ok().map(|scale| (quota, scale))
    })
}

fn lengths() -> impl Strategy<Value = TickLength> {
    prop_oneof![
        Just(NANOSECOND),
        Just(TickLength::new(1_000_000_000, 2_596_096_000).unwrap()),
        (1..=8_000_u64).prop_filter_map("out of range", |ticks| TickLength::new(1_000, ticks)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Units a nanosecond are the rate to the last of 61 bits, rounded up, and between a half and four.
    #[test]
    fn rate_in_units_is_rounded_up_once((quota, scale) in quotas()) {
        let exact = BigUint::from(quota.permits()) << (scale.shift + 61);
        let period = BigUint::from(quota.period().as_nanos());
        let rounded_up = (&exact + &period - 1_u8) / &period;
        prop_assert_eq!(BigUint::from(scale.per_nano), rounded_up);
        prop_assert!(scale.per_nano >= 1 << 60 && scale.per_nano <= 1 << 63);
        prop_assert_eq!(scale.capacity(), quota.capacity());
        // The scale itself is one that a change of quota would keep.
        prop_assert_eq!(Scale::with_shift(&quota, scale.shift), Some(scale));
    }

    /// The reciprocal and its two comparisons find what a division finds.
    #[test]
    fn wait_is_the_least_number_of_ticks(
        (_, scale) in quotas(),
        length in lengths(),
        units in prop_oneof![0..1_u64 << 20, 0..1_u64 << 57, (1_u64 << 57) - 100..1 << 57, 0..1_u64 << 61],
    ) {
        let params = Params::fresh(&scale, length, 0);
        let exact = (BigUint::from(units) << 61_u8) + params.mult - 1_u8;
        let exact = (exact / params.mult).min(BigUint::from(u64::MAX));
        prop_assert_eq!(BigUint::from(params.ticks_for(units)), exact);
    }

    /// A bucket that begins anywhere has its floor where it was asked for, or less than a tick below.
    #[test]
    fn floor_begins_at_the_offset(
        (_, scale) in quotas(),
        length in lengths(),
        now in any::<u64>(),
        share in 0..1_000_u64,
    ) {
        let params = Params::fresh(&scale, length, now);
        let room = INSTANT - 2 * scale.burst - units_in(SECOND_LIFE, scale.per_nano);
        let offset = (room / 1_000 * share).min(units_of(TICKS / 2, params.mult));
        let params = Params::new(&scale, length, now, offset);
        let floor = params.floor(now);
        prop_assert!(floor <= offset && offset - floor <= params.units(1) + 1, "{} for {}", floor, offset);
        // Everything that can be written under these parameters is an instant.
        prop_assert!(params.units(params.horizon) + 2 * params.burst() <= INSTANT);
    }

    /// A level is carried as the same number of permits, cut to one new burst; less than a unit of each is lost.
    #[test]
    fn change_keeps_the_level(
        (_, old) in quotas(),
        (quota, finest) in quotas(),
        length in lengths(),
        start in 0..1_u64 << 60,
        elapsed in 0..1_u64 << 55,
        share in -1_000_i128..1_000,
        salt in any::<u64>(),
    ) {
        let old = Params::fresh(&old, length, start);
        let scale = Scale::with_shift(&quota, old.shift()).unwrap_or(finest);
        let at = start + elapsed;
        let level = i128::from(old.burst()) * share / 1_000;
        let instant = (i128::from(old.full(at)) - level) as u64;
        let (new, _) = old.follow(&scale, length, at, 0, salt);
        let carried = old.carry(instant, at, &new);
        prop_assert!(carried <= INSTANT);
        let kept = i128::from(new.full(at)) - i128::from(carried);
        // Compared in the finer of both scales.
        let (up_old, up_new) = (new.shift().saturating_sub(old.shift()), old.shift().saturating_sub(new.shift()));
        let burst = i128::from(new.burst()) << up_new;
        let exact = (level << up_old).clamp(-burst, burst);
        let lost = exact - (kept << up_new);
        prop_assert!((0..1 << up_new).contains(&lost), "{} of {}", lost, exact);
    }
}

/// On another scale the numbers begin above all that the word can have held, for as long as there is room.
#[test]
fn another_scale_begins_above() {
    let quotas = [Quota::per_second(10), Quota::per_hour(7), Quota::per_second(1_000_000), Quota::per_day(1)];
    let scales = quotas.map(|quota| Scale::finest(&quota).unwrap());
    let mut params = Params::fresh(&scales[0], NANOSECOND, 0);
    for change in 1..200 {
        let at = change * 1_000_000_000;
        let highest = params.full(at) + params.burst();
        let (next, _) = params.follow(&scales[change as usize % scales.len()], NANOSECOND, at, 0, 2 * change);
        assert_ne!(next.shift(), params.shift());
        assert!(next.floor(at) > highest, "change {change}");
        params = next;
    }
}

/// The largest number of units a nanosecond, and both ends of the rates.
#[test]
fn extreme_rates_fit() {
    let fastest = Scale::finest(&Quota::per_second(4_000_000_000).burst(MAX_BURST)).unwrap();
    assert_eq!((fastest.shift, fastest.per_nano), (0, 1 << 63));
    let slowest = Scale::finest(&Quota::per(1, Duration::from_secs(365 * 86_400))).unwrap();
    assert!(slowest.per_nano > 1 << 61, "two units a nanosecond at least");
    assert!(Scale::finest(&Quota::per_second(4_000_000_001)).is_err());
    assert!(Scale::finest(&Quota::per(1, Duration::from_secs(367 * 86_400))).is_err());
}

/// A permit of a round rate comes on the nanosecond: the multiplier is rounded up.
#[test]
fn round_rates_are_on_time() {
    for permits in [1, 10, 100, 1_000, 1_000_000, 1_000_000_000] {
        let scale = Scale::finest(&Quota::per_second(permits).burst(1)).unwrap();
        let params = Params::fresh(&scale, NANOSECOND, 0);
        let period = 1_000_000_000 / permits;
        for k in [1, 2, 3, 1_000, 999_983] {
            assert_eq!(params.ticks_for(k << scale.shift), k * period, "permit {k} at {permits}/s");
        }
    }
}

/// Before its base and beyond its horizon a used bucket is closed, and says that waiting does not help there.
#[test]
fn out_of_range_is_closed() {
    let scale = Scale::finest(&Quota::per_second(10)).unwrap();
    let base = 1 << 62;
    let params = Params::fresh(&scale, NANOSECOND, base);
    let used = params.full(base + 1_000_000_000);
    for ticks in [0, base - 1, base + params.horizon + 1, u64::MAX] {
        assert!(matches!(params.take(used, ticks, 1), Take::Denied(_)), "at {ticks}");
        assert_eq!(params.available(used, ticks), 0);
    }
    let Take::Denied(target) = params.take(used, u64::MAX, 1) else { unreachable!() };
    assert_eq!(params.wait(target, u64::MAX), u64::MAX);
    assert_eq!(params.wait(target, base - 1), 1_100_000_001);
}

/// Successive places are far from each other.
#[test]
fn places_are_apart() {
    const N: usize = 1_000;
    let room = 1 << 58;
    let mut places: [u64; N] = core::array::from_fn(|i| place(2 * i as u64 + 2, room));
    places.sort_unstable();
    let nearest = places.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
    assert!(nearest >= room / (3 * N as u64), "{nearest}");
}
