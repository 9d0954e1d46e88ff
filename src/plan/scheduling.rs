//! Scheduling policy, I/O priority, memory policy and CPU lists of a process, as the kernel wants them.

use crate::bundle::config;
use crate::bundle::validate::{POLICIES, SCHEDULER_FLAGS};
use crate::error::{Context, Error, Result};
use crate::sys::process::SchedAttr;
use std::ffi::c_ulong;

/// sched_setattr(2) from `process.scheduler`.
///
/// # Errors
/// For unknown names.
pub fn scheduler(scheduler: &config::Scheduler) -> Result<SchedAttr> {
    let policy = value(&POLICIES, &scheduler.policy).context(|| "process.scheduler.policy")?;
    let flags = scheduler.flags.iter().try_fold(0, |flags, name| {
        Ok::<_, Error>(flags | value(&SCHEDULER_FLAGS, name).context(|| "process.scheduler.flags")?)
    })?;
    Ok(SchedAttr {
        size: 0,
        policy,
        flags,
        nice: scheduler.nice,
        priority: scheduler.priority as u32,
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
    })
}

fn value<T: Copy>(table: &[(&str, T)], name: &str) -> Result<T> {
    let found = table.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| *value).ok_or_else(|| Error::new(format!("{name:?} is unknown")))
}

/// ioprio_set(2) from `process.ioPriority`.
///
/// # Errors
/// For an unknown class.
pub fn io_priority(priority: &config::IoPriority) -> Result<u16> {
    let class = match priority.class.as_str() {
        "IOPRIO_CLASS_RT" => 1,
        "IOPRIO_CLASS_BE" => 2,
        "IOPRIO_CLASS_IDLE" => 3,
        other => {
            return Err(
                Error::new(format!("{other:?} is no class of I/O priority")).context("process.ioPriority.class")
            );
        }
    };
    Ok(class << 13 | (priority.priority as u16 & 0x1fff))
}

/// set_mempolicy(2) from `linux.memoryPolicy`: mode with flags, and the mask of nodes.
///
/// # Errors
/// For unknown names or a malformed list.
pub fn memory_policy(policy: &config::MemoryPolicy) -> Result<(u32, Vec<c_ulong>)> {
    let mut mode: u32 = match policy.mode.as_str() {
        "MPOL_DEFAULT" => 0,
        "MPOL_PREFERRED" => 1,
        "MPOL_BIND" => 2,
        "MPOL_INTERLEAVE" => 3,
        "MPOL_LOCAL" => 4,
        "MPOL_PREFERRED_MANY" => 5,
        "MPOL_WEIGHTED_INTERLEAVE" => 6,
        other => return Err(Error::new(format!("{other:?} is no memory policy")).context("linux.memoryPolicy.mode")),
    };
    for flag in &policy.flags {
        mode |= match flag.as_str() {
            "MPOL_F_STATIC_NODES" => 1 << 15,
            "MPOL_F_RELATIVE_NODES" => 1 << 14,
            "MPOL_F_NUMA_BALANCING" => 1 << 13,
            other => {
                let error = Error::new(format!("{other:?} is no flag of a memory policy"));
                return Err(error.context("linux.memoryPolicy.flags"));
            }
        };
    }
    let nodes = if policy.nodes.is_empty() { Vec::new() } else { mask(&policy.nodes)? };
    Ok((mode, nodes))
}

/// The bit mask of a list like `0-3,7`, cpuset(7) "List format".
///
/// # Errors
/// When the list is malformed or names a number above 65535.
pub fn mask(list: &str) -> Result<Vec<c_ulong>> {
    const MAX: usize = 1 << 16;
    let mut mask = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|number| *number < MAX);
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Err(Error::new(format!("{list:?} is no list such as 0-3,7")));
        };
        if first > last {
            return Err(Error::new(format!("{part:?} ends before it begins"))).context(|| format!("list {list:?}"));
        }
        let bits = c_ulong::BITS as usize;
        if mask.len() <= last / bits {
            mask.resize(last / bits + 1, 0);
        }
        for number in first..=last {
            mask[number / bits] |= 1 << (number % bits);
        }
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_masks() {
        assert_eq!(mask("0-3,7\n").unwrap(), [0b1000_1111]);
        assert_eq!(mask("64").unwrap(), [0, 1]);
        for bad in ["", "a", "1-", "3-1", "-1", "65536", "1,,2"] {
            assert!(mask(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn io_priority_has_its_class_in_the_upper_bits() {
        let priority = config::IoPriority { class: "IOPRIO_CLASS_BE".into(), priority: 4 };
        assert_eq!(io_priority(&priority).unwrap(), 0x4004);
    }
}
