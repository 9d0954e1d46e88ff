//! What systemd is told of a container's limits, so that it keeps them when it writes its own; org.freedesktop.systemd1(5).
//!
//! The values come from the settings that are written to the files anyway: one conversion for all drivers.

use super::super::dbus::{self, Value};
use super::super::devices::Policy;
use super::super::{Setting, Version};
use crate::error::{Context, Error, Result};
use std::collections::BTreeMap;

/// Annotations whose rest is the name of a property.
const ANNOTATION: &str = "org.systemd.property.";
/// systemd's word for "no limit".
const INFINITY: u64 = u64::MAX;
/// Processor numbers beyond this are left to the file.
const MAX_CPU: usize = 8192;

/// Properties with their names, in order.
pub(super) type Properties = Vec<(String, Value)>;

fn property(name: &str, value: Value) -> (String, Value) {
    (name.to_owned(), value)
}

/// The properties as the argument of a method, `a(sv)`.
pub(super) fn argument(properties: &Properties) -> Value {
    let pairs = properties.iter().map(|(name, value)| Value::property(name, value.clone()));
    Value::Array("(sv)".into(), pairs.collect())
}

/// The annotations' properties; `…Sec` in seconds is `…USec`.
///
/// # Errors
/// Names the annotation whose name or value is malformed.
pub(super) fn annotated(annotations: &BTreeMap<String, String>) -> Result<Properties> {
    let ours = annotations.iter().filter_map(|(key, text)| Some((key.strip_prefix(ANNOTATION)?, text)));
    ours.map(|(name, text)| one_annotated(name, text).context(|| format!("annotations[{ANNOTATION}{name}]"))).collect()
}

fn one_annotated(name: &str, text: &str) -> Result<(String, Value)> {
    if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(Error::new(format!("{name:?} is no name of a property")).hint("Use at least three Latin letters."));
    }
    let value = dbus::parse(text)?;
    // "TimeoutStopSec", but not "USec" or "Sec" alone.
    match name.strip_suffix("Sec").filter(|stem| stem.ends_with(|last: char| last.is_ascii_lowercase())) {
        Some(stem) => Ok((format!("{stem}USec"), micros(&value)?)),
        None => Ok((name.to_owned(), value)),
    }
}

fn micros(seconds: &Value) -> Result<Value> {
    let whole = match seconds {
        Value::Byte(number) => Some(u64::from(*number)),
        Value::Int16(number) => u64::try_from(*number).ok(),
        Value::Uint16(number) => Some(u64::from(*number)),
        Value::Int32(number) => u64::try_from(*number).ok(),
        Value::Uint32(number) => Some(u64::from(*number)),
        Value::Int64(number) => u64::try_from(*number).ok(),
        Value::Uint64(number) => Some(*number),
        // Below 2^63: exact enough for a time and within u64.
        Value::Double(number) if (0.0..9.0e12).contains(number) => return Ok(Value::Uint64((number * 1e6) as u64)),
        _ => None,
    };
    let micros = whole.and_then(|seconds| seconds.checked_mul(1_000_000));
    micros.map(Value::Uint64).ok_or_else(|| Error::new("the value is no number of seconds"))
}

/// `DevicePolicy=` and `DeviceAllow=`; the empty list before resets what systemd has.
pub(super) fn devices(policy: &Policy) -> Properties {
    let pair = |(node, access): &(String, String)| Value::Struct(vec![Value::str(node), Value::str(access)]);
    let list = |values| Value::Array("(ss)".into(), values);
    let mut properties =
        vec![property("DevicePolicy", Value::str(policy.policy)), property("DeviceAllow", list(Vec::new()))];
    if !policy.allow.is_empty() {
        properties.push(property("DeviceAllow", list(policy.allow.iter().map(pair).collect())));
    }
    properties
}

/// Those of the settings that systemd has a property for.
pub(super) fn limits(settings: &[Setting]) -> Properties {
    let mut properties = Properties::new();
    let mut v1_quota = (None, None);
    for setting in settings {
        let value = setting.value.as_str();
        match (setting.version, setting.file.as_str()) {
            (Version::V1, "cpu.cfs_quota_us") => v1_quota.0 = number(value),
            (Version::V1, "cpu.cfs_period_us") => v1_quota.1 = number(value),
            (version, file) => properties.extend(limit(version, file, value)),
        }
        if let (Version::V2, "io.bfq.weight", Some((_, weight))) = (setting.version, &*setting.file, &setting.otherwise)
        {
            properties.extend(io_weight(weight));
        }
    }
    if v1_quota != (None, None) {
        properties.extend(quota(v1_quota.0.unwrap_or(INFINITY), v1_quota.1.unwrap_or(100_000)));
    }
    merge(properties)
}

