//! The integers against wide arithmetic that cannot round.

use proptest::prelude::*;

use super::*;

const LAWS: [Law; 3] = [Law::Fixed, Law::Interpolated, Law::Strict];

fn nanos(window: u64) -> Duration {
    Duration::from_nanos(window)
}

/// Numbers of so many bits, as many from each power of two.
fn bits(range: core::ops::Range<u32>) -> impl Strategy<Value = u64> {
    (range, any::<u64>()).prop_map(|(bit, low)| (1 << bit) | (low & ((1 << bit) - 1)))
}

/// In nanoseconds: of every magnitude, beside the powers of two, and round ones.
fn windows() -> impl Strategy<Value = u64> {
    let (shortest, longest) = (SHORTEST as u64, LONGEST as u64);
    prop_oneof![
        3 => bits(9..59),
        2 => (10_u32..=58, -2_i64..3).prop_map(|(bit, by)| (1_u64 << bit).saturating_add_signed(by)),
        1 => prop::sample::select(vec![shortest, longest, longest - 1, 1_000_003, 1_000_000, 1_000_000_000]),
    ]
    .prop_map(move |window| window.clamp(shortest, longest))
}

/// The largest limit, and one that is a part of it.
fn limits(law: Law, window: u64, share: u64) -> (u64, u64) {
    let largest = Params::new(law, u64::MAX, nanos(window)).unwrap_err().largest().unwrap();
    (largest, (largest >> (share % 64)).max(1))
}

/// Readings of every magnitude; and beside the edges of sixteenths, late ones above all.
fn readings(window: u64) -> impl Strategy<Value = u64> {
    let parts = 16 * (1_u128 << 63) / u128::from(window);
    let beside = move |part: u128, by: i64| {
        let edge = (part * u128::from(window)).div_ceil(16);
        u64::try_from(edge).unwrap_or(u64::MAX).saturating_add_signed(by)
    };
    prop_oneof![
        1 => bits(0..64),
        2 => (0..parts, -2_i64..3).prop_map(move |(part, by)| beside(part, by)),
        2 => (0..parts / 16, -2_i64..3).prop_map(move |(index, by)| beside(16 * index, by)),
        1 => (0..parts.min(2_000), -2_i64..3).prop_map(move |(back, by)| beside(parts - back, by)),
        1 => prop::sample::select(vec![0, 1, (1 << 63) - 1, 1 << 63, u64::MAX]),
    ]
}

/// The number of the sixteenth of a stamp, counted from time zero.
fn part(params: &Params, stamp: u64) -> u128 {
    u128::from((stamp - params.span) >> (params.span.trailing_zeros() - 4))
}

/// A state that a counter can be in, at a reading.
#[derive(Clone, Copy, Debug)]
struct State {
    law: Law,
    params: Params,
    view: View,
}

/// The last grant at a reading of its own; the window before it empty or not, or its own closing begun.
fn states() -> impl Strategy<Value = State> {
    let law = prop::sample::select(LAWS.to_vec());
    let times = windows().prop_flat_map(|window| (Just(window), readings(window), near(window), near(window)));
    (law, times, any::<[u64; 4]>(), 0_u8..5).prop_map(|(law, (window, granted, before, after), random, closed)| {
        let (largest, smaller) = limits(law, window, random[0]);
        let limit = if random[1] % 4 == 0 { largest } else { smaller };
        let params = Params::new(law, limit, nanos(window)).unwrap();
        let word = |nanos, random: u64| {
            let count = [0, limit, random % limit, random % limit.min(8)][random as usize % 4];
            params.mark(params.stamp(nanos)) | count
        };
        let now = word(granted, random[2]);
        let closed = match closed {
            _ if !law.slides() => 0,
            0 => 0,
            1 => now,
            // Of a window before, most often the last one.
            _ => {
                let closed = word(granted.min(params.last).saturating_sub(before.unsigned_abs()), random[3]);
                if params.same_window(now, closed) { 0 } else { closed }
            }
        };
        let (now, closed) = if granted == 0 { (0, 0) } else { (now, closed) };
        let nanos = granted.saturating_add_signed(after);
        State { law, params, view: View { now, closed, nanos, stamp: params.stamp(nanos) } }
    })
}

/// A way from one reading to another: within a window or two as a rule.
fn near(window: u64) -> impl Strategy<Value = i64> {
    let window = window as i64;
    prop_oneof![
        6 => -2 * window..2 * window,
        2 => (-40_i64..40, -2_i64..3).prop_map(move |(parts, by)| window / 16 * parts + by),
        1 => bits(0..62).prop_map(|by| by as i64),
        1 => bits(0..62).prop_map(|by| -(by as i64)),
    ]
}

