//! `update`

use super::arguments::{Argument, Arguments};
use super::{Command, Global};
use crate::bundle::config::Resources;
use crate::bundle::{self, parse_resources};
use crate::container::Container;
use crate::container::state::Status;
use crate::error::{Context, Error, Result};
use crate::log;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// `update`
#[derive(Debug, Default)]
pub struct Update {
    resources: Option<PathBuf>,
    blkio_weight: Option<u16>,
    cpu_period: Option<u64>,
    cpu_quota: Option<i64>,
    cpu_burst: Option<u64>,
    cpu_share: Option<u64>,
    cpu_rt_period: Option<u64>,
    cpu_rt_runtime: Option<i64>,
    cpuset_cpus: Option<String>,
    cpuset_mems: Option<String>,
    cpu_idle: Option<i64>,
    memory: Option<String>,
    memory_reservation: Option<String>,
    memory_swap: Option<String>,
    pids_limit: Option<i64>,
    kernel_memory: Option<String>,
    kernel_memory_tcp: Option<String>,
    l3_cache_schema: Option<String>,
    mem_bw_schema: Option<String>,
    id: String,
}

impl Arguments for Update {
    const NAME: &'static str = "update";
    const ABOUT: &'static str = "Change the resource limits of a container";
    const ARGUMENTS: &'static [Argument<Self>] = &[
        Argument::option(
            "-r, --resources <FILE>",
            |it| &mut it.resources,
            "File with the new limits as JSON, as linux.resources; - is standard input",
        ),
        Argument::option("--blkio-weight <WEIGHT>", |it| &mut it.blkio_weight, "Share of block I/O, 10 to 1000"),
        Argument::option("--cpu-period <US>", |it| &mut it.cpu_period, "Length of the CPU period in microseconds"),
        Argument::option(
            "--cpu-quota <US>",
            |it| &mut it.cpu_quota,
            "CPU time in each period in microseconds, -1 for no limit",
        ),
        Argument::option("--cpu-burst <US>", |it| &mut it.cpu_burst, "CPU time that may be saved up, in microseconds"),
        Argument::option("--cpu-share <SHARES>", |it| &mut it.cpu_share, "Share of CPU time against other containers"),
        Argument::option(
            "--cpu-rt-period <US>",
            |it| &mut it.cpu_rt_period,
            "Length of the real-time period in microseconds",
        ),
        Argument::option(
            "--cpu-rt-runtime <US>",
            |it| &mut it.cpu_rt_runtime,
            "Real-time CPU time in each period in microseconds",
        ),
        Argument::option("--cpuset-cpus <LIST>", |it| &mut it.cpuset_cpus, "CPUs to use, as 0-3,7"),
        Argument::option("--cpuset-mems <LIST>", |it| &mut it.cpuset_mems, "Memory nodes to use"),
        Argument::option("--cpu-idle <0|1>", |it| &mut it.cpu_idle, "1: use only CPU time that nobody else wants"),
        Argument::option("--memory <BYTES>", |it| &mut it.memory, "Memory limit, with k, m or g; -1 for none"),
        Argument::option(
            "--memory-reservation <BYTES>",
            |it| &mut it.memory_reservation,
            "Memory to keep when the host runs short of it",
        ),
        Argument::option(
            "--memory-swap <BYTES>",
            |it| &mut it.memory_swap,
            "Memory and swap together, -1 for no limit",
        ),
        Argument::option("--pids-limit <N>", |it| &mut it.pids_limit, "Number of processes, -1 for no limit"),
        Argument::hidden(
            "--kernel-memory <BYTES>",
            |it| &mut it.kernel_memory,
            "Accepted for old callers: Linux has no such limit any more",
        ),
        Argument::hidden(
            "--kernel-memory-tcp <BYTES>",
            |it| &mut it.kernel_memory_tcp,
            "Accepted for old callers: Linux has no such limit any more",
        ),
        Argument::hidden("--l3-cache-schema <SCHEMA>", |it| &mut it.l3_cache_schema, "Not supported yet"),
        Argument::hidden("--mem-bw-schema <SCHEMA>", |it| &mut it.mem_bw_schema, "Not supported yet"),
        Argument::id(|it| &mut it.id),
    ];
}

impl Command for Update {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        self.apply(global)?;
        Ok(0)
    }
}

