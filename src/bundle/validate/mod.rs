//! Checks of `config.json` that need no host: ranges, names, contradictions.
//!
//! The first violation is reported, with the field, the value and the remedy. What depends on the host (does a path
//! exist, does the kernel know it) is decided by the plan, and so are mount options.

mod linux;
mod process;
mod resources;
pub mod seccomp;
mod sysctl;
#[cfg(test)]
mod tests;

pub use linux::{MEMORY_FLAGS, MEMORY_MODES, NAMESPACES};
pub use process::{POLICIES, SCHEDULER_FLAGS, process};
pub use resources::resources;
pub use sysctl::path as sysctl_path;

use super::config::{Config, Hook, IdMapping, Mount, Namespace, Process, Root};
use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Refuses with `field: what. hint` unless `ok`; the texts are made only then.
macro_rules! require {
    ($ok:expr, $field:expr, $what:expr, $hint:expr) => {
        if !$ok {
            return Err(Error::new($what).context($field).hint($hint));
        }
    };
}
use require;

/// The newest specification that is implemented.
pub const OCI_VERSION: &str = "1.3.0";

/// Checks a whole configuration, except that a process is there: see [`runnable`].
///
/// # Errors
/// The first violation: `process.cwd: "tmp" is not absolute. Start it with "/".`
pub fn validate(config: &Config) -> Result<()> {
    version(&config.oci_version)?;
    root(config.root.as_ref())?;
    for (index, mount) in config.mounts.iter().enumerate() {
        self::mount(index, mount, config)?;
    }
    if let Some(process) = &config.process {
        self::process(process)?;
    }
    host_name("hostname", config.hostname.as_deref(), config)?;
    host_name("domainname", config.domainname.as_deref(), config)?;
    hooks(config)?;
    require!(
        config.annotations.keys().all(|key| !key.is_empty()),
        "annotations",
        "a key is empty",
        "Give every annotation a name."
    );
    linux::linux(config)
}

/// The process to create a container with: `start` needs it, so `create` does (config.md "Process").
///
/// # Errors
/// When the configuration has none.
pub fn runnable(config: &Config) -> Result<&Process> {
    config.process.as_ref().ok_or_else(|| {
        Error::new("is missing, but a container needs a program to run")
            .context("process")
            .hint("Add \"process\" with \"args\" and \"cwd\".")
    })
}

/// Whether the container has a namespace of this type that is not the runtime's own: new or joined.
pub fn has_namespace(config: &Config, kind: &str) -> bool {
    config.linux.namespaces.iter().any(|namespace| namespace.kind == kind)
}

/// Whether a namespace is made: it has no path, or an empty one, which engines write for "none".
pub fn is_new(namespace: &Namespace) -> bool {
    namespace.path.as_ref().is_none_or(|path| path.as_os_str().is_empty())
}

fn makes_namespace(config: &Config, kind: &str) -> bool {
    config.linux.namespaces.iter().any(|namespace| namespace.kind == kind && is_new(namespace))
}

/// Semantic Versioning 2.0.0; all of 1.x and what came before is compatible.
fn version(version: &str) -> Result<()> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').map(str::parse::<u32>).collect();
    let known = matches!(numbers.as_slice(), [Ok(0 | 1), Ok(_), Ok(_)]);
    require!(
        known,
        "ociVersion",
        format!("{version:?} is not a version that berth supports"),
        format!("Use a version like {OCI_VERSION:?}; berth supports 1.x.")
    );
    Ok(())
}

fn root(root: Option<&Root>) -> Result<()> {
    let Some(root) = root else {
        return Err(Error::new("is missing")
            .context("root")
            .hint("Add \"root\" with the \"path\" of the file system."));
    };
    require!(
        !root.path.as_os_str().is_empty(),
        "root.path",
        "is empty",
        "Give the path of the container's file system, usually \"rootfs\"."
    );
    no_nul("root.path", &root.path)
}

fn mount(index: usize, mount: &Mount, config: &Config) -> Result<()> {
    let field = |name: &str| format!("mounts[{index}].{name}");
    require!(
        !mount.destination.as_os_str().is_empty(),
        field("destination"),
        "is empty",
        "Give an absolute path inside the container."
    );
    no_nul_in(|| field("destination"), &mount.destination)?;
    no_nul_in(|| field("source"), mount.source.as_deref().unwrap_or(Path::new("")))?;
    no_nul_in(|| field("type"), mount.kind.as_deref().unwrap_or_default())?;
    for (number, option) in mount.options.iter().enumerate() {
        no_nul_in(|| field(&format!("options[{number}]")), option)?;
    }
    let mapped = [&mount.uid_mappings, &mount.gid_mappings].map(|mappings| !mappings.is_empty());
    let (missing, present) = match mapped {
        [false, false] => return idmap_option(index, mount, config),
        [true, true] => {
            let binds = |option: &String| option == "bind" || option == "rbind";
            let bind = mount.kind.as_deref() == Some("bind") || mount.options.iter().any(binds);
            require!(
                bind,
                field("uidMappings"),
                "are only supported for bind mounts",
                "Add the option \"bind\" or \"rbind\", or remove the mappings."
            );
            id_mappings(&field("uidMappings"), &mount.uid_mappings)?;
            return id_mappings(&field("gidMappings"), &mount.gid_mappings);
        }
        [true, false] => ("gidMappings", "uidMappings"),
        [false, true] => ("uidMappings", "gidMappings"),
    };
    Err(Error::new(format!("is missing, but there are {present}"))
        .context(field(missing))
        .hint("Give both mappings or none."))
}