fn limit(version: Version, file: &str, value: &str) -> Properties {
    let name = match (version, file) {
        (Version::V2, "memory.max") => "MemoryMax",
        (Version::V2, "memory.high") => "MemoryHigh",
        (Version::V2, "memory.low") => "MemoryLow",
        (Version::V2, "memory.min") => "MemoryMin",
        (Version::V2, "memory.swap.max") => "MemorySwapMax",
        (Version::V2, "cpu.weight") => "CPUWeight",
        (Version::V1, "memory.limit_in_bytes") => "MemoryLimit",
        (Version::V1, "cpu.shares") => "CPUShares",
        (Version::V1, "blkio.weight") => "BlockIOWeight",
        (_, "pids.max") => "TasksMax",
        (Version::V2, "cpu.max") => {
            let mut words = value.split_whitespace();
            let limit = words.next().and_then(number);
            let period = words.next().map_or(Some(100_000), number);
            return limit.zip(period).map(|(limit, period)| quota(limit, period)).unwrap_or_default();
        }
        (Version::V2, "cpuset.cpus") => return bits("AllowedCPUs", value),
        (Version::V2, "cpuset.mems") => return bits("AllowedMemoryNodes", value),
        (Version::V2, "io.weight") => return io_weight(value),
        (Version::V2, "io.max") => return io_max(value),
        _ => return Vec::new(),
    };
    number(value).map(|number| vec![property(name, Value::Uint64(number))]).unwrap_or_default()
}

/// A number, `max` or −1.
fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" | "-1" => Some(INFINITY),
        text => text.parse().ok(),
    }
}

fn quota(quota: u64, period: u64) -> Properties {
    // systemd counts in percent of a CPU: rounded up, so that the file's exact value fits below.
    let per_second = match u128::from(quota) * 1_000_000 {
        _ if quota == INFINITY || period == 0 => INFINITY,
        micros => {
            let rounded = micros.div_ceil(u128::from(period)).div_ceil(10_000) * 10_000;
            u64::try_from(rounded).unwrap_or(INFINITY)
        }
    };
    vec![
        property("CPUQuotaPerSecUSec", Value::Uint64(per_second)),
        property("CPUQuotaPeriodUSec", Value::Uint64(period)),
    ]
}

/// A list such as `0-3,7` as a bit mask, lowest byte first; nothing for what only the kernel may understand.
fn bits(name: &str, list: &str) -> Properties {
    let mut mask = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>()) else {
            return Vec::new();
        };
        if last >= MAX_CPU {
            return Vec::new();
        }
        for bit in first..=last {
            if mask.len() <= bit / 8 {
                mask.resize(bit / 8 + 1, 0_u8);
            }
            if let Some(byte) = mask.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    vec![property(name, Value::Array("y".into(), mask.into_iter().map(Value::Byte).collect()))]
}

fn device(name: &str, numbers: &str, value: u64) -> (String, Value) {
    let pair = Value::Struct(vec![Value::str(format!("/dev/block/{numbers}")), Value::Uint64(value)]);
    property(name, Value::Array("(st)".into(), vec![pair]))
}

/// `100`, `default 100` or `8:0 100`.
fn io_weight(value: &str) -> Properties {
    let weight = match value.trim().split_once(' ') {
        None => number(value).map(|weight| property("IOWeight", Value::Uint64(weight))),
        Some(("default", weight)) => number(weight).map(|weight| property("IOWeight", Value::Uint64(weight))),
        Some((numbers, weight)) => number(weight).map(|weight| device("IODeviceWeight", numbers, weight)),
    };
    weight.into_iter().collect()
}

/// `8:0 rbps=1 wiops=max`.
fn io_max(value: &str) -> Properties {
    let mut words = value.split_whitespace();
    let numbers = words.next().unwrap_or_default();
    let limit = |word: &str| {
        let (key, value) = word.split_once('=')?;
        let name = match key {
            "rbps" => "IOReadBandwidthMax",
            "wbps" => "IOWriteBandwidthMax",
            "riops" => "IOReadIOPSMax",
            "wiops" => "IOWriteIOPSMax",
            _ => return None,
        };
        Some(device(name, numbers, number(value)?))
    };
    words.filter_map(limit).collect()
}

