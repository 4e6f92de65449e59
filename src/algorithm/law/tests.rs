//! The laws against figures worked out elsewhere.

use super::{BETA, ChangeReason, Law, Memory, Tuning, Window, plateau};

const TUNING: Tuning = Tuning {
    law: Law::ErrorRate,
    min_rate: 10.0,
    max_rate: 200.0,
    error_threshold: 0.1,
    recovery_factor: 1.1,
    reduction_factor: 0.5,
    min_samples: 10,
    min_utilisation: 0.0,
};

/// As far as a cubic law can go.
const CUBIC: Tuning = Tuning { law: Law::Cubic, min_rate: 1e-3, max_rate: 1e9, ..TUNING };

/// A window of a second, in which so many permits were taken.
fn window(samples: u64, errors: u64, permits: u64) -> Window {
    Window { samples, errors, calls: samples, permits, seconds: 1.0 }
}

fn next(tuning: &Tuning, rate: f64, window: &Window) -> Option<(f64, ChangeReason)> {
    tuning.next(rate, window, &mut Memory::new(100.0))
}

#[test]
fn the_error_rate_law() {
    let errors_of_30 = |errors| next(&TUNING, 100.0, &window(30, errors, 30));
    assert_eq!(errors_of_30(0), Some((100.0 * 1.1, ChangeReason::Recovery)));
    assert_eq!(errors_of_30(3), Some((100.0 * 1.1, ChangeReason::Recovery)), "the threshold itself is no overload");
    assert_eq!(errors_of_30(4), Some((50.0, ChangeReason::Errors)));
    assert_eq!(errors_of_30(30), Some((50.0, ChangeReason::Errors)));
}

#[test]
fn rates_stay_within_their_bounds() {
    let all_fail = window(10, 10, 10);
    assert_eq!(next(&TUNING, 15.0, &all_fail), Some((10.0, ChangeReason::Errors)));
    assert_eq!(next(&TUNING, 10.0, &all_fail), None, "no change is none");
    let none_fails = window(10, 0, 10);
    assert_eq!(next(&TUNING, 190.0, &none_fails), Some((200.0, ChangeReason::Recovery)));
    assert_eq!(next(&TUNING, 200.0, &none_fails), None);
}

#[test]
fn too_few_outcomes_change_nothing() {
    for law in [Law::ErrorRate, Law::Cubic] {
        assert_eq!(next(&Tuning { law, ..TUNING }, 100.0, &window(9, 9, 9)), None);
    }
}

/// Ten samples cannot come in a second at one a second: the window goes on for twice the time that they take.
#[test]
fn a_window_goes_on_for_lack_of_outcomes() {
    let goes_on = |samples, elapsed| TUNING.goes_on(1.0, &window(samples, 0, samples), elapsed);
    assert!(goes_on(9, 10.0) && goes_on(1, 19.9));
    assert!(!goes_on(9, 20.0) && !goes_on(10, 1.0));
    assert!(!goes_on(0, 10.0), "nothing is nothing");
    assert!(!TUNING.goes_on(100.0, &window(9, 0, 9), 1.0), "at a rate that could have brought them");
    assert!(TUNING.goes_on(100.0, &window(9, 0, 180), 1.0), "with 20 permits a call");
}

#[test]
fn the_gate_holds_what_was_not_used() {
    let gated = Tuning { min_utilisation: 0.5, ..TUNING };
    assert_eq!(next(&gated, 100.0, &window(20, 0, 49)), None);
    assert_eq!(next(&gated, 100.0, &window(20, 0, 50)), Some((100.0 * 1.1, ChangeReason::Recovery)));
    assert_eq!(next(&gated, 100.0, &window(20, 20, 20)), Some((50.0, ChangeReason::Errors)), "cuts are not held");
    // Twice the time, twice the permits.
    let long = |permits| Window { seconds: 2.0, ..window(20, 0, permits) };
    assert_eq!(next(&gated, 100.0, &long(99)), None);
    assert_eq!(next(&gated, 100.0, &long(100)), Some((100.0 * 1.1, ChangeReason::Recovery)));
}

