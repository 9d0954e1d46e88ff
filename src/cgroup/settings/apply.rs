//! Writing the settings, and explaining in terms of the configuration why one is refused.

use super::{Setting, Version};
use crate::cgroup::tree;
use crate::error::{Error, Result};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Writes the settings in order.
///
/// Some values exclude each other until both are written (memory and swap, quota and period and burst): what the
/// kernel refuses is tried a second time after the rest, which is right for rising and for falling limits.
///
/// # Errors
/// Names field, controller, file and value.
pub fn apply(settings: &[Setting], paths: &BTreeMap<String, PathBuf>) -> Result<()> {
    let mut refused = Vec::new();
    for setting in settings {
        let key = if setting.version == Version::V2 { "" } else { setting.controller.as_str() };
        let Some(dir) = paths.get(key) else {
            return Err(Error::new(format!("the {} controller has no cgroup here", setting.controller))
                .context(setting.field.clone()));
        };
        match write(dir, setting) {
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::EBUSY) => refused.push((dir, setting)),
            Err(errno) => return Err(explain(dir, setting, errno)),
        }
    }
    refused.into_iter().try_for_each(|(dir, setting)| write(dir, setting).map_err(|errno| explain(dir, setting, errno)))
}

/// What the files of `settings` say now, to be written back when an update fails half way. Files with a line for each
/// device are left out: a line for one more is no harm to the others.
pub fn current(settings: &[Setting], paths: &BTreeMap<String, PathBuf>) -> Vec<Setting> {
    let now = |setting: &Setting| {
        let key = if setting.version == Version::V2 { "" } else { setting.controller.as_str() };
        let value = tree::value(paths.get(key)?, &setting.file)?;
        // The line's end makes an empty list a value that is written.
        let single = !value.contains('\n') && !setting.value.contains(':');
        single.then(|| Setting { value: value + "\n", otherwise: None, ..setting.clone() })
    };
    settings.iter().filter_map(now).collect()
}

fn write(dir: &Path, setting: &Setting) -> std::result::Result<(), Errno> {
    match tree::write(dir, &setting.file, &setting.value) {
        Err(Errno::ENOENT) => {}
        result => return result,
    }
    match &setting.otherwise {
        Some((file, value)) => tree::write(dir, file, value),
        None if setting.optional && dir.is_dir() => Ok(()),
        None => Err(Errno::ENOENT),
    }
}

fn explain(dir: &Path, setting: &Setting, errno: Errno) -> Error {
    let Setting { controller, file, value, field, .. } = setting;
    let what = format!("{controller} controller: write {value:?} to {}", dir.join(file).display());
    let error = Error::sys(what, errno).context(field.clone());
    match hint(dir, setting, errno) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn hint(dir: &Path, setting: &Setting, errno: Errno) -> Option<String> {
    let file = setting.file.as_str();
    Some(match errno {
        Errno::ENOENT if !dir.is_dir() => "The container's cgroup is gone".into(),
        Errno::ENOENT if file.contains(".memsw.") || file == "memory.swap.max" => {
            "This kernel does not account swap (boot with swapaccount=1, or remove the limit)".into()
        }
        Errno::ENOENT if file.starts_with("cpu.rt_") => {
            "This kernel has no real-time group scheduling (CONFIG_RT_GROUP_SCHED)".into()
        }
        Errno::ENOENT if file.starts_with("hugetlb.") => format!("Huge page sizes of this host: {}", page_sizes(dir)),
        Errno::ENOENT if file.contains("weight") => {
            "Weights need the bfq I/O scheduler or the iocost controller, which this kernel does not have loaded".into()
        }
        Errno::ENOENT => "This kernel has no such file".into(),
        Errno::EBUSY if file == "memory.limit_in_bytes" || file == "memory.memsw.limit_in_bytes" => {
            let used = |name: &str| tree::number(dir, &file.replace("limit_in_bytes", name)).unwrap_or_default();
            format!(
                "The container uses more: {} bytes now, {} at most so far",
                used("usage_in_bytes"),
                used("max_usage_in_bytes")
            )
        }
        Errno::EINVAL if file == "memory.limit_in_bytes" => {
            "The limit must not be above memory.swap, the limit of memory and swap together".into()
        }
        Errno::EINVAL if file == "memory.memsw.limit_in_bytes" => {
            "memory.swap limits memory and swap together: it must be at least memory.limit".into()
        }
        Errno::EINVAL | Errno::EACCES | Errno::ERANGE | Errno::ENODEV if file.starts_with("cpuset.") => {
            let value = |parent| tree::value(parent, &format!("{file}.effective")).or_else(|| tree::value(parent, file));
            let parent = dir.parent().and_then(value).filter(|list| !list.is_empty());
            let list = "It must be a list such as 0-3,7 of what exists";
            parent.map_or(format!("{list} here"), |parent| format!("{list} in the parent cgroup, which has {parent}"))
        }
        Errno::ENOSPC if file.starts_with("cpuset.") => {
            "A cpuset with processes needs CPUs and memory nodes: set both cpu.cpus and cpu.mems".into()
        }
        Errno::EBUSY if file.starts_with("cpuset.") => {
            "Another cgroup has these CPUs for itself, or real-time tasks need them".into()
        }
        Errno::EINVAL if matches!(file, "cpu.shares" | "cpu.weight") && tree::number(dir, "cpu.idle") == Some(1) => {
            "An idle cgroup has no other shares: set cpu.idle to 0 first".into()
        }
        Errno::EINVAL if file.starts_with("cpu.cfs_") || file == "cpu.max" || file == "cpu.max.burst" => {
            "Quotas are 1 ms or more, periods 1 ms to 1 s, bursts not above the quota, and the share of a CPU not above \
             that of the parent cgroup"
                .into()
        }
        Errno::EINVAL if file.starts_with("cpu.rt_") => {
            "The parent cgroup must have real-time runtime to give; its own is 0 by default".into()
        }
        Errno::ENODEV | Errno::ENXIO if file.starts_with("blkio.") || file.starts_with("io.") => {
            "The numbers must be those of a whole disk that exists (see /proc/partitions)".into()
        }
        Errno::EOPNOTSUPP if file.contains("weight") => {
            "The disk's I/O scheduler knows no weights: choose bfq in /sys/block/<disk>/queue/scheduler".into()
        }
        Errno::EOPNOTSUPP if setting.version == Version::V2 => {
            "The cgroup is threaded, or the controller is not enabled in the cgroup above".into()
        }
        _ => return None,
    })
}

/// The sizes that the host's hugetlb controller knows.
fn page_sizes(dir: &Path) -> String {
    let Ok(entries) = std::fs::read_dir(dir) else { return "none".into() };
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
    let size = |name: String| {
        let rest = name.strip_prefix("hugetlb.")?;
        let size = rest.strip_suffix(".current").or_else(|| rest.strip_suffix(".usage_in_bytes"))?;
        (!size.contains('.')).then(|| size.to_owned())
    };
    let mut sizes: Vec<String> = entries.flatten().filter_map(name).filter_map(size).collect();
    sizes.sort_unstable();
    if sizes.is_empty() { "none".into() } else { sizes.join(", ") }
}
