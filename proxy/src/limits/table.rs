//! The table of limits: one line says what a limit is called, what it bounds, its default and between
//! what it may be set.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Limits;

/// What a limit is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Time,
}

/// One limit as an operator sets it.
#[derive(Debug)]
pub struct Limit {
    /// Its name: the field of [`Limits`], those of HTTP/2 with `http2_` before it.
    pub name: &'static str,
    /// What it bounds.
    pub meaning: &'static str,
    /// What its values are counted in.
    pub unit: Unit,
    /// The values that it may be set to.
    pub range: RangeInclusive<u64>,
    pub(super) get: fn(&Limits) -> u64,
    pub(super) set: fn(&mut Limits, u64),
}

impl Limit {
    /// All of them, in the order of [`Limits`].
    pub const ALL: &'static [Self] = super::ALL;

    /// Its value there.
    #[must_use]
    pub fn get(&self, limits: &Limits) -> u64 {
        (self.get)(limits)
    }

    /// Sets its value, which is within [`Self::range`].
    pub fn set(&self, limits: &mut Limits, value: u64) {
        debug_assert!(self.range.contains(&value), "{value} for {}", self.name);
        (self.set)(limits, value);
    }
}

/// A type of a limit's value.
pub(super) trait Value {
    fn of(value: u64) -> Self;
    fn get(self) -> u64;
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Value for $type {
            fn of(value: u64) -> Self {
                Self::try_from(value).unwrap_or(Self::MAX)
            }
            fn get(self) -> u64 {
                u64::try_from(self).unwrap_or(u64::MAX)
            }
        }
    )*};
}

number!(u32 u64 usize);

impl Value for Duration {
    fn of(value: u64) -> Self {
        Self::from_millis(value)
    }
    fn get(self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }
}

pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * KIB;
/// Milliseconds.
pub(super) const SECOND: u64 = 1_000;
pub(super) const HOUR: u64 = 3_600 * SECOND;

/// Makes [`Limits`], its defaults and [`Limit::ALL`] of the lines of `own`, and of those of `http2`, whose
/// types and defaults are the codec's.
macro_rules! table {
    (@unit count) => { Unit::Count };
    (@unit bytes) => { Unit::Bytes };
    (@unit time) => { Unit::Time };
    (
        own { $($(#[doc = $doc:literal])* $name:ident: $type:ty = $default:expr, $unit:ident $range:expr;)* }
        http2 { $($(#[doc = $its_doc:literal])* $of_http2:ident: $its_unit:ident $its_range:expr;)* }
    ) => {
        /// Bounds on what connections may use. Counts are for the whole proxy unless said otherwise; each
        /// worker enforces its share.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $doc])* pub $name: $type,)*
            /// Bounds on what the peer of one HTTP/2 connection may do, clients and endpoints alike. Bytes
            /// and fields of a head are bounded as in HTTP/1.1.
            pub http2: codec::h2::Limits,
        }

        impl Default for Limits {
            fn default() -> Self {
                Self {
                    $($name: table::Value::of($default),)*
                    http2: codec::h2::Limits::default(),
                }
            }
        }

        const ALL: &[Limit] = &[
            $(Limit {
                name: stringify!($name),
                meaning: concat!($($doc),*),
                unit: table!(@unit $unit),
                range: $range,
                get: |limits| table::Value::get(limits.$name),
                set: |limits, value| limits.$name = table::Value::of(value),
            },)*
            $(Limit {
                name: concat!("http2_", stringify!($of_http2)),
                meaning: concat!($($its_doc),*),
                unit: table!(@unit $its_unit),
                range: $its_range,
                get: |limits| table::Value::get(limits.http2.$of_http2),
                set: |limits, value| limits.http2.$of_http2 = table::Value::of(value),
            },)*
        ];
    };
}

pub(super) use table;
