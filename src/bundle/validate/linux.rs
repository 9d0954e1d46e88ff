//! config-linux.md, except resources, seccomp and sysctls.

use super::{absolute, has_namespace, id_mappings, is_new, makes_namespace, no_nul, number_list, one_of, require};
use crate::bundle::config::{Config, Device, Linux, MemoryPolicy, Personality};
use crate::error::{Error, Result};
use std::path::Component;

/// Types of namespaces.
pub const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];

const PROPAGATIONS: [&str; 8] =
    ["shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"];

/// Modes of a NUMA memory policy, set_mempolicy(2).
pub const MEMORY_MODES: [&str; 7] = [
    "MPOL_DEFAULT",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_WEIGHTED_INTERLEAVE",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_LOCAL",
];

/// Flags of a NUMA memory policy, set_mempolicy(2).
pub const MEMORY_FLAGS: [&str; 3] = ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];

pub(super) fn linux(config: &Config) -> Result<()> {
    let linux = &config.linux;
    namespaces(linux)?;
    user_namespace(config)?;
    time_offsets(config)?;
    super::sysctl::sysctls(config)?;
    for (index, device) in linux.devices.iter().enumerate() {
        self::device(index, device)?;
    }
    cgroups_path(linux)?;
    if let Some(resources) = &linux.resources {
        super::resources(resources)?;
    }
    if let Some(seccomp) = &linux.seccomp {
        super::seccomp::seccomp(seccomp)?;
    }
    if let Some(propagation) = linux.rootfs_propagation.as_deref().filter(|name| !name.is_empty()) {
        one_of(|| "linux.rootfsPropagation".to_owned(), propagation, &PROPAGATIONS)?;
    }
    for (name, paths) in [("maskedPaths", &linux.masked_paths), ("readonlyPaths", &linux.readonly_paths)] {
        require!(
            paths.is_empty() || has_namespace(config, "mount"),
            format!("linux.{name}"),
            "needs a private mount namespace: the host's paths would change",
            "Add {\"type\": \"mount\"} to linux.namespaces."
        );
        for (index, path) in paths.iter().enumerate() {
            absolute(|| format!("linux.{name}[{index}]"), path)?;
        }
    }
    no_nul("linux.mountLabel", linux.mount_label.as_deref().unwrap_or_default())?;
    linux.personality.as_ref().map_or(Ok(()), personality)?;
    linux.memory_policy.as_ref().map_or(Ok(()), memory_policy)
}

fn namespaces(linux: &Linux) -> Result<()> {
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let field = |name: &str| format!("linux.namespaces[{index}].{name}");
        one_of(|| field("type"), &namespace.kind, &NAMESPACES)?;
        let earlier = linux.namespaces.iter().take(index).position(|other| other.kind == namespace.kind);
        require!(
            earlier.is_none(),
            field("type"),
            format!("{:?} is already in linux.namespaces[{}]", namespace.kind, earlier.unwrap_or_default()),
            "Name each type once."
        );
        if let Some(path) = namespace.path.as_deref().filter(|_| !is_new(namespace)) {
            absolute(|| field("path"), path)?;
        }
    }
    Ok(())
}

fn user_namespace(config: &Config) -> Result<()> {
    let maps = [("linux.uidMappings", &config.linux.uid_mappings), ("linux.gidMappings", &config.linux.gid_mappings)];
    for (field, mappings) in maps {
        require!(
            mappings.is_empty() || has_namespace(config, "user"),
            field,
            "are there, but the container has no user namespace",
            "Add {\"type\": \"user\"} to linux.namespaces, or remove the mappings."
        );
        require!(
            !mappings.is_empty() || !makes_namespace(config, "user"),
            field,
            "is missing, but the container has a new user namespace",
            "Map at least the id 0 of the container."
        );
        id_mappings(field, mappings)?;
    }
    Ok(())
}

fn time_offsets(config: &Config) -> Result<()> {
    let offsets = &config.linux.time_offsets;
    require!(
        offsets.is_empty() || makes_namespace(config, "time"),
        "linux.timeOffsets",
        "needs a new time namespace",
        "Add {\"type\": \"time\"} without a path to linux.namespaces."
    );
    for (clock, offset) in offsets {
        one_of(|| "linux.timeOffsets".to_owned(), clock, &["monotonic", "boottime"])?;
        require!(
            offset.nanosecs < 1_000_000_000,
            format!("linux.timeOffsets.{clock}.nanosecs"),
            format!("{} is a second or more", offset.nanosecs),
            "Put whole seconds into \"secs\"."
        );
    }
    Ok(())
}

