//! Statistics of cgroup v2, mapped to the v1 names that engines know, as runc maps them.

use super::{BlockIoEntry, Hugetlb, MemoryEntry, Psi, PsiData, Stats, page_sizes, table, tree};
use std::path::Path;

const MICRO: u64 = 1_000;

pub(super) fn read(dir: &Path, stats: &mut Stats) {
    cpu(dir, stats);
    memory(dir, stats);
    stats.pids.current = tree::number(dir, "pids.current").unwrap_or(0);
    // No limit is 0, as runc says it.
    stats.pids.limit = tree::number(dir, "pids.max").filter(|limit| *limit != u64::MAX).unwrap_or(0);
    io(dir, stats);
    hugetlb(dir, stats);
    stats.cpu.psi = psi(dir, "cpu.pressure");
    stats.memory.psi = psi(dir, "memory.pressure");
    stats.blkio.psi = psi(dir, "io.pressure");
}

fn cpu(dir: &Path, stats: &mut Stats) {
    let table = table(dir, "cpu.stat");
    let get = |key: &str| table.get(key).copied().unwrap_or(0);
    let cpu = &mut stats.cpu;
    cpu.usage.total = get("usage_usec").saturating_mul(MICRO);
    cpu.usage.user = get("user_usec").saturating_mul(MICRO);
    cpu.usage.kernel = get("system_usec").saturating_mul(MICRO);
    cpu.throttling.periods = get("nr_periods");
    cpu.throttling.throttled_periods = get("nr_throttled");
    cpu.throttling.throttled_time = get("throttled_usec").saturating_mul(MICRO);
}

fn memory(dir: &Path, stats: &mut Stats) {
    let memory = &mut stats.memory;
    let Some(usage) = tree::number(dir, "memory.current") else { return };
    let number = |file: &str| tree::number(dir, file).unwrap_or(0);
    memory.raw = table(dir, "memory.stat");
    memory.cache = memory.raw.get("file").copied().unwrap_or(0);
    memory.usage = MemoryEntry {
        limit: number("memory.max"),
        usage,
        max: number("memory.peak"),
        failcnt: tree::keyed(dir, "memory.events", "max").unwrap_or(0),
    };
    if let Some(swap) = tree::number(dir, "memory.swap.current") {
        // v1's memsw is memory and swap together.
        memory.swap = MemoryEntry {
            limit: number("memory.swap.max").saturating_add(memory.usage.limit),
            usage: swap.saturating_add(usage),
            max: 0,
            failcnt: tree::keyed(dir, "memory.swap.events", "max").unwrap_or(0),
        };
    }
}

fn io(dir: &Path, stats: &mut Stats) {
    let text = tree::read(dir, "io.stat").unwrap_or_default();
    (stats.blkio.io_service_bytes_recursive, stats.blkio.io_serviced_recursive) = parse_io(&text);
}

/// Lines `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` as bytes and operations.
pub(super) fn parse_io(text: &str) -> (Vec<BlockIoEntry>, Vec<BlockIoEntry>) {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let device = fields.next().and_then(|device| device.split_once(':'));
        let Some((Ok(major), Ok(minor))) = device.map(|(major, minor)| (major.parse(), minor.parse())) else {
            continue;
        };
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut bytes, "Read"),
                "wbytes" => (&mut bytes, "Write"),
                "rios" => (&mut operations, "Read"),
                "wios" => (&mut operations, "Write"),
                _ => continue,
            };
            let value = value.parse().unwrap_or(0);
            list.push(BlockIoEntry { major, minor, op: op.into(), value });
        }
    }
    (bytes, operations)
}

fn hugetlb(dir: &Path, stats: &mut Stats) {
    for size in page_sizes(dir, ".current") {
        let reserved = tree::number(dir, &format!("hugetlb.{size}.rsvd.current"));
        let entry = Hugetlb {
            usage: reserved.or_else(|| tree::number(dir, &format!("hugetlb.{size}.current"))).unwrap_or(0),
            max: 0,
            failcnt: tree::keyed(dir, &format!("hugetlb.{size}.events"), "max").unwrap_or(0),
        };
        stats.hugetlb.insert(size, entry);
    }
}

/// `None` where the kernel was built or booted without PSI.
fn psi(dir: &Path, file: &str) -> Option<Psi> {
    parse_psi(&tree::read(dir, file).ok()?)
}

pub(super) fn parse_psi(text: &str) -> Option<Psi> {
    let mut psi = Psi::default();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let data = match fields.next()? {
            "some" => &mut psi.some,
            "full" => &mut psi.full,
            _ => continue,
        };
        *data = PsiData::default();
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            match key {
                "avg10" => data.avg10 = value.parse().ok()?,
                "avg60" => data.avg60 = value.parse().ok()?,
                "avg300" => data.avg300 = value.parse().ok()?,
                "total" => data.total = value.parse().ok()?,
                _ => {}
            }
        }
    }
    Some(psi)
}
