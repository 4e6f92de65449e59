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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

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
        // Time goes on for as long as there are numbers, and a debt of one burst.
        let exact = (BigUint::from(INSTANT - 2 * scale.burst - params.offset) << 61_u8) / params.mult;
        let exact = u64::try_from(exact).unwrap_or(u64::MAX).min(TICKS).min(u64::MAX - base);
        prop_assert_eq!((params.base, params.offset, params.horizon), (base, room / 1_000 * share, exact));
        // Half a lifetime, unless the clock's own count ends before.
        let nanos = length.nanos(params.horizon);
        prop_assert!(nanos >= SECOND_LIFE - 2 || params.horizon == TICKS || params.base + params.horizon == u64::MAX);
    }

    /// A level is carried as the same number of permits, and what comes or goes with the change, cut to one new burst; less than a
    /// unit of each is lost.
    #[test]
    fn change_keeps_the_level(
        (_, old) in quotas(),
        (quota, finest) in quotas(),
        length in lengths(),
        start in 0..1_u64 << 60,
        elapsed in 0..1_u64 << 55,
        share in -1_000_i128..1_000,
        more in prop_oneof![Just(0_i64), -1_000_i64..=1_000],
        salt in any::<u64>(),
    ) {
        let old = Params::fresh(&old, length, start);
        let scale = Scale::with_shift(&quota, old.shift()).unwrap_or(finest);
        let at = start + elapsed;
        let level = i128::from(old.burst()) * share / 1_000;
        let instant = (i128::from(old.full(at)) - level) as u64;
        let new = old.follow(&scale, length, at, salt);
        let more = new.capacity() as i64 * more / 1_000;
        let carried = old.carry(instant, at, &new, more);
        prop_assert!(carried <= INSTANT);
        let kept = i128::from(new.full(at)) - i128::from(carried);
        // Compared in the finer of both scales.
        let (up_old, up_new) = (new.shift().saturating_sub(old.shift()), old.shift().saturating_sub(new.shift()));
        let burst = i128::from(new.burst()) << up_new;
        let exact = ((level << up_old) + (i128::from(more) << new.shift() << up_new)).clamp(-burst, burst);
        let lost = exact - (kept << up_new);
        prop_assert!((0..1 << up_new).contains(&lost), "{} of {}", lost, exact);
    }
}

/// A bucket that begins anywhere, a reading, and a word that it can hold then.
#[derive(Clone, Copy, Debug)]
struct State {
    params: Params,
    ticks: u64,
    instant: u64,
}

impl State {
    fn floor(&self) -> i128 {
        i128::from(self.params.floor(self.ticks))
    }

    fn burst(&self) -> i128 {
        i128::from(self.params.capacity()) << self.params.shift()
    }

    fn full(&self) -> i128 {
        self.floor() + self.burst()
    }

    fn start(&self) -> i128 {
        self.floor().max(i128::from(self.instant))
    }

    fn units(&self, permits: u64) -> i128 {
        i128::from(permits) << self.params.shift()
    }

    /// Of so many units that there is room for, the whole permits, at most `n`; and the word after them.
    fn up_to(&self, n: u64, room: i128) -> (u64, Option<u64>) {
        let permits = (room.max(0) >> self.params.shift()).min(i128::from(n)) as u64;
        (permits, (permits > 0).then(|| (self.start() + self.units(permits)) as u64))
    }
}

/// Readings around both ends of the time that counts; words around all that the formulas compare them with, whole permits away
/// as a rule.
fn states() -> impl Strategy<Value = State> {
    let places = (quotas(), lengths(), 0..1_u64 << 61, 0..=1_000_u64);
    let reading =
        prop_oneof![(0_u32..63, any::<u64>()).prop_map(|(bits, any)| any >> bits), (0..3_u64).prop_map(|after| after),];
    let words = (0..4_u64, -3_i64..=3, prop_oneof![4 => Just(0_i64), 1 => -3_i64..=3], 0..=64_u64);
    (places, (0..4_u8, reading), words).prop_map(|(((_, scale), length, base, share), (end, by), word)| {
        let room = INSTANT - 2 * scale.burst - units_in(SECOND_LIFE, scale.per_nano);
        let params = Params::new(&scale, length, base, room / 1_000 * share);
        let ticks = match end {
            0 => base.saturating_sub(by),
            1 => base + params.horizon.saturating_sub(by),
            2 => (base + params.horizon).saturating_add(by),
            _ => base + by % (params.horizon + 1),
        };
        let (bursts, permits, units, share) = word;
        let about = params.floor(ticks) + bursts * params.burst() / 2 + params.burst() / 64 * (share % 3 / 2 * share);
        let instant =
            about.saturating_add_signed((permits << params.shift()) + units).min(params.full(ticks) + params.burst());
        State { params, ticks, instant }
    })
}

