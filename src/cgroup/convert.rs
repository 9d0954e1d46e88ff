//! From the specification's values, which are those of cgroup v1, to cgroup v2's: pure functions.
//!
//! 0 and absence mean "not set", −1 "no limit" (config-linux.md, "Memory"), as engines send them.

use crate::error::{Error, Result};
use std::fmt;

/// A limit as a cgroup v2 file takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `max`
    Max,
    /// A number.
    Of(u64),
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => out.write_str("max"),
            Self::Of(value) => value.fmt(out),
        }
    }
}

/// A value in bytes: `None` for absent or 0.
///
/// # Errors
/// For negative values other than −1.
pub fn bytes(value: Option<i64>) -> Result<Option<Limit>> {
    match value {
        None | Some(0) => Ok(None),
        Some(-1) => Ok(Some(Limit::Max)),
        Some(value) => match u64::try_from(value) {
            Ok(value) => Ok(Some(Limit::Of(value))),
            Err(_) => Err(Error::new(format!("{value} is negative")).hint("Use -1 for no limit")),
        },
    }
}

/// The v2 swap limit, of swap alone, for the specification's `swap`, which is memory and swap together.
///
/// An unlimited memory without a word on swap means unlimited swap too, as on v1.
///
/// # Errors
/// When `swap` is a value and `limit` is none, so that there is no difference, or when `swap` is below `limit`.
pub fn swap(limit: Option<i64>, swap: Option<i64>) -> Result<Option<Limit>> {
    match (bytes(limit)?, bytes(swap)?) {
        (Some(Limit::Max), None) => Ok(Some(Limit::Max)),
        (_, None) => Ok(None),
        (_, Some(Limit::Max)) => Ok(Some(Limit::Max)),
        (Some(Limit::Of(limit)), Some(Limit::Of(swap))) => match swap.checked_sub(limit) {
            Some(difference) => Ok(Some(Limit::Of(difference))),
            None => Err(Error::new(format!("{swap} is below memory.limit ({limit})"))
                .hint("swap limits memory and swap together: it is at least the memory limit")),
        },
        (_, Some(Limit::Of(swap))) => Err(Error::new(format!("{swap} without a memory limit"))
            .hint("swap limits memory and swap together: set memory.limit too")),
    }
}

/// `cpu.weight` (1 to 10000) for `cpu.shares` (2 to 262144): through the ends and 1024 → 100 (config-linux.md, "CPU").
pub fn cpu_weight(shares: u64) -> Option<u64> {
    match shares {
        0 => None,
        1..=2 => Some(1),
        262_144.. => Some(10_000),
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            // The last digit of a floating-point power differs between C libraries: 100.00000000000001 is 100.
            Some((10f64.powf(exponent) - 1e-9).ceil() as u64)
        }
    }
}

/// `io.weight` (1 to 10000) for `blkio.weight` (10 to 1000).
pub fn io_weight(weight: u16) -> Option<u64> {
    (weight != 0).then(|| 1 + (u64::from(weight).saturating_sub(10) * 9_999) / 990)
}

/// The kernel's period of CPU bandwidth control in µs when none is given.
const DEFAULT_PERIOD: u64 = 100_000;

/// `cpu.max`, `QUOTA PERIOD` in µs.
pub fn cpu_max(quota: Option<i64>, period: Option<u64>) -> Option<String> {
    let quota = quota.filter(|quota| *quota != 0);
    let period = period.filter(|period| *period != 0);
    if quota.is_none() && period.is_none() {
        return None;
    }
    let quota = quota.and_then(|quota| u64::try_from(quota).ok()).map_or(Limit::Max, Limit::Of);
    Some(format!("{quota} {}", period.unwrap_or(DEFAULT_PERIOD)))
}

