//! Device nodes and links of `/dev` (config-linux.md "Devices", "Default Devices"; runtime-linux.md "Dev symbolic
//! links").

use super::filesystem::{UserNamespace, relative};
use crate::bundle::config::{self, Config};
use crate::error::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A device node to supply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// What errors call it: `linux.devices[0] /dev/fuse`, or the path alone for a default device.
    #[serde(skip)]
    pub name: String,
    /// Path in the container, without the leading slash.
    pub path: PathBuf,
    /// What the node is.
    #[serde(flatten)]
    pub node: Node,
    /// Permission bits; `None` leaves those of an existing or bound node.
    #[serde(serialize_with = "octal")]
    pub mode: Option<u32>,
    /// Owner in the container's ids.
    pub uid: Option<u32>,
    /// Group in the container's ids.
    pub gid: Option<u32>,
    /// Whether the host's node is bound instead, because a user namespace may not make one.
    pub bind: bool,
}

/// Type and number of a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum Node {
    /// A character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe; numbers in the configuration are ignored.
    Fifo,
}

/// A symbolic link to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Path in the container, without the leading slash.
    pub path: &'static str,
    /// Its target.
    pub target: &'static str,
}

const DEFAULTS: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// The default devices, then those of `linux.devices`, which replace a default one of the same path.
///
/// # Errors
/// When a device of the configuration cannot exist.
pub fn devices(config: &Config, namespace: UserNamespace<'_>) -> Result<Vec<Device>> {
    let bind = namespace != UserNamespace::Initial;
    let wanted = config
        .linux
        .devices
        .iter()
        .enumerate()
        .map(|(index, device)| device_of(index, device, bind))
        .collect::<Result<Vec<_>>>()?;
    let default = |(name, major, minor): (&str, u32, u32)| Device {
        name: format!("/dev/{name}"),
        path: Path::new("dev").join(name),
        node: Node::Char { major, minor },
        mode: Some(0o666),
        uid: None,
        gid: None,
        bind,
    };
    let mut all: Vec<_> = DEFAULTS.into_iter().map(default).collect();
    all.retain(|device| wanted.iter().all(|other| other.path != device.path));
    all.extend(wanted);
    Ok(all)
}

fn device_of(index: usize, device: &config::Device, bind: bool) -> Result<Device> {
    let name = format!("linux.devices[{index}] {}", device.path.display());
    let fail = |what: String| Err(Error::new(what).context(name.clone()));
    let path = relative(&device.path);
    if !device.path.is_absolute() || path.as_os_str().is_empty() {
        return fail("is not an absolute path of a device".into());
    }
    let number = |what: &str, value: Option<i64>, max: u32| match value.map(u32::try_from) {
        Some(Ok(value)) if value <= max => Ok(value),
        Some(_) => Err(Error::new(format!("{what} is out of range, 0 to {max}")).context(name.clone())),
        None => Err(Error::new(format!("{what} is missing")).context(name.clone())),
    };
    // dev_t of the kernel: 12 bits of major number, 20 of minor number.
    let numbers =
        || -> Result<_> { Ok((number("major", device.major, 0xfff)?, number("minor", device.minor, 0xf_ffff)?)) };
    let node = match device.kind.as_str() {
        "c" | "u" => numbers().map(|(major, minor)| Node::Char { major, minor })?,
        "b" => numbers().map(|(major, minor)| Node::Block { major, minor })?,
        "p" => Node::Fifo,
        other => return fail(format!("type {other:?} is not c, b, u or p")),
    };
    // Some engines pass the whole st_mode: the type bits are dropped.
    let mode = Some(device.file_mode.map_or(0o666, |mode| mode & 0o7777));
    Ok(Device { name, path, bind: bind && node != Node::Fifo, node, mode, uid: device.uid, gid: device.gid })
}

/// The links of `/dev`.
pub fn links() -> Vec<Link> {
    let link = |path, target| Link { path, target };
    vec![
        link("dev/fd", "/proc/self/fd"),
        link("dev/stdin", "/proc/self/fd/0"),
        link("dev/stdout", "/proc/self/fd/1"),
        link("dev/stderr", "/proc/self/fd/2"),
        link("dev/ptmx", "pts/ptmx"),
    ]
}

/// Permissions as chmod(1) takes them, `0666`.
pub(super) fn octal<S: serde::Serializer>(mode: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    mode.map(|mode| format!("{mode:04o}")).serialize(serializer)
}