impl State {
    fn at(&self, nanos: u64) -> View {
        View { nanos, stamp: self.params.stamp(nanos), ..self.view }
    }

    fn takes(&self, nanos: u64, n: u64) -> bool {
        self.params.take(self.law, &self.at(nanos), n).is_some()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40_000) })]

    /// The window of a stamp is exact; its sixteenth too, but that it comes a nanosecond early late in the life of a
    /// window that is no multiple of 16 ns.
    ///
    /// Kills `the reciprocal is rounded down`.
    #[test]
    fn a_stamp_is_a_division((window, reading) in windows().prop_flat_map(|window| (Just(window), readings(window)))) {
        let params = Params::new(Law::Strict, 1, nanos(window)).unwrap();
        let stamp = params.stamp(reading);
        let time = u128::from(reading.min(params.last));
        let exact = |time: u128| 16 * time / u128::from(window);
        prop_assert_eq!(part(&params, stamp) / 16, time / u128::from(window), "the window of {}", time);
        if part(&params, stamp) != exact(time) {
            prop_assert!(time > 1 << 59 && window % 16 > 0, "sixteenth {} at {}", part(&params, stamp), time);
            prop_assert_eq!(part(&params, stamp), exact(time + 1));
        }
        // And back again.
        let start = params.window_of(stamp);
        prop_assert_eq!(u128::from(params.begin(start)), time / u128::from(window) * u128::from(window));
        let first = params.first_of(params.mark(stamp));
        prop_assert!(first <= reading && params.mark(params.stamp(first)) == params.mark(stamp));
        prop_assert!(first == 0 || params.mark(params.stamp(first - 1)) < params.mark(stamp));
    }

    #[test]
    fn stamps_do_not_go_back(
        (window, one) in windows().prop_flat_map(|window| (Just(window), readings(window))),
        other in prop_oneof![any::<u64>(), 0_u64..3],
    ) {
        let params = Params::new(Law::Fixed, 1, nanos(window)).unwrap();
        let later = one.saturating_add(other);
        prop_assert!(params.stamp(one) <= params.stamp(later));
        prop_assert!(params.stamp(later).checked_add(2 * params.span).is_some());
    }

    /// A denied number is there from `due` on and not a nanosecond before, whatever the words are; or never.
    ///
    /// Kills `due a nanosecond late`, and `first_of rounds down`.
    #[test]
    fn due_is_the_first_nanosecond(state in states(), share in any::<u64>()) {
        let (limit, reading) = (state.params.limit(), state.view.nanos);
        for n in [1, limit, share % limit + 1, (share >> 32) % limit.min(8) + 1] {
            if state.takes(reading, n) {
                continue;
            }
            let due = state.params.due(state.law, &state.view, n);
            if due == u64::MAX {
                prop_assert!(!state.takes(state.params.last, n) && !state.takes(u64::MAX, n));
            } else {
                prop_assert!(due > reading && due <= state.params.last);
                prop_assert!(!state.takes(due - 1, n), "{} at {}, before it is due", n, due - 1);
                prop_assert!(state.takes(due, n), "{} at {}, when it is due", n, due);
            }
        }
    }

    /// What is found without a look at the weight of the previous window is what may be taken, and nothing that weighs nothing or
    /// all is missed.
    ///
    /// Kills: every condition of the usual case.
    #[test]
    fn the_usual_case_is_a_case(state in states(), n in 1..9_u64) {
        let State { law, params, view } = state;
        let most = params.most(law, &view);
        let whole = params.count(view.now) + n.min(params.limit());
        if whole <= most {
            prop_assert_eq!(params.take(law, &view, n.min(params.limit())), Some(view.now + n.min(params.limit())));
        }
        let window = |word: u64| word / params.span;
        let is_open = window(view.stamp) == window(view.now) && params.mark(view.stamp) == params.mark(view.now);
        let is_closing = law.slides() && window(view.closed) == window(view.now);
        let follows = law.slides() && window(view.closed) + 1 == window(view.now);
        let previous = if follows { view.closed } else { 0 };
        let gone = law == Law::Strict && params.mark(view.now) > params.mark(previous) + params.span;
        let exact = if gone { params.limit() } else { params.limit() - params.count(previous) };
        prop_assert_eq!(most, if is_open && !is_closing { exact } else { 0 });
    }

    /// What is told to be there can be taken, and no more; what is taken is counted at the time of the call, and can be
    /// given back.
    #[test]
    fn what_is_available_can_be_taken(state in states(), back in any::<u64>()) {
        let State { law, params, view } = state;
        let available = params.available(law, &view);
        prop_assert!(available <= params.limit());
        prop_assert!(available == params.limit() || params.take(law, &view, available + 1).is_none());
        if available == 0 {
            return Ok(());
        }
        let next = params.take(law, &view, available);
        prop_assert!(next.is_some());
        let now = next.unwrap();
        prop_assert!(now > view.now && params.mark(now) >= params.mark(view.now).max(params.mark(view.stamp)));
        prop_assert!(params.count(now) <= params.limit());
        // The window that was open is closed by this one, if it is another one.
        let closes = law.slides() && !params.same_window(view.now, now);
        let closed = if closes { view.now.max(view.closed) } else { view.closed };
        let taken = View { now, closed, ..view };
        prop_assert_eq!(params.available(law, &taken), 0);
        let returned = back % available + 1;
        let now = params.give_back(law, &taken, returned);
        prop_assert!(now.is_some());
        prop_assert_eq!(params.available(law, &View { now: now.unwrap(), ..taken }), returned);
    }
}