impl Update {
    /// Changes the limits that are given, and remembers them.
    fn apply(&self, global: &Global) -> Result<()> {
        if self.l3_cache_schema.is_some() || self.mem_bw_schema.is_some() {
            return Err(
                Error::new("Intel RDT is not supported yet").hint("Leave --l3-cache-schema and --mem-bw-schema out.")
            );
        }
        let change = match &self.resources {
            Some(path) => read(path)?,
            None => self.by_flags()?,
        };
        if self.kernel_memory.is_some() || self.kernel_memory_tcp.is_some() {
            log::warn(
                "--kernel-memory and --kernel-memory-tcp are ignored: use --memory, which covers the kernel's too",
            );
        }
        let mut resources = parse_resources(change.to_string().as_bytes(), "resources")?;
        let mut container = Container::open_locked(&global.store()?, &self.id)?;
        container.require(&[Status::Created, Status::Running, Status::Paused], "update")?;
        let mut all = match container.state.resources.take() {
            Some(all) => all,
            None => configured(&container)?,
        };
        // The kernel forgets the shares of an idle cgroup.
        if let Some(cpu) = resources.cpu.as_mut().filter(|cpu| cpu.idle == Some(0)) {
            cpu.shares = cpu.shares.or_else(|| all["cpu"]["shares"].as_u64());
        }
        container.cgroup()?.update(&resources)?;
        merge(&mut all, change);
        // What is remembered must be readable: exec and later updates count on it.
        Resources::deserialize_value(&all)?;
        container.state.resources = Some(all);
        container.entry.save(&container.state)
    }

    fn by_flags(&self) -> Result<Value> {
        let bytes = |flag: &str, text: &Option<String>| -> Result<Option<i64>> {
            text.as_deref().map(|text| parse_bytes(text).context(|| format!("{flag} {text}"))).transpose()
        };
        let mut all = Map::new();
        let mut put = |section: &str, name: &str, value: Option<Value>| {
            if let Some(value) = value {
                all.entry(section).or_insert_with(|| json!({}))[name] = value;
            }
        };
        put("blockIO", "weight", self.blkio_weight.map(Value::from));
        put("cpu", "period", self.cpu_period.map(Value::from));
        put("cpu", "quota", self.cpu_quota.map(Value::from));
        put("cpu", "burst", self.cpu_burst.map(Value::from));
        put("cpu", "shares", self.cpu_share.map(Value::from));
        put("cpu", "realtimePeriod", self.cpu_rt_period.map(Value::from));
        put("cpu", "realtimeRuntime", self.cpu_rt_runtime.map(Value::from));
        put("cpu", "cpus", self.cpuset_cpus.clone().map(Value::from));
        put("cpu", "mems", self.cpuset_mems.clone().map(Value::from));
        put("cpu", "idle", self.cpu_idle.map(Value::from));
        put("memory", "limit", bytes("--memory", &self.memory)?.map(Value::from));
        put("memory", "reservation", bytes("--memory-reservation", &self.memory_reservation)?.map(Value::from));
        put("memory", "swap", bytes("--memory-swap", &self.memory_swap)?.map(Value::from));
        put("pids", "limit", self.pids_limit.map(Value::from));
        Ok(Value::Object(all))
    }
}

fn read(path: &Path) -> Result<Value> {
    let (bytes, name) = match path.to_str() {
        Some("-") => {
            (bundle::read_bounded(std::io::stdin(), bundle::DOCUMENT_LIMIT, "standard input")?, "standard input".into())
        }
        _ => (bundle::read_document(path)?, path.display().to_string()),
    };
    let value: Value = bundle::parse(&bytes, &name).context(|| "--resources")?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Error::new("is no JSON object").context(format!("--resources {name}")))
    }
}

/// The configuration's limits as they were written.
fn configured(container: &Container) -> Result<Value> {
    let raw = container.entry.read(crate::container::store::CONFIG)?;
    let mut config: Value = bundle::parse(&raw, "config.json")?;
    Ok(match config["linux"]["resources"].take() {
        Value::Object(resources) => Value::Object(resources),
        _ => json!({}),
    })
}

/// Puts the members of `change` over those of `into`; what it does not name stays.
fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (name, value) in change {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, change) => *into = change,
    }
}

/// A number of bytes with an optional unit, powers of 1024: `512m`, `1GiB`.
fn parse_bytes(text: &str) -> Result<i64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '-').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 10,
        "m" | "mb" | "mi" | "mib" => 20,
        "g" | "gb" | "gi" | "gib" => 30,
        "t" | "tb" | "ti" | "tib" => 40,
        _ => return Err(Error::new("is no number of bytes").hint("Use a number, perhaps with k, m or g.")),
    };
    number
        .parse::<i64>()
        .ok()
        .filter(|number| *number >= -1)
        .and_then(|number| if number < 0 { Some(number) } else { number.checked_mul(1 << shift) })
        .ok_or_else(|| Error::new("is no number of bytes").hint("Use a number, perhaps with k, m or g."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        for (text, bytes) in [("0", 0), ("-1", -1), ("10k", 10_240), ("1GiB", 1 << 30), ("2M", 2 << 20)] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "k", "1x", "-2", "1.5m", "9999999999g", "--1"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        let mut all = json!({"memory": {"limit": 1, "swap": 2}, "pids": {"limit": 3}});
        merge(&mut all, json!({"memory": {"limit": 9, "swap": null}, "cpu": {"shares": 4}}));
        assert_eq!(all, json!({"memory": {"limit": 9, "swap": 2}, "pids": {"limit": 3}, "cpu": {"shares": 4}}));
    }
}
