//! `update`

use super::Global;
use crate::bundle::config::Resources;
use crate::bundle::{self, parse_resources};
use crate::container::Container;
use crate::container::state::Status;
use crate::error::{Context, Error, Result};
use crate::log;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// `update`
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Update {
    /// File with the new limits as JSON, as linux.resources; - is standard input
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Share of block I/O, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
    /// Length of the CPU period in microseconds
    #[arg(long, value_name = "US")]
    cpu_period: Option<u64>,
    /// CPU time in each period in microseconds, -1 for no limit
    #[arg(long, value_name = "US")]
    cpu_quota: Option<i64>,
    /// CPU time that may be saved up, in microseconds
    #[arg(long, value_name = "US")]
    cpu_burst: Option<u64>,
    /// Share of CPU time against other containers
    #[arg(long, value_name = "SHARES")]
    cpu_share: Option<u64>,
    /// Length of the real-time period in microseconds
    #[arg(long, value_name = "US")]
    cpu_rt_period: Option<u64>,
    /// Real-time CPU time in each period in microseconds
    #[arg(long, value_name = "US")]
    cpu_rt_runtime: Option<i64>,
    /// CPUs to use, as 0-3,7
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// 1: use only CPU time that nobody else wants
    #[arg(long, value_name = "0|1")]
    cpu_idle: Option<i64>,
    /// Memory limit, with k, m or g; -1 for none
    #[arg(long, value_name = "BYTES")]
    memory: Option<String>,
    /// Memory to keep when the host runs short of it
    #[arg(long, value_name = "BYTES")]
    memory_reservation: Option<String>,
    /// Memory and swap together, -1 for no limit
    #[arg(long, value_name = "BYTES")]
    memory_swap: Option<String>,
    /// Number of processes, -1 for no limit
    #[arg(long, value_name = "N")]
    pids_limit: Option<i64>,
    /// Accepted for old callers: Linux has no such limit any more
    #[arg(long, hide = true, value_name = "BYTES")]
    kernel_memory: Option<String>,
    /// Accepted for old callers: Linux has no such limit any more
    #[arg(long, hide = true, value_name = "BYTES")]
    kernel_memory_tcp: Option<String>,
    /// Not supported yet
    #[arg(long, hide = true, value_name = "SCHEMA")]
    l3_cache_schema: Option<String>,
    /// Not supported yet
    #[arg(long, hide = true, value_name = "SCHEMA")]
    mem_bw_schema: Option<String>,
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

impl Update {
    /// Changes the limits that are given, and remembers them.
    pub fn run(self, global: &Global) -> Result<()> {
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