/// `pids.max`: 0 is a limit here (config-linux.md, "PIDs").
pub fn pids(limit: i64) -> Limit {
    u64::try_from(limit).map_or(Limit::Max, Limit::Of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Absent, 0, −1, or a value.
    fn setting() -> impl Strategy<Value = Option<i64>> {
        prop_oneof![
            Just(None),
            Just(Some(0)),
            Just(Some(-1)),
            (1..=i64::MAX).prop_map(Some),
            (1..1000i64).prop_map(Some)
        ]
    }

    #[test]
    fn shares_meet_weights_at_both_ends_and_at_the_default() {
        for (shares, weight) in [(1, 1), (2, 1), (1024, 100), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(cpu_weight(shares), Some(weight), "{shares}");
        }
        assert_eq!(cpu_weight(0), None);
        assert_eq!((cpu_weight(256), cpu_weight(512), cpu_weight(2048)), (Some(35), Some(59), Some(174)));
    }

    #[test]
    fn io_weights_cover_the_whole_range() {
        assert_eq!((io_weight(0), io_weight(10), io_weight(1000)), (None, Some(1), Some(10_000)));
    }

    #[test]
    fn a_period_alone_leaves_the_quota_unlimited() {
        assert_eq!(cpu_max(None, None), None);
        assert_eq!(cpu_max(Some(0), Some(0)), None);
        assert_eq!(cpu_max(Some(-1), None).as_deref(), Some("max 100000"));
        assert_eq!(cpu_max(None, Some(50_000)).as_deref(), Some("max 50000"));
        assert_eq!(cpu_max(Some(5_000), Some(50_000)).as_deref(), Some("5000 50000"));
    }

    proptest! {
        #[test]
        fn weights_are_in_range_and_monotone(shares in 2u64..262_144) {
            let (low, high) = (cpu_weight(shares).unwrap(), cpu_weight(shares + 1).unwrap());
            prop_assert!((1..=10_000).contains(&low));
            prop_assert!(low <= high);
        }

        #[test]
        fn io_weights_are_in_range_and_monotone(weight in 10u16..1000) {
            let (low, high) = (io_weight(weight).unwrap(), io_weight(weight + 1).unwrap());
            prop_assert!((1..=10_000).contains(&low) && low <= high);
        }

        #[test]
        fn swap_is_the_difference_or_says_why_not(limit in setting(), both in setting()) {
            let result = swap(limit, both);
            match (limit.unwrap_or(0), both.unwrap_or(0)) {
                (-1, 0) => prop_assert_eq!(result, Ok(Some(Limit::Max))),
                (_, 0) => prop_assert_eq!(result, Ok(None)),
                (_, -1) => prop_assert_eq!(result, Ok(Some(Limit::Max))),
                (-1 | 0, _) => prop_assert!(result.is_err()),
                (limit, both) if both < limit => prop_assert!(result.is_err()),
                (limit, both) => prop_assert_eq!(result, Ok(Some(Limit::Of((both - limit) as u64)))),
            }
        }

        #[test]
        fn quota_and_period_are_one_value(quota in setting(), period in setting()) {
            let period = period.and_then(|period| u64::try_from(period).ok());
            let value = cpu_max(quota, period);
            let expected_period = period.filter(|period| *period > 0).unwrap_or(100_000);
            match quota.unwrap_or(0) {
                0 if period.unwrap_or(0) == 0 => prop_assert_eq!(value, None),
                0 | -1 => prop_assert_eq!(value, Some(format!("max {expected_period}"))),
                quota => prop_assert_eq!(value, Some(format!("{quota} {expected_period}"))),
            }
        }

        #[test]
        fn a_limit_of_tasks_is_a_number_or_none(limit in setting()) {
            let limit = limit.unwrap_or(0);
            prop_assert_eq!(pids(limit), if limit < 0 { Limit::Max } else { Limit::Of(limit as u64) });
        }

        #[test]
        fn no_negative_number_reaches_a_file(value in any::<i64>()) {
            match bytes(Some(value)) {
                Ok(Some(Limit::Of(bytes))) => prop_assert_eq!(bytes as i64, value),
                Ok(Some(Limit::Max)) => prop_assert_eq!(value, -1),
                Ok(None) => prop_assert_eq!(value, 0),
                Err(_) => prop_assert!(value < -1),
            }
        }
    }
}
