//! A quota, and a time in the settings of a limiter, as their text: in every format, one for machines too.

use core::fmt::{self, Display};
use core::marker::PhantomData;
use core::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::Quota;
use super::text::Period;

/// As its [text](#impl-Display-for-Quota).
impl Serialize for Quota {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From its [text](#impl-FromStr-for-Quota).
impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a quota as text, for instance \"100/s burst 200\"", PhantomData))
    }
}

/// Reads a text; says what it is when there is none.
struct Text<T>(&'static str, PhantomData<T>);

impl<T: FromStr<Err: Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a time as text, for instance \"10s\"", PhantomData))
    }
}

/// A `Duration` as the period of a quota is written, for `#[serde(with)]`.
pub(crate) mod period {
    use core::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::quota::text::Period;

    pub(crate) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        Period(*time).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Period::deserialize(deserializer).map(|Period(time)| time)
    }
}

/// The same where there may be none.
pub(crate) mod optional_period {
    use core::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::quota::text::Period;

    pub(crate) fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Period).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Option::deserialize(deserializer).map(|time| time.map(|Period(time)| time))
    }
}