/// Few, about a burst of them, or any number.
fn permits(capacity: u64, pick: u8, any: u64) -> u64 {
    match pick % 4 {
        0 => any % 8,
        1 => (capacity - 1).saturating_add(any % 3),
        2 => any % (2 * capacity + 1),
        _ => any,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8_000) })]

    /// Each verb is its formula, in numbers that cannot overflow; what is there is never above a burst nor below a debt of one.
    ///
    /// Kills: every comparison, sum and shift of the verbs.
    #[test]
    fn verbs_are_their_formulas(state in states(), pick in 0..4_u8, any in any::<u64>()) {
        let State { params, ticks, instant } = state;
        let n = permits(params.capacity(), pick, any);
        let elapsed = i128::from(ticks.saturating_sub(params.base).min(params.horizon));
        let units = (BigUint::from(elapsed as u64) * params.mult) >> 61_u8;
        prop_assert_eq!(BigUint::from(params.floor(ticks)), units + params.offset);
        prop_assert_eq!(i128::from(params.full(ticks)), state.full());

        let there = state.full() - state.start();
        let next = state.start() + state.units(n);
        let taken = match params.take(instant, ticks, n) {
            Take::Granted(next) => Ok(i128::from(next)),
            Take::Denied(target) => Err(Some(i128::from(target))),
            Take::Impossible => Err(None),
        };
        let exact = if n > params.capacity() { Err(None) } else if next <= state.full() { Ok(next) } else { Err(Some(next)) };
        prop_assert_eq!(taken, exact);
        prop_assert_eq!(params.take_up_to(instant, ticks, n), state.up_to(n, there));
        prop_assert_eq!(params.charge(instant, ticks, n), state.up_to(n, there + state.burst()));
        prop_assert_eq!(params.available(instant, ticks), state.up_to(u64::MAX, there).0);

        let missing = (i128::from(instant) - state.floor()).max(0);
        let back = missing.min(state.units(n));
        prop_assert_eq!(params.give_back(instant, ticks, n), (back > 0).then(|| (i128::from(instant) - back) as u64));

        let level = state.full() - i128::from(instant).max(state.full() - state.burst());
        prop_assert_eq!(i128::from(params.permits_at(instant, ticks)), level >> params.shift());
        let held = params.holding(any % (params.capacity() + 1));
        prop_assert_eq!(params.available(held, params.base), any % (params.capacity() + 1));
    }

    /// In line the wait is the least number of ticks after which so many are there, beyond a burst too; or never.
    #[test]
    fn wait_in_line_is_exact(state in states(), pick in 0..4_u8, any in any::<u64>()) {
        let State { params, ticks, instant } = state;
        let n = permits(params.capacity(), pick, any);
        let target = state.start() + state.units(n);
        let is_reached = |ticks| i128::from(params.full(ticks)) >= target;
        match params.wait_in_line(instant, ticks, n) {
            0 => prop_assert!(is_reached(ticks)),
            u64::MAX => prop_assert!(!is_reached(params.base + params.horizon)),
            wait => prop_assert!(is_reached(ticks + wait) && !is_reached(ticks + wait - 1)),
        }
        let units = state.units(n);
        let ticks = params.ticks_for_permits(n);
        let never = units > i128::from(INSTANT);
        prop_assert_eq!(ticks, if never { u64::MAX } else { params.ticks_for(units as u64) });
    }

    /// A change is at its reading; later if no debt explains the word, or the last change was after it; and no later than that.
    #[test]
    fn a_change_is_as_early_as_can_be(state in states(), reading in any::<u64>(), shift in 0..64_u32) {
        let State { params, ticks, instant } = state;
        for reading in [reading >> shift, ticks, params.base] {
            let at = params.time_of_change(instant, reading);
            let explains = |at| params.full(at) + params.burst() >= instant;
            prop_assert!(at >= params.base && at >= reading);
            prop_assert!(explains(at) || at == params.base + params.horizon);
            prop_assert!(at == params.base || at == reading || !explains(at - 1));
        }
    }

    /// The numbers go on where the scale stays and the burst does not shrink, else begin above all that the word can hold, or else
    /// anywhere.
    #[test]
    fn numbers_go_on_or_begin_above(
        state in states(),
        (quota, other) in quotas(),
        burst in 0..5_u8,
        salt in 1_u64..,
    ) {
        let State { params, ticks: at, .. } = state;
        // A quota like the old one's, as often as another one.
        let like = Scale { shift: params.shift(), per_nano: 1 << 61, burst: params.burst() };
        let scale = match burst {
            0 => like,
            1 => Scale { burst: like.burst + (1 << like.shift), ..like },
            2 => Scale { burst: like.burst - (1 << like.shift), ..like },
            3 => Scale { shift: like.shift ^ 1, ..like },
            _ => Scale::with_shift(&quota, params.shift()).unwrap_or(other),
        };
        let full = i128::from(params.full(at));
        let room = i128::from(INSTANT) - 2 * i128::from(scale.burst) - i128::from(units_in(SECOND_LIFE, scale.per_nano));
        let above = full + i128::from(params.burst());
        let same = full - i128::from(scale.burst);
        let goes_on = scale.shift == params.shift() && scale.burst >= params.burst();
        let exact = if goes_on && (0..=room).contains(&same) {
            same as u64
        } else if above < room {
            above as u64 + 1
        } else {
            place(salt, room as u64)
        };
        let next = params.follow(&scale, NANOSECOND, at, salt);
        prop_assert_eq!(next.offset, exact);
        prop_assert_eq!((next.base, next.capacity(), next.shift()), (at, scale.capacity(), scale.shift));
        // Why nobody need remember how high the word was: the highest that it can be does not fall.
        let highest = |params: &Params| params.full(at) + params.burst();
        prop_assert!(highest(&next) >= highest(&params) || next.offset == place(salt, room as u64));
    }

    /// The scale is found as by a search through all of them, and so is the largest burst of a quota that has none.
    #[test]
    fn the_scale_is_the_finest(
        (permits, nanos) in prop_oneof![
            4 => (0..63_u32, 0..63_u32, any::<[u64; 2]>()).prop_map(|(a, b, any)| ((any[0] >> a).max(1), (any[1] >> b).max(1))),
            1 => (1..100_u64, 0..50_u32).prop_map(|(permits, bits)| (permits, permits << bits)),
        ],
        burst in (0..64_u32, any::<u64>()).prop_map(|(bits, any)| (any >> bits).max(1)),
    ) {
        let quota = Quota::per(permits, Duration::from_nanos(nanos)).burst(burst);
        let period = u128::from(nanos);
        let units = |shift: u32| u128::from(permits) << shift;
        let largest = |shift: u32| {
            let per_nano = ((BigUint::from(units(shift)) << 61_u8) + period - 1_u8) / period;
            let lifetime = ((BigUint::from(LIFETIME) * per_nano) >> 61_u8) + 1_u8;
            u64::try_from((BigUint::from(INSTANT) - lifetime) >> (shift + 1)).unwrap()
        };
        let scales: Vec<_> = (0..=60).filter(|&shift| units(shift) <= 4 * period && 2 * units(shift) >= period).collect();
        let yearly = u128::from(permits) * YEAR >= period;
        match Scale::finest(&quota) {
            Ok(scale) => {
                prop_assert!(yearly && burst <= MAX_BURST && scales.contains(&scale.shift));
                prop_assert!(burst <= largest(scale.shift));
                prop_assert!(scales.iter().all(|&finer| finer <= scale.shift || burst > largest(finer)));
            }
            Err(error) if scales.is_empty() || !yearly => prop_assert_eq!(error.largest(), None),
            Err(error) => {
                let most = scales.iter().map(|&shift| largest(shift)).max().unwrap_or(0).min(MAX_BURST);
                prop_assert_eq!((error.field(), error.largest()), ("burst", Some(most)));
                prop_assert!(burst > most);
            }
        }
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
        let next = params.follow(&scales[change as usize % scales.len()], NANOSECOND, at, change);
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

/// The bits of the word are apart, WAIT above all, and the units of time what they are called.
///
/// Kills: each of the constants.
#[test]
fn the_constants_are_what_they_say() {
    assert_eq!([WAIT, SLOT, INSTANT], [1 << 63, 1 << 62, u64::MAX >> 2]);
    let day = 86_400_000_000_000;
    assert_eq!((YEAR, LIFETIME), (366 * u128::from(day), 36 * (365 * day + day / 4)));
    assert_eq!(SECOND_LIFE, 18 * (365 * day + day / 4));
    assert_eq!((TICKS, MAX_BURST), (u64::MAX >> 3, 1_099_511_627_776));
}

/// Kills: a check that is left out, or is another one's.
#[test]
fn what_is_wrong_has_its_name() {
    let field = |quota: Quota| Scale::finest(&quota).map_err(|error| error.field());
    let second = Duration::from_secs(1);
    let year = Duration::from_nanos(u64::try_from(YEAR).unwrap());
    assert_eq!(field(Quota::from_rate(0.0)), Err("rate"));
    assert_eq!(field(Quota::per(0, second).burst(1)), Err("permits"));
    assert_eq!(field(Quota::per(1, Duration::ZERO)), Err("period"));
    assert_eq!(field(Quota::per(1, second).burst(0)), Err("burst"));
    assert!(field(Quota::per(1, year)).is_ok());
    assert_eq!(field(Quota::per(1, year + Duration::from_nanos(1))), Err("rate"));
    assert_eq!(
        Scale::finest(&Quota::per_second(1_000_000_000).burst(u64::MAX)).unwrap_err().largest(),
        Some(MAX_BURST)
    );
}

/// A change keeps the scale if its units are from a quarter of a nanosecond to a whole one, both included, and the burst fits.
///
/// Kills: `<` for `<=` at either end, and a burst that is one too large or too small.
#[test]
fn a_scale_is_kept_to_its_very_ends() {
    let quota = |burst| Quota::per(1, Duration::from_nanos(1 << 20)).burst(burst);
    let per_nano = |shift| Scale::with_shift(&quota(1), shift).map(|scale| scale.per_nano);
    assert_eq!((19..24).map(per_nano).collect::<Vec<_>>(), [None, Some(1 << 61), Some(1 << 62), Some(1 << 63), None]);
    // 36 years of a unit a nanosecond, and one more; and two bursts.
    assert_eq!(units_in(LIFETIME, 1 << 61), LIFETIME + 1);
    let largest = (INSTANT - LIFETIME - 1) >> 21;
    assert!(Scale::with_shift(&quota(largest), 20).is_some() && Scale::with_shift(&quota(largest + 1), 20).is_none());
    assert_eq!(Scale::with_shift(&Quota::per(0, Duration::ZERO), 0), None);
}

/// Kills: another rate of it, at which there would be no time.
#[test]
#[cfg(feature = "per-key")]
fn a_bucket_of_nothing_holds_nothing() {
    let params = Params::fresh(&Scale::nothing(), NANOSECOND, 5);
    assert_eq!((params.mult, params.capacity(), params.floor(12)), (1 << 61, 0, 7));
    assert_eq!(params.take(0, 12, 1), Take::Impossible);
    assert_eq!((params.available(0, 12), params.charge(0, 12, 9), params.fresh_instant(12)), (0, (0, None), 7));
}

/// At the slowest unit on the shortest tick the reciprocal does not fit: the wait is found by division.
///
/// Kills: the wait by a reciprocal that is not there, and the most permits there can be taken for too many.
#[test]
fn waits_at_the_ends_of_the_numbers() {
    let slowest = Scale { shift: 0, per_nano: 1 << 60, burst: 1 };
    let params = Params::fresh(&slowest, TickLength::new(1 << 61, u64::MAX).unwrap(), 0);
    assert_eq!((params.mult, params.recip), (1 << 57, 0));
    assert_eq!([1, 2, 1_000].map(|units| params.ticks_for(units)), [16, 32, 16_000]);
    assert_eq!(params.ticks_for_permits(INSTANT), u64::MAX);
    let params = Params::fresh(&slowest, NANOSECOND, 0);
    assert_eq!(params.ticks_for_permits(INSTANT), 2 * INSTANT);
    assert_eq!(params.ticks_for_permits(INSTANT + 1), u64::MAX);
}

/// Numbers go on, or begin, at the highest place with half a lifetime above it, and not above that.
///
/// Kills: either comparison with that place moved by one.
#[test]
fn numbers_have_room_to_their_very_end() {
    let scale = Scale { shift: 3, per_nano: 1 << 61, burst: 80 };
    let room = INSTANT - 2 * scale.burst - units_in(SECOND_LIFE, scale.per_nano);
    let begins =
        |offset, next: &Scale| Params::new(&scale, NANOSECOND, 0, offset).follow(next, NANOSECOND, 0, 7).offset;
    assert_eq!(begins(room, &scale), room);
    assert_eq!(begins(room + 1, &scale), place(7, room));
    let (other, high) = (Scale { shift: 4, ..scale }, 2 * scale.burst);
    assert_eq!(begins(room - 1 - high, &other), room);
    assert_eq!(begins(room - high, &other), place(7, room));
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
