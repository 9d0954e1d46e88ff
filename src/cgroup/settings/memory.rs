//! `linux.resources.memory`.

use super::{List, Version, path};
use crate::bundle::config::Memory;
use crate::cgroup::convert;
use crate::error::{Context, Error, Result};
use crate::log;

impl List<'_> {
    pub(super) fn memory(&mut self, memory: &Memory) -> Result<()> {
        let (limit, swap) = (memory.limit, memory.swap);
        let named = |field: &'static str| move || path(field);
        let bytes = |value, field| convert::bytes(value).context(named(field));
        let v1 = self.layout.version("memory") == Some(Version::V1);

        let limit_value = bytes(limit, "memory.limit")?.map(|max| number(limit, max, v1));
        let swap_alone = convert::swap(limit, swap).context(named("memory.swap"))?;
        if let Some(value) = &limit_value {
            self.put("memory", "memory.limit", &[("memory.limit_in_bytes", "memory.max", value)])?;
        }
        if let Some(alone) = swap_alone {
            // v1's file is memory and swap together. It must not be below the limit at any time; the second attempt
            // of `apply` gets the order right whether both rise or fall.
            let together = swap.filter(|swap| *swap != 0).unwrap_or(-1).to_string();
            let value = if v1 { together } else { alone.to_string() };
            // Without swap accounting, or without swap, no limit and no swap are what the kernel does anyway.
            let unneeded = alone == convert::Limit::Max || (!v1 && alone == convert::Limit::Of(0));
            let files = [("memory.memsw.limit_in_bytes", "memory.swap.max", value.as_str())];
            self.put("memory", "memory.swap", &files)?.optional(unneeded);
        }
        if let Some(max) = bytes(memory.reservation, "memory.reservation")? {
            let value = number(memory.reservation, max, v1);
            self.put("memory", "memory.reservation", &[("memory.soft_limit_in_bytes", "memory.low", &value)])?;
        }
        if let Some(value) = memory.swappiness {
            if value > 100 {
                return Err(Error::new(format!("{value} is not between 0 and 100")).context(path("memory.swappiness")));
            }
            self.v1_only("memory.swappiness", "memory.swappiness", &value.to_string())?;
        }
        if memory.disable_oom_killer == Some(true) {
            self.v1_only("memory.disableOOMKiller", "memory.oom_control", "1")?;
        }
        if let Some(max) = bytes(memory.kernel_tcp, "memory.kernelTCP")? {
            if v1 {
                let value = number(memory.kernel_tcp, max, true);
                self.put("memory", "memory.kernelTCP", &[("memory.kmem.tcp.limit_in_bytes", "", &value)])?;
            } else if max != convert::Limit::Max {
                log::warn("linux.resources.memory.kernelTCP is ignored: cgroup v2 has no such limit");
            }
        }
        if bytes(memory.kernel, "memory.kernel")?.is_some_and(|max| max != convert::Limit::Max) {
            log::warn("linux.resources.memory.kernel is ignored: Linux 5.16 removed this limit");
        }
        if memory.use_hierarchy == Some(false) {
            log::warn(
                "linux.resources.memory.useHierarchy: false is ignored: Linux 5.11 always accounts hierarchically",
            );
        }
        Ok(())
    }

    fn v1_only(&mut self, field: &str, file: &str, value: &str) -> Result<()> {
        if self.version("memory", field)? == Version::V2 {
            return Err(Error::new("cgroup v2 has no such setting").hint("Remove the property").context(path(field)));
        }
        self.put("memory", field, &[(file, "", value)])?;
        Ok(())
    }
}

/// The value as its file takes it: −1 on v1, `max` on v2 for no limit.
fn number(value: Option<i64>, max: convert::Limit, v1: bool) -> String {
    match value {
        Some(value) if v1 => value.to_string(),
        _ => max.to_string(),
    }
}
