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
        // A change of quota would keep the scale, unless its units are coarser than a nanosecond.
        prop_assert_eq!(Scale::with_shift(&quota, scale.shift), (scale.per_nano >= 1 << 61).then_some(scale));
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

    /// A bucket that begins anywhere stays below the largest instant.
    #[test]
    fn everything_is_an_instant(
        (_, scale) in quotas(),
        length in lengths(),
        base in any::<u64>(),
        share in 0..=1_000_u64,
        ticks in any::<u64>(),
    ) {
        let room = INSTANT - 2 * scale.burst - units_in(SECOND_LIFE, scale.per_nano);
        let params = Params::new(&scale, length, base, room / 1_000 * share);
        prop_assert_eq!(params.floor(base), params.offset);
        prop_assert!(params.floor(ticks) >= params.offset);
        prop_assert!(params.full(ticks) + params.burst() <= INSTANT);
        prop_assert!(params.base.checked_add(params.horizon).is_some());
        // Half a lifetime, unless the clock's own count ends before.
        let nanos = length.nanos(params.horizon);
        prop_assert!(nanos >= SECOND_LIFE - 2 || params.horizon == TICKS || params.base + params.horizon == u64::MAX);
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
        let carried = old.carry(instant, at, &new, 0);
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
        let (next, _) = params.follow(&scales[change as usize % scales.len()], NANOSECOND, at, 0, change);
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

/// Before its base and beyond its horizon time stands still, and a wait that ends beyond it never does.
#[test]
fn time_stands_still_outside() {
    let scale = Scale::finest(&Quota::per_second(10)).unwrap();
    let base = 1 << 62;
    let params = Params::fresh(&scale, NANOSECOND, base);
    let end = base + params.horizon;
    assert_eq!(params.floor(0), params.floor(base));
    assert_eq!(params.floor(u64::MAX), params.floor(end));
    let used = params.full(base + 1_000_000_000);
    for ticks in [0, base - 1] {
        let Take::Denied(target) = params.take(used, ticks, 1) else { panic!("granted at {ticks}") };
        assert_eq!(params.wait(target, ticks), base + 1_100_000_000 - ticks);
    }
    let last = params.full(end);
    for ticks in [end, end + 1, u64::MAX] {
        let Take::Denied(target) = params.take(last, ticks, 1) else { panic!("granted at {ticks}") };
        assert_eq!(params.wait(target, ticks), u64::MAX);
    }
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