/// At the edges of the numbers nothing overflows: the largest limit, the shortest and the longest window, and every
/// reading, with each word full.
#[test]
fn the_edges_of_the_numbers_do_not_overflow() {
    let longest = LONGEST as u64;
    for window in [1_000, 1_023, 1_024, 1_025, 1_000_003, 1 << 58, (1 << 58) - 1, (1 << 58) + 1, longest - 1, longest] {
        for law in LAWS {
            let (limit, _) = limits(law, window, 0);
            let params = Params::new(law, limit, nanos(window)).unwrap();
            assert!(params.last > 255 * 31_557_600 * 1_000_000_000);
            let times = [0, 1, window - 1, window, 1 << 59, 1 << 62, params.last - 1, params.last, 1 << 63, u64::MAX];
            for granted in times {
                let word = params.mark(params.stamp(granted)) | limit;
                let before = params.mark(params.stamp(granted.min(params.last).saturating_sub(window))) | limit;
                let before = if params.same_window(word, before) { 0 } else { before };
                for closed in if law.slides() { vec![0, before, word] } else { vec![0] } {
                    for nanos in times {
                        let view = View { now: word, closed, nanos, stamp: params.stamp(nanos) };
                        for n in [1, limit] {
                            let taken = params.take(law, &view, n);
                            assert!(taken.is_none() || params.count(taken.unwrap()) <= limit);
                            assert!(taken.is_some() || params.due(law, &view, n) > nanos.min(params.last));
                        }
                        assert!(params.available(law, &view) <= limit);
                        let _ = (params.give_back(law, &view, u64::MAX), params.is_behind(word, closed));
                    }
                }
            }
        }
    }
}

/// The words in front of each other by window, by part, and by the bit of who waits.
///
/// Kills: each of the comparisons of two words that the protocol uses, and the mask of WAIT.
#[test]
fn words_are_compared_by_their_bits() {
    const WINDOW: u64 = 1_024;
    for law in LAWS {
        let params = Params::new(law, 9, nanos(WINDOW)).unwrap();
        assert_eq!(params.is_strict(), law == Law::Strict);
        assert_eq!((params.limit(), params.window()), (9, nanos(WINDOW)));
        // Of windows 3 and 4; the parts are 64 ns, under the strict law alone.
        let word = |nanos, count| params.mark(params.stamp(nanos)) | count;
        let (early, late) = (word(2 * WINDOW, 9), word(3 * WINDOW - 1, 1));
        let next = word(3 * WINDOW, 0);
        assert!(params.same_window(early, late) && !params.same_window(late, next));
        assert_eq!(params.same_mark(early, late), law != Law::Strict);
        assert!(params.same_mark(early, word(2 * WINDOW, 0)) && !params.same_mark(late, next));
        assert!(params.is_behind(late, next) && !params.is_behind(next, late));
        assert!(!params.is_behind(early, late) && !params.is_behind(late, early) && !params.is_behind(0, 0));
        assert!(params.is_behind(0, params.span));
        assert!(!params.is_behind(early, early | (params.span - 1)));

        // Nothing goes back to where nothing was granted, nor is it nothing that goes.
        let at = |now| View { now, closed: 0, nanos: 3 * WINDOW, stamp: params.stamp(3 * WINDOW) };
        assert_eq!(params.give_back(law, &at(next), 3), None);
        assert_eq!(params.give_back(law, &at(next | 2), 0), None);
        assert_eq!(params.give_back(law, &at(next | 2), 3), Some(next));

        let wait = params.wait_bit();
        assert!(wait.is_power_of_two() && wait <= params.low && 2 * wait > params.low);
        assert!(params.count(early | wait) > params.limit() && params.same_mark(early, early | wait));
        let view = View { now: early | wait, closed: 5, nanos: 6, stamp: params.stamp(6) };
        let level = params.level(&view);
        assert_eq!((level.now, level.closed, level.nanos, level.stamp), (early, 5, 6, params.stamp(6)));
        assert_eq!(params.level(&level).now, early);
        assert_eq!(params.take(law, &View { nanos: 2 * WINDOW, stamp: params.stamp(2 * WINDOW), ..view }, 1), None);
    }
}

