//! Statistics of cgroup v1's controllers.

use super::{BlockIoEntry, Hugetlb, MemoryEntry, Stats, page_sizes, table, tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Nanoseconds in a tick of `cpuacct.stat`: USER_HZ is 100 on every architecture but alpha and ia64.
const TICK: u64 = 10_000_000;

pub(super) fn read(paths: &BTreeMap<String, PathBuf>, stats: &mut Stats) {
    let mut with = |controller: &str, read: fn(&Path, &mut Stats)| {
        if let Some(dir) = paths.get(controller) {
            read(dir, stats);
        }
    };
    with("cpu", cpu);
    with("cpuacct", cpuacct);
    with("cpuset", cpuset);
    with("memory", memory);
    with("pids", pids);
    with("blkio", blkio);
    with("hugetlb", hugetlb);
}

fn cpu(dir: &Path, stats: &mut Stats) {
    let table = table(dir, "cpu.stat");
    let get = |key: &str| table.get(key).copied().unwrap_or(0);
    stats.cpu.throttling.periods = get("nr_periods");
    stats.cpu.throttling.throttled_periods = get("nr_throttled");
    stats.cpu.throttling.throttled_time = get("throttled_time");
}

fn cpuacct(dir: &Path, stats: &mut Stats) {
    let usage = &mut stats.cpu.usage;
    usage.total = tree::number(dir, "cpuacct.usage").unwrap_or(0);
    let table = table(dir, "cpuacct.stat");
    let nanos = |key: &str| table.get(key).copied().unwrap_or(0).saturating_mul(TICK);
    (usage.user, usage.kernel) = (nanos("user"), nanos("system"));
    let list = |file: &str| -> Vec<u64> {
        let text = tree::read(dir, file).unwrap_or_default();
        text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
    };
    usage.percpu = list("cpuacct.usage_percpu");
    usage.percpu_user = list("cpuacct.usage_percpu_user");
    usage.percpu_kernel = list("cpuacct.usage_percpu_sys");
}

fn cpuset(dir: &Path, stats: &mut Stats) {
    let set = &mut stats.cpuset;
    let number = |name: &str| tree::number(dir, &format!("cpuset.{name}")).unwrap_or(0);
    set.cpus = numbers(&tree::value(dir, "cpuset.cpus").unwrap_or_default());
    set.mems = numbers(&tree::value(dir, "cpuset.mems").unwrap_or_default());
    set.cpu_exclusive = number("cpu_exclusive");
    set.mem_hardwall = number("mem_hardwall");
    set.mem_exclusive = number("mem_exclusive");
    set.memory_migrate = number("memory_migrate");
    set.memory_spread_page = number("memory_spread_page");
    set.memory_spread_slab = number("memory_spread_slab");
    set.memory_pressure = number("memory_pressure");
    set.sched_load_balance = number("sched_load_balance");
    let level = tree::value(dir, "cpuset.sched_relax_domain_level");
    set.sched_relax_domain_level = level.and_then(|level| level.parse().ok()).unwrap_or(0);
}

/// The members of a list such as `0-3,7`.
pub(super) fn numbers(list: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

fn memory(dir: &Path, stats: &mut Stats) {
    let entry = |prefix: &str| {
        let number = |name: &str| tree::number(dir, &format!("memory{prefix}.{name}")).unwrap_or(0);
        MemoryEntry {
            limit: number("limit_in_bytes"),
            usage: number("usage_in_bytes"),
            max: number("max_usage_in_bytes"),
            failcnt: number("failcnt"),
        }
    };
    let memory = &mut stats.memory;
    memory.raw = table(dir, "memory.stat");
    memory.cache = memory.raw.get("cache").copied().unwrap_or(0);
    memory.usage = entry("");
    memory.swap = entry(".memsw");
    memory.kernel = entry(".kmem");
    memory.kernel_tcp = entry(".kmem.tcp");
}

fn pids(dir: &Path, stats: &mut Stats) {
    stats.pids.current = tree::number(dir, "pids.current").unwrap_or(0);
    // No limit is 0, as runc says it.
    stats.pids.limit = tree::number(dir, "pids.max").filter(|limit| *limit != u64::MAX).unwrap_or(0);
}

fn blkio(dir: &Path, stats: &mut Stats) {
    // bfq counts what went through it; throttling counts everything, where bfq does not run.
    let entries = |files: &[&str]| {
        let lists = files.iter().map(|file| parse_blkio(&tree::read(dir, file).unwrap_or_default()));
        lists.into_iter().find(|list| !list.is_empty()).unwrap_or_default()
    };
    stats.blkio.io_service_bytes_recursive =
        entries(&["blkio.bfq.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive"]);
    stats.blkio.io_serviced_recursive =
        entries(&["blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive"]);
    for (file, list) in [
        ("blkio.bfq.io_queued_recursive", &mut stats.blkio.io_queue_recursive),
        ("blkio.bfq.io_service_time_recursive", &mut stats.blkio.io_service_time_recursive),
        ("blkio.bfq.io_wait_time_recursive", &mut stats.blkio.io_wait_time_recursive),
        ("blkio.bfq.io_merged_recursive", &mut stats.blkio.io_merged_recursive),
        ("blkio.bfq.time_recursive", &mut stats.blkio.io_time_recursive),
        ("blkio.bfq.sectors_recursive", &mut stats.blkio.sectors_recursive),
    ] {
        *list = parse_blkio(&tree::read(dir, file).unwrap_or_default());
    }
}

/// Lines `8:0 Read 4096` or `8:0 4096`; the last line, a total without a device, is left out.
pub(super) fn parse_blkio(text: &str) -> Vec<BlockIoEntry> {
    let entry = |line: &str| {
        let mut fields = line.split_whitespace();
        let (major, minor) = fields.next()?.split_once(':')?;
        let (op, value) = match (fields.next()?, fields.next()) {
            (op, Some(value)) => (op, value),
            (value, None) => ("", value),
        };
        let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
        Some(BlockIoEntry { major, minor, op: op.into(), value: value.parse().ok()? })
    };
    text.lines().filter_map(entry).collect()
}

fn hugetlb(dir: &Path, stats: &mut Stats) {
    for size in page_sizes(dir, ".usage_in_bytes") {
        let number = |name: &str| {
            let reserved = tree::number(dir, &format!("hugetlb.{size}.rsvd.{name}"));
            reserved.or_else(|| tree::number(dir, &format!("hugetlb.{size}.{name}"))).unwrap_or(0)
        };
        let entry =
            Hugetlb { usage: number("usage_in_bytes"), max: number("max_usage_in_bytes"), failcnt: number("failcnt") };
        stats.hugetlb.insert(size, entry);
    }
}