/// `idmap` without a mapping of its own takes the container's.
fn idmap_option(index: usize, mount: &Mount, config: &Config) -> Result<()> {
    let Some(option) = mount.options.iter().find(|option| *option == "idmap" || *option == "ridmap") else {
        return Ok(());
    };
    require!(
        has_namespace(config, "user"),
        format!("mounts[{index}].options"),
        format!("{option:?} has no mapping: neither the mount nor the container has one"),
        "Give the mount uidMappings and gidMappings, or the container a user namespace."
    );
    Ok(())
}

/// What user_namespaces(7) demands of a map, so that the kernel's EINVAL does not have to be explained.
fn id_mappings(field: &str, mappings: &[IdMapping]) -> Result<()> {
    const KERNEL_LIMIT: usize = 340;
    require!(
        mappings.len() <= KERNEL_LIMIT,
        field.to_owned(),
        format!("has {} ranges, the kernel accepts {KERNEL_LIMIT}", mappings.len()),
        "Merge neighbouring ranges."
    );
    let overlap = |a: u32, a_size: u32, b: u32, b_size: u32| {
        u64::from(a) < u64::from(b) + u64::from(b_size) && u64::from(b) < u64::from(a) + u64::from(a_size)
    };
    for (index, map) in mappings.iter().enumerate() {
        require!(map.size > 0, format!("{field}[{index}].size"), "is 0", "A range has at least one id.");
        let fits = |first: u32| first.checked_add(map.size).is_some();
        require!(
            fits(map.container_id) && fits(map.host_id),
            format!("{field}[{index}]"),
            format!("reaches beyond the last id: {}:{}:{}", map.container_id, map.host_id, map.size),
            "The highest id is 4294967294."
        );
        for (earlier, other) in mappings.iter().take(index).enumerate() {
            let clash = overlap(map.container_id, map.size, other.container_id, other.size)
                || overlap(map.host_id, map.size, other.host_id, other.size);
            require!(
                !clash,
                format!("{field}[{index}]"),
                format!("overlaps {field}[{earlier}]"),
                "An id may be mapped once only, on both sides."
            );
        }
    }
    Ok(())
}

/// hostname and domainname: at most 64 bytes (uts_namespaces(7)), and not the host's own.
fn host_name(field: &'static str, name: Option<&str>, config: &Config) -> Result<()> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(()) };
    no_nul(field, name)?;
    require!(name.len() <= 64, field, format!("{name:?} has more than 64 bytes"), "Choose a shorter name.");
    require!(
        has_namespace(config, "uts"),
        field,
        format!("{name:?} cannot be set without a private UTS namespace"),
        "Add {\"type\": \"uts\"} to linux.namespaces."
    );
    Ok(())
}

fn hooks(config: &Config) -> Result<()> {
    let hooks = &config.hooks;
    let kinds: [(&str, &[Hook]); 6] = [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ];
    for (kind, hooks) in kinds {
        for (index, hook) in hooks.iter().enumerate() {
            let field = |name: &str| format!("hooks.{kind}[{index}].{name}");
            absolute(|| field("path"), &hook.path)?;
            strings(|| field("args"), &hook.args)?;
            strings(|| field("env"), &hook.env)?;
            require!(
                hook.timeout.is_none_or(|seconds| seconds > 0),
                field("timeout"),
                format!("{} is not greater than zero", hook.timeout.unwrap_or_default()),
                "Give a number of seconds, or leave it out for no limit."
            );
        }
    }
    Ok(())
}

/// A path that the kernel gets as a C string and that must be absolute.
fn absolute(field: impl Fn() -> String, path: &Path) -> Result<()> {
    require!(!path.as_os_str().is_empty(), field(), "is empty", "Give an absolute path.");
    require!(path.is_absolute(), field(), format!("{path:?} is not absolute"), "Start it with \"/\".");
    no_nul_in(field, path)
}

fn strings(field: impl Fn() -> String, list: &[String]) -> Result<()> {
    list.iter().enumerate().try_for_each(|(index, text)| no_nul_in(|| format!("{}[{index}]", field()), text))
}

fn no_nul(field: &'static str, text: impl AsRef<OsStr>) -> Result<()> {
    no_nul_in(|| field.to_owned(), text)
}

/// A C string ends at its first NUL byte: the rest would be dropped without a word.
fn no_nul_in(field: impl Fn() -> String, text: impl AsRef<OsStr>) -> Result<()> {
    let text = text.as_ref();
    require!(
        !text.as_bytes().contains(&0),
        field(),
        format!("{text:?} has a NUL byte in it"),
        "Remove the byte (\"\\u0000\")."
    );
    Ok(())
}

/// One of a list of names; the message has the list.
fn one_of(field: impl Fn() -> String, value: &str, names: &[&str]) -> Result<()> {
    require!(
        names.contains(&value),
        field(),
        format!("{value:?} is unknown"),
        format!("Use one of {}.", names.join(", "))
    );
    Ok(())
}

/// The kernel's format for sets of CPUs and memory nodes: `0-3,7`, also `0-31:2/8`.
fn number_list(field: impl Fn() -> String, list: &str) -> Result<()> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let range = |text: &str| {
        let (range, stride) = text.split_once(':').map_or((text, None), |(range, stride)| (range, Some(stride)));
        let ordered = match range.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
            None => number(range).is_some() && stride.is_none(),
        };
        let stride = stride.is_none_or(|stride| {
            stride.split_once('/').is_some_and(|(used, group)| {
                number(used).zip(number(group)).is_some_and(|(used, group)| 0 < used && used <= group)
            })
        });
        ordered && stride
    };
    let valid = list.trim().split(',').all(|part| range(part.trim()));
    require!(
        valid,
        field(),
        format!("{list:?} is not a list of numbers and ranges"),
        "Write it like \"0-3,7\", ranges in ascending order."
    );
    Ok(())
}