/// One property for each name: the last value, as for files, but lists of devices together.
fn merge(properties: Properties) -> Properties {
    let mut merged = Properties::new();
    for (name, value) in properties {
        match (merged.iter_mut().find(|(other, _)| *other == name), value) {
            (Some((_, Value::Array(element, values))), Value::Array(_, more)) if element == "(st)" => {
                values.extend(more)
            }
            (Some((_, old)), value) => *old = value,
            (None, value) => merged.push((name, value)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(version: Version, files: &[(&str, &str)]) -> Vec<Setting> {
        let setting = |(file, value): &(&str, &str)| Setting {
            controller: "x".into(),
            version,
            file: (*file).into(),
            value: (*value).into(),
            field: "x".into(),
            otherwise: None,
            optional: false,
        };
        files.iter().map(setting).collect()
    }

    fn v2(files: &[(&str, &str)]) -> Properties {
        limits(&settings(Version::V2, files))
    }

    fn numbers(properties: &[(&str, u64)]) -> Properties {
        properties.iter().map(|(name, number)| property(name, Value::Uint64(*number))).collect()
    }

    #[test]
    fn limits_become_properties() {
        assert_eq!(
            v2(&[("memory.max", "1048576"), ("memory.swap.max", "max"), ("pids.max", "7"), ("cpu.weight", "59")]),
            numbers(&[("MemoryMax", 1_048_576), ("MemorySwapMax", INFINITY), ("TasksMax", 7), ("CPUWeight", 59)])
        );
        let v1 = [("memory.limit_in_bytes", "-1"), ("cpu.shares", "512"), ("cpu.cfs_quota_us", "50000")];
        assert_eq!(
            limits(&settings(Version::V1, &v1)),
            numbers(&[
                ("MemoryLimit", INFINITY),
                ("CPUShares", 512),
                ("CPUQuotaPerSecUSec", 500_000),
                ("CPUQuotaPeriodUSec", 100_000)
            ])
        );
        assert_eq!(v2(&[("hugetlb.2MB.max", "0"), ("cpu.max.burst", "1")]), []);
    }

    #[test]
    fn cpu_quotas_are_rounded_up_to_percents() {
        let quota = |value| v2(&[("cpu.max", value)]).first().unwrap().1.clone();
        assert_eq!(quota("50000 100000"), Value::Uint64(500_000));
        assert_eq!(quota("1001 1000000"), Value::Uint64(10_000));
        assert_eq!(quota("33333 100000"), Value::Uint64(340_000));
        assert_eq!(quota("max 100000"), Value::Uint64(INFINITY));
        assert_eq!(quota("max"), Value::Uint64(INFINITY));
    }

    #[test]
    fn cpu_lists_become_bit_masks() {
        let mask = |bytes: &[u8]| Value::Array("y".into(), bytes.iter().copied().map(Value::Byte).collect());
        assert_eq!(v2(&[("cpuset.cpus", "0-1,9")]), [property("AllowedCPUs", mask(&[3, 2]))]);
        assert_eq!(v2(&[("cpuset.mems", "1")]), [property("AllowedMemoryNodes", mask(&[2]))]);
        assert_eq!(v2(&[("cpuset.cpus", "0-99999999999")]), []);
        assert_eq!(v2(&[("cpuset.cpus", "0-6:2/4")]), []);
    }

    #[test]
    fn io_limits_of_all_devices_are_in_one_list() {
        let pair = |node: &str, value| Value::Struct(vec![Value::str(node), Value::Uint64(value)]);
        let list = |pairs| Value::Array("(st)".into(), pairs);
        assert_eq!(
            v2(&[("io.max", "8:0 rbps=5"), ("io.max", "8:16 rbps=6 wiops=max"), ("io.weight", "8:0 7")]),
            [
                property("IOReadBandwidthMax", list(vec![pair("/dev/block/8:0", 5), pair("/dev/block/8:16", 6)])),
                property("IOWriteIOPSMax", list(vec![pair("/dev/block/8:16", INFINITY)])),
                property("IODeviceWeight", list(vec![pair("/dev/block/8:0", 7)])),
            ]
        );
    }

    #[test]
    fn annotations_become_properties() {
        let annotation = |name: &str, text: &str| {
            annotated(&BTreeMap::from([(format!("{ANNOTATION}{name}"), text.to_owned()), ("other".into(), "x".into())]))
        };
        let one = |name: &str, text: &str| annotation(name, text).unwrap().pop().unwrap();
        assert_eq!(one("CollectMode", "'inactive'"), property("CollectMode", Value::str("inactive")));
        assert_eq!(one("TimeoutStopUSec", "uint64 7"), property("TimeoutStopUSec", Value::Uint64(7)));
        assert_eq!(one("TimeoutStopSec", "2"), property("TimeoutStopUSec", Value::Uint64(2_000_000)));
        assert_eq!(one("TimeoutStopSec", "1.5"), property("TimeoutStopUSec", Value::Uint64(1_500_000)));
        let error = |name: &str, text: &str| annotation(name, text).unwrap_err().to_string();
        assert!(
            error("TimeoutStopSec", "'a'").starts_with("annotations[org.systemd.property.TimeoutStopSec]: the value")
        );
        assert!(error("A-b", "1").contains("no name of a property"));
        assert!(error("Abc", "x").contains("not understood at character 1"));
        assert!(error("AbcSec", "int64 -1").contains("no number of seconds"));
    }
}