/// At its ends a window is what it is said to be, and so are the shortest and the longest of them.
///
/// Kills: either end of the check moved by one, and each of the constants.
#[test]
fn the_ends_of_the_windows() {
    let field = |limit, window| Params::new(Law::Fixed, limit, window).map(|_| ()).map_err(|error| error.field());
    let longest = Duration::from_secs(3_660 * 86_400);
    assert_eq!(field(1, nanos(1_000)), Ok(()));
    assert_eq!(field(1, nanos(999)), Err("window"));
    assert_eq!(field(1, longest), Ok(()));
    assert_eq!(field(1, longest + nanos(1)), Err("window"));
    assert_eq!(field(0, longest), Err("limit"));
}

/// A window that is full says when the next one begins, if that is before the end of time; a line, as many windows later as it
/// has whole limits in it.
///
/// Kills: each step of the estimate, and an edge at the last nanosecond that is taken for never.
#[test]
fn a_line_waits_for_whole_windows() {
    let params = Params::new(Law::Fixed, 10, nanos(1_000)).unwrap();
    let view = |params: &Params, granted, count, nanos| View {
        now: params.mark(params.stamp(granted)) | count,
        closed: 0,
        nanos,
        stamp: params.stamp(nanos),
    };
    let line = |permits| params.wait_in_line(Law::Fixed, &view(&params, 5_000, 7, 5_300), permits);
    // Three are there, ten come at 6,000, and ten at 7,000.
    assert_eq!([0, 1, 3].map(line), [0; 3]);
    assert_eq!([4, 10, 11, 13].map(line), [700; 4]);
    assert_eq!([14, 20, 21, 23].map(line), [1_700; 4]);
    assert_eq!([24, 103].map(line), [2_700, 9_700]);
    assert_eq!(line(u64::MAX), u64::MAX);
    // Under a clock that has stepped back what is there is there at once.
    assert_eq!(params.wait_in_line(Law::Fixed, &view(&params, 5_000, 7, 3_000), 3), 0);

    let params = Params::new(Law::Fixed, 10, nanos(1_024)).unwrap();
    let before = view(&params, params.last - 1_024, 10, params.last - 1_000);
    assert_eq!(params.due(Law::Fixed, &before, 1), params.last);
    assert_eq!(params.wait_in_line(Law::Fixed, &before, 1), 1_000);
    assert!(
        params.take(Law::Fixed, &View { nanos: params.last, stamp: params.stamp(params.last), ..before }, 1).is_some()
    );
    let after = view(&params, params.last, 10, params.last);
    assert_eq!(params.due(Law::Fixed, &after, 1), u64::MAX);
    assert_eq!(params.wait_in_line(Law::Fixed, &after, 1), u64::MAX);
}

/// The limits that the documentation names, and what is refused.
#[test]
fn a_limit_leaves_a_bit_free() {
    for (window, slack, strict) in
        [(1_000, 511, 31), (1_000_000, 524_287, 32_767), (1_000_000_000, 536_870_911, 33_554_431)]
    {
        for (law, most) in [(Law::Fixed, slack), (Law::Interpolated, slack), (Law::Strict, strict)] {
            let params = Params::new(law, most, nanos(window)).unwrap();
            assert!(params.low > 2 * most, "WAIT lies above every count");
            assert_eq!(Params::new(law, most + 1, nanos(window)).unwrap_err().largest(), Some(most));
        }
    }
}
