//! config-linux.md "Control groups": syntax and ranges. What a controller can do is decided where it is written.

use super::{no_nul_in, number_list, require};
use crate::bundle::config::{BlockIo, Cpu, Resources};
use crate::error::{Error, Result};

/// Checks limits: the container's own, or those of `update`.
///
/// # Errors
/// The first violation, with the name of the field as in `config.json`.
pub fn resources(resources: &Resources) -> Result<()> {
    devices(resources)?;
    memory(resources)?;
    if let Some(cpu) = &resources.cpu {
        self::cpu(cpu)?;
    }
    if let Some(block) = &resources.block_io {
        block_io(block)?;
    }
    for (index, limit) in resources.hugepage_limits.iter().enumerate() {
        require!(
            page_size(&limit.page_size),
            format!("linux.resources.hugepageLimits[{index}].pageSize"),
            format!("{:?} is not the size of a page", limit.page_size),
            "Write it like \"64KB\", \"2MB\" or \"1GB\"."
        );
    }
    for (index, interface) in resources.network.iter().flat_map(|network| &network.priorities).enumerate() {
        let name = &interface.name;
        require!(
            !name.is_empty() && !name.contains([' ', '\n', '\0']),
            format!("linux.resources.network.priorities[{index}].name"),
            format!("{name:?} is no name of a network interface"),
            "Name the interface as `ip link` does."
        );
    }
    for name in resources.rdma.keys() {
        require!(
            !name.is_empty() && !name.contains([' ', '\n', '\0']),
            "linux.resources.rdma",
            format!("{name:?} is no name of a device"),
            "Name the device as in /sys/class/infiniband."
        );
    }
    for (name, value) in &resources.unified {
        let field = || format!("linux.resources.unified[{name:?}]");
        require!(
            name.contains('.') && !name.starts_with('.') && !name.contains(['/', '\0']),
            field(),
            "must be the name of a cgroup file, without slashes",
            "Write it like \"memory.high\"."
        );
        no_nul_in(field, value)?;
    }
    Ok(())
}

fn devices(resources: &Resources) -> Result<()> {
    for (index, rule) in resources.devices.iter().enumerate() {
        let field = |name: &str| format!("linux.resources.devices[{index}].{name}");
        let kind = rule.kind.as_deref().unwrap_or_default();
        require!(
            matches!(kind, "" | "a" | "b" | "c"),
            field("type"),
            format!("{kind:?} is unknown"),
            "Use \"a\" for all, \"b\" for block or \"c\" for character devices."
        );
        for (name, number) in [("major", rule.major), ("minor", rule.minor)] {
            require!(
                number.is_none_or(|number| (-1..=i64::from(u32::MAX)).contains(&number)),
                field(name),
                format!("{} is out of range", number.unwrap_or_default()),
                "Give a device number, or -1 for all."
            );
        }
        let access = rule.access.as_deref().unwrap_or_default();
        require!(
            access.chars().all(|letter| "rwm".contains(letter)),
            field("access"),
            format!("{access:?} is unknown"),
            "Combine \"r\" (read), \"w\" (write) and \"m\" (mknod)."
        );
    }
    Ok(())
}

fn memory(resources: &Resources) -> Result<()> {
    let Some(memory) = &resources.memory else { return Ok(()) };
    let limits = [
        ("limit", memory.limit),
        ("reservation", memory.reservation),
        ("swap", memory.swap),
        ("kernel", memory.kernel),
        ("kernelTCP", memory.kernel_tcp),
    ];
    for (name, limit) in limits {
        require!(
            limit.is_none_or(|limit| limit >= -1),
            format!("linux.resources.memory.{name}"),
            format!("{} is negative", limit.unwrap_or_default()),
            "Give a number of bytes, or -1 for no limit."
        );
    }
    let swappiness = memory.swappiness.unwrap_or_default();
    require!(
        swappiness <= 100,
        "linux.resources.memory.swappiness",
        format!("{swappiness} is out of range"),
        "The range is 0 to 100."
    );
    if let (Some(limit @ 1..), Some(swap @ 1..)) = (memory.limit, memory.swap) {
        require!(
            swap >= limit,
            "linux.resources.memory.swap",
            format!("{swap} is less than the memory limit {limit}"),
            "\"swap\" is memory and swap together; it cannot be less than \"limit\"."
        );
    }
    Ok(())
}

/// kernel/sched: a period is 1 ms to 1 s, a quota at least 1 ms.
fn cpu(cpu: &Cpu) -> Result<()> {
    let period = cpu.period.unwrap_or_default();
    require!(
        period == 0 || (1_000..=1_000_000).contains(&period),
        "linux.resources.cpu.period",
        format!("{period} is out of range"),
        "The range is 1000 to 1000000 microseconds; 0 leaves it alone."
    );
    let quota = cpu.quota.unwrap_or_default();
    require!(
        quota <= 0 || quota >= 1_000,
        "linux.resources.cpu.quota",
        format!("{quota} is less than the kernel's minimum of 1000 microseconds"),
        "Raise it, or give -1 for no limit."
    );
    let idle = cpu.idle.unwrap_or_default();
    require!(matches!(idle, 0 | 1), "linux.resources.cpu.idle", format!("{idle} is neither 0 nor 1"), "Use 0 or 1.");
    for (name, list) in [("cpus", &cpu.cpus), ("mems", &cpu.mems)] {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            number_list(|| format!("linux.resources.cpu.{name}"), list)?;
        }
    }
    Ok(())
}

fn block_io(block: &BlockIo) -> Result<()> {
    let weight = |field: &dyn Fn() -> String, weight: Option<u16>| {
        let weight = weight.unwrap_or_default();
        require!(
            weight == 0 || (10..=1000).contains(&weight),
            field(),
            format!("{weight} is out of range"),
            "The range is 10 to 1000; 0 leaves it alone."
        );
        Ok(())
    };
    weight(&|| "linux.resources.blockIO.weight".to_owned(), block.weight)?;
    weight(&|| "linux.resources.blockIO.leafWeight".to_owned(), block.leaf_weight)?;
    let number = |list: &str, index: usize, (major, minor): (i64, i64)| {
        let valid = |number: i64| u32::try_from(number).is_ok();
        require!(
            valid(major) && valid(minor),
            format!("linux.resources.blockIO.{list}[{index}]"),
            format!("{major}:{minor} is no device number"),
            "Give the numbers that `lsblk` prints."
        );
        Ok(())
    };
    for (index, device) in block.weight_device.iter().enumerate() {
        number("weightDevice", index, (device.major, device.minor))?;
        let field = |name: &str| format!("linux.resources.blockIO.weightDevice[{index}].{name}");
        weight(&|| field("weight"), device.weight)?;
        weight(&|| field("leafWeight"), device.leaf_weight)?;
    }
    for (list, devices) in [
        ("throttleReadBpsDevice", &block.throttle_read_bps_device),
        ("throttleWriteBpsDevice", &block.throttle_write_bps_device),
        ("throttleReadIOPSDevice", &block.throttle_read_iops_device),
        ("throttleWriteIOPSDevice", &block.throttle_write_iops_device),
    ] {
        for (index, device) in devices.iter().enumerate() {
            number(list, index, (device.major, device.minor))?;
        }
    }
    Ok(())
}

/// The specification's pattern `^[1-9][0-9]*[KMG]B$`.
fn page_size(size: &str) -> bool {
    let digits = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit)).unwrap_or_default();
    digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() && !digits.starts_with('0')
}
