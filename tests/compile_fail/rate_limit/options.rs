//! Options that do not exist, have no value or the wrong one, or do not go together.

use sluicegate::{Quota, RateLimitExceeded, TokenBucket, rate_limit};

static LIMITER: TokenBucket = TokenBucket::const_new(Quota::per_second(10));

type Done = Result<(), RateLimitExceeded>;

#[rate_limit]
fn case_0() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, bursts = 20)]
fn case_1() -> Done {
    Ok(())
}

#[rate_limit(rate 10.0)]
fn case_2() -> Done {
    Ok(())
}

#[rate_limit(rate)]
fn case_3() -> Done {
    Ok(())
}

#[rate_limit(rate =)]
fn case_4() -> Done {
    Ok(())
}

#[rate_limit(rate = , burst = 20)]
fn case_5() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0 burst = 20)]
fn case_6() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, rate = 20.0)]
fn case_7() -> Done {
    Ok(())
}

#[rate_limit(rate = "ten")]
fn case_8() -> Done {
    Ok(())
}

#[rate_limit(rate = RATE)]
fn case_9() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0 / 60.0)]
fn case_10() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0f64)]
fn case_11() -> Done {
    Ok(())
}

#[rate_limit(rate = 10u32)]
fn case_12() -> Done {
    Ok(())
}

#[rate_limit(rate = 0)]
fn case_13() -> Done {
    Ok(())
}

#[rate_limit(rate = 0.0)]
fn case_14() -> Done {
    Ok(())
}

#[rate_limit(rate = -1.5)]
fn case_15() -> Done {
    Ok(())
}

#[rate_limit(rate = 1e30)]
fn case_16() -> Done {
    Ok(())
}

#[rate_limit(rate = 0.1234567890123456789012)]
fn case_17() -> Done {
    Ok(())
}

#[rate_limit(rate = 1e-19, per = "day")]
fn case_18() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, burst = 0)]
fn case_19() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, burst = -1)]
fn case_20() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, burst = 20.0)]
fn case_21() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, burst = "20")]
fn case_22() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, burst = 99999999999999999999)]
fn case_23() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, per = "week")]
fn case_24() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, per = minute)]
fn case_25() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, wait = true)]
fn case_26() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, timeout)]
fn case_27() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, timeout = "100")]
fn case_28() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, timeout = "1.5s")]
fn case_29() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, timeout = 100)]
fn case_30() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, timeout = "18446744074s")]
fn case_31() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, wait, timeout = "100ms")]
fn case_32() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, limiter = LIMITER)]
fn case_33() -> Done {
    Ok(())
}

#[rate_limit(limiter = LIMITER, adaptive = LIMITER)]
fn case_34() -> Done {
    Ok(())
}

#[rate_limit(limiter = LIMITER, burst = 20)]
fn case_35() -> Done {
    Ok(())
}

#[rate_limit(limiter = LIMITER, per = "minute")]
fn case_36() -> Done {
    Ok(())
}

#[rate_limit(limiter = "LIMITER")]
fn case_37() -> Done {
    Ok(())
}

#[rate_limit(limiter = LIMITER.0)]
fn case_38() -> Done {
    Ok(())
}

#[rate_limit(rate = 10.0, key = "alice")]
fn case_39() -> Done {
    Ok(())
}

#[rate_limit(adaptive = LIMITER, key = "alice")]
fn case_40() -> Done {
    Ok(())
}

#[rate_limit(wait)]
fn case_41() -> Done {
    Ok(())
}

fn main() {}