/// The seconds until the rate is back, for 1, 10, 100 and 1,000 permits a second.
#[test]
fn the_plateau_of_cubic() {
    for (peak, seconds) in [(1.0, 0.909), (10.0, 1.957), (100.0, 4.217), (1_000.0, 9.086)] {
        assert!((plateau(peak) - seconds).abs() < 1e-3, "{peak}: {}", plateau(peak));
    }
}

/// The curve that the AWS SDKs' retry specification tabulates: `w_max` 10, one success a second.
#[test]
fn cubic_follows_the_published_curve() {
    let mut memory = Memory { peak: 10.0, since_cut: 0.0 };
    let mut rate = BETA * 10.0;
    for expected in [9.648936, 10.000031, 10.453285, 13.408697, 21.266268, 36.425999] {
        let (raised, reason) = CUBIC.next(rate, &window(10, 0, 1_000), &mut memory).expect("it rises");
        assert!((raised - expected).abs() < 1e-6, "{raised}, not {expected}");
        assert_eq!(reason, ChangeReason::Recovery);
        rate = raised;
    }
}

#[test]
fn cubic_cuts_what_was_used() {
    let mut memory = Memory::new(100.0);
    assert_eq!(CUBIC.next(100.0, &window(10, 5, 80), &mut memory), Some((BETA * 80.0, ChangeReason::Errors)));
    assert_eq!(memory, Memory { peak: 80.0, since_cut: 0.0 });
    // More than came: from stock.
    let mut memory = Memory::new(100.0);
    assert_eq!(CUBIC.next(100.0, &window(10, 5, 180), &mut memory), Some((BETA * 100.0, ChangeReason::Errors)));
}

/// What was granted counts by the second; and where nothing was, late outcomes tell nothing of what was sent.
///
/// Kills: permits that are not divided by the window's length, and a measure of 0.
#[test]
fn cubic_measures_by_the_second() {
    let long = Window { seconds: 2.0, ..window(10, 5, 80) };
    assert_eq!(next(&CUBIC, 100.0, &long), Some((BETA * 40.0, ChangeReason::Errors)));
    let late = Window { calls: 0, ..window(10, 5, 0) };
    assert_eq!(next(&CUBIC, 80.0, &late), Some((BETA * 80.0, ChangeReason::Errors)));
}

/// Not above twice what was used.
#[test]
fn cubic_does_not_rise_into_the_unknown() {
    let mut memory = Memory { peak: 10.0, since_cut: 60.0 };
    assert_eq!(CUBIC.next(50.0, &window(10, 0, 40), &mut memory), Some((80.0, ChangeReason::Recovery)));
    assert_eq!(CUBIC.next(100.0, &window(10, 0, 40), &mut memory), Some((80.0, ChangeReason::LowDemand)));
}

/// Time without outcomes is no time of success.
#[test]
fn an_idle_window_does_not_bring_cubic_on() {
    let mut memory = Memory { peak: 100.0, since_cut: 0.0 };
    let idle = Window { seconds: 60.0, ..window(9, 0, 9) };
    assert_eq!(CUBIC.next(70.0, &idle, &mut memory), None);
    assert_eq!(memory, Memory { peak: 100.0, since_cut: 0.0 });
}

/// With no least number of samples, silence is health.
#[test]
fn silence() {
    let quiet = Tuning { min_samples: 0, ..TUNING };
    assert_eq!(next(&quiet, 100.0, &window(0, 0, 0)), Some((100.0 * 1.1, ChangeReason::Recovery)));
}

#[test]
fn a_memory_is_kept_whole() {
    let memory = Memory { peak: 3.0, since_cut: 4.0 };
    assert_eq!(Memory::from_array(memory.to_array()), memory);
}