fn device(index: usize, device: &Device) -> Result<()> {
    let field = |name: &str| format!("linux.devices[{index}].{name}");
    one_of(|| field("type"), &device.kind, &["c", "b", "u", "p"])?;
    absolute(|| field("path"), &device.path)?;
    if device.kind != "p" {
        for (name, number) in [("major", device.major), ("minor", device.minor)] {
            let Some(number) = number else {
                return Err(Error::new(format!("is missing for {}", device.path.display()))
                    .context(field(name))
                    .hint("Every device but a FIFO (\"p\") has numbers."));
            };
            require!(
                u32::try_from(number).is_ok(),
                field(name),
                format!("{number} is no device number"),
                "The range is 0 to 4294967295."
            );
        }
    }
    // Engines also copy the bits of the type, as stat(2) returns them; only the permissions are used.
    require!(
        device.file_mode.is_none_or(|mode| mode <= 0o177_777),
        field("fileMode"),
        format!("{} is out of range", device.file_mode.unwrap_or_default()),
        "Give permissions as a decimal number, 438 for 0666."
    );
    for (name, id) in [("uid", device.uid), ("gid", device.gid)] {
        require!(id != Some(u32::MAX), field(name), "4294967295 (-1) is no valid id", "The highest id is 4294967294.");
    }
    Ok(())
}

/// A path from a caller below a tree of its own: `..` would lead out of it.
fn cgroups_path(linux: &Linux) -> Result<()> {
    let path = linux.cgroups_path.as_deref().unwrap_or_default();
    no_nul("linux.cgroupsPath", path)?;
    let climbs = std::path::Path::new(path).components().any(|part| part == Component::ParentDir);
    require!(!climbs, "linux.cgroupsPath", format!("{path:?} has \"..\" in it"), "Write the path without \"..\".");
    Ok(())
}

fn personality(personality: &Personality) -> Result<()> {
    one_of(|| "linux.personality.domain".to_owned(), &personality.domain, &["LINUX", "LINUX32"])?;
    require!(
        personality.flags.is_empty(),
        "linux.personality.flags",
        "the specification defines no flags yet",
        "Remove them."
    );
    Ok(())
}

/// set_mempolicy(2): which modes take nodes, which flags go together.
fn memory_policy(policy: &MemoryPolicy) -> Result<()> {
    let mode = policy.mode.as_str();
    one_of(|| "linux.memoryPolicy.mode".to_owned(), mode, &MEMORY_MODES)?;
    for (index, flag) in policy.flags.iter().enumerate() {
        one_of(|| format!("linux.memoryPolicy.flags[{index}]"), flag, &MEMORY_FLAGS)?;
    }
    let nodes = policy.nodes.trim();
    if !nodes.is_empty() {
        number_list(|| "linux.memoryPolicy.nodes".to_owned(), nodes)?;
    }
    let bare = matches!(mode, "MPOL_DEFAULT" | "MPOL_LOCAL");
    require!(
        nodes.is_empty() || !bare,
        "linux.memoryPolicy.nodes",
        format!("{nodes:?} does not go with {mode}"),
        "Remove the nodes."
    );
    require!(
        !nodes.is_empty() || bare || mode == "MPOL_PREFERRED",
        "linux.memoryPolicy.nodes",
        format!("is empty, but {mode} needs nodes"),
        "Name memory nodes, like \"0-3,7\"."
    );
    let has = |name: &str| policy.flags.iter().any(|flag| flag == name);
    let flags = "linux.memoryPolicy.flags";
    require!(
        policy.flags.is_empty() || !nodes.is_empty(),
        flags,
        format!("do not go with {mode} without nodes"),
        "Remove the flags."
    );
    require!(
        !(has("MPOL_F_STATIC_NODES") && has("MPOL_F_RELATIVE_NODES")),
        flags,
        "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other",
        "Keep one of them."
    );
    require!(
        !has("MPOL_F_NUMA_BALANCING") || matches!(mode, "MPOL_BIND" | "MPOL_PREFERRED_MANY"),
        flags,
        format!("MPOL_F_NUMA_BALANCING does not go with {mode}"),
        "It needs MPOL_BIND or MPOL_PREFERRED_MANY."
    );
    Ok(())
}
