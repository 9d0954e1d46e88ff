//! `linux.resources.cpu`: the controllers cpu and cpuset.

use super::{List, Version, path};
use crate::bundle::config::Cpu;
use crate::cgroup::convert;
use crate::error::{Error, Result};

/// Bounds of periods and quotas in µs (Documentation/scheduler/sched-bwc.rst).
const SHORTEST: u64 = 1_000;
const LONGEST: u64 = 1_000_000;

impl List<'_> {
    pub(super) fn cpu(&mut self, cpu: &Cpu) -> Result<()> {
        let idle = cpu.idle;
        if let Some(value) = idle {
            if !(0..=1).contains(&value) {
                return Err(Error::new(format!("{value} is neither 0 nor 1")).context(path("cpu.idle")));
            }
            self.put("cpu", "cpu.idle", &[("cpu.idle", "cpu.idle", &value.to_string())])?.optional(value == 0);
        }
        // An idle cgroup has the least weight there is; the kernel refuses to give it another.
        if let Some(shares) = cpu.shares.filter(|shares| *shares != 0 && idle != Some(1)) {
            self.shares(shares)?;
        }
        self.bandwidth(cpu)?;
        self.realtime(cpu)?;
        for (value, field, file) in [(&cpu.cpus, "cpu.cpus", "cpuset.cpus"), (&cpu.mems, "cpu.mems", "cpuset.mems")] {
            if let Some(value) = value.as_deref().filter(|value| !value.trim().is_empty()) {
                self.put("cpuset", field, &[(file, file, value)])?;
            }
        }
        Ok(())
    }

    fn shares(&mut self, shares: u64) -> Result<()> {
        let v1 = self.version("cpu", "cpu.shares")? == Version::V1;
        // v1 clamps silently; runc refuses what would not be what was asked for.
        if v1 && !(2..=262_144).contains(&shares) {
            return Err(Error::new(format!("{shares} is not between 2 and 262144")).context(path("cpu.shares")));
        }
        let weight = convert::cpu_weight(shares).unwrap_or_default();
        let value = if v1 { shares } else { weight }.to_string();
        self.put("cpu", "cpu.shares", &[("cpu.shares", "cpu.weight", &value)])?;
        Ok(())
    }

    fn bandwidth(&mut self, cpu: &Cpu) -> Result<()> {
        let quota = cpu.quota.filter(|quota| *quota != 0);
        let period = cpu.period.filter(|period| *period != 0);
        if let Some(period) = period.filter(|period| !(SHORTEST..=LONGEST).contains(period)) {
            return Err(
                Error::new(format!("{period} µs is not between {SHORTEST} and {LONGEST}")).context(path("cpu.period"))
            );
        }
        if let Some(quota) = quota.filter(|quota| (1..SHORTEST as i64).contains(quota)) {
            return Err(Error::new(format!("{quota} µs is below the kernel's minimum of 1 ms"))
                .hint(format!("Use {SHORTEST} or more with a longer period, or -1 for no limit"))
                .context(path("cpu.quota")));
        }
        if let (Some(burst), Some(limit)) = (cpu.burst, quota.and_then(|quota| u64::try_from(quota).ok()))
            && burst > limit
        {
            return Err(Error::new(format!("{burst} µs is above cpu.quota ({limit} µs)")).context(path("cpu.burst")));
        }
        let field = if quota.is_some() { "cpu.quota" } else { "cpu.period" };
        if let Some(max) = convert::cpu_max(quota, period) {
            if self.version("cpu", field)? == Version::V2 {
                self.put("cpu", field, &[("", "cpu.max", &max)])?;
            } else {
                if let Some(period) = period {
                    self.put("cpu", "cpu.period", &[("cpu.cfs_period_us", "", &period.to_string())])?;
                }
                if let Some(quota) = quota {
                    self.put("cpu", "cpu.quota", &[("cpu.cfs_quota_us", "", &quota.max(-1).to_string())])?;
                }
            }
        }
        if let Some(burst) = cpu.burst {
            let files = [("cpu.cfs_burst_us", "cpu.max.burst", &*burst.to_string())];
            self.put("cpu", "cpu.burst", &files)?.optional(burst == 0);
        }
        Ok(())
    }

    fn realtime(&mut self, cpu: &Cpu) -> Result<()> {
        let period = cpu.realtime_period.filter(|value| *value != 0).map(|value| value.to_string());
        let runtime = cpu.realtime_runtime.filter(|value| *value != 0).map(|value| value.to_string());
        let values =
            [(period, "cpu.realtimePeriod", "cpu.rt_period_us"), (runtime, "cpu.realtimeRuntime", "cpu.rt_runtime_us")];
        for (value, field, file) in values {
            let Some(value) = value else { continue };
            if self.version("cpu", field)? == Version::V2 {
                return Err(Error::new("cgroup v2 has no real-time limits")
                    .hint("Remove the property")
                    .context(path(field)));
            }
            self.put("cpu", field, &[(file, "", &value)])?;
        }
        Ok(())
    }
}
