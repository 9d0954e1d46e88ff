//! What the container will see as its file system: the root, the mounts in their order, devices, links, hidden paths.
//!
//! Building it reads the host and changes nothing; every complaint names its field. [`crate::init::rootfs`] carries
//! it out.

use super::devices::{self, Device, Link};
use super::mounts::{self, Mount, Propagation};
use crate::bundle::config::Config;
use crate::error::{Context, During, Error, Result};
use crate::sys::fs::directory_path;
use nix::errno::Errno;
use nix::libc::MS_SHARED;
use serde::Serialize;
use std::path::{Component, Path, PathBuf};

/// The file system of a container, ready to be made.
#[derive(Debug, Serialize)]
pub struct Filesystem {
    /// The root directory on the host: canonical, absolute.
    pub root: PathBuf,
    /// Whether the container's root mount is read-only.
    pub readonly: bool,
    /// `linux.rootfsPropagation`; without it what comes from the host still reaches the container (`rslave`).
    pub propagation: Option<Propagation>,
    /// The mounts, in the order in which they are made.
    pub mounts: Vec<Mount>,
    /// Device nodes: the default ones first, then `linux.devices`.
    pub devices: Vec<Device>,
    /// Symbolic links in `/dev`.
    pub links: Vec<Link>,
    /// Paths that read as empty.
    pub masked: Vec<PathBuf>,
    /// Paths that cannot be written.
    pub readonly_paths: Vec<PathBuf>,
    /// How the process gets into its root.
    pub enter: Enter,
}

impl Filesystem {
    /// Whether the mounts of the host stay shared with it until they are gone.
    pub fn shares_with_the_host(&self) -> bool {
        self.propagation.is_some_and(|propagation| propagation.kind == MS_SHARED)
    }
}

/// How the process gets into its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enter {
    /// `pivot_root(2)`: the host's mounts leave the namespace.
    Pivot,
    /// `--no-pivot`: the root is moved over `/`, for hosts whose root is an initramfs. Less safe.
    Move,
    /// `chroot(2)`: the container has no mount namespace of its own, its mounts are the host's.
    Chroot,
}

/// The user namespace that the container will run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserNamespace<'a> {
    /// The initial one of the machine, where device nodes can be made.
    Initial,
    /// Not the initial one, but the one that berth itself runs in.
    Inherited,
    /// A new one with `linux.uidMappings` and `linux.gidMappings`.
    New,
    /// An existing one, by its path.
    Join(&'a Path),
}

/// What the plan of the file system needs to know beyond `config.json`.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Directory of the bundle, absolute.
    pub bundle: &'a Path,
    /// The container's user namespace.
    pub user_namespace: UserNamespace<'a>,
    /// Whether the container has a mount namespace of its own, new or joined.
    pub mount_namespace: bool,
    /// Whether the container has a cgroup namespace of its own, new or joined.
    pub cgroup_namespace: bool,
    /// `--no-pivot`.
    pub no_pivot: bool,
}

/// Plans the file system of `config`.
///
/// # Errors
/// Names the field of `config.json`, its value and the remedy.
pub fn filesystem(config: &Config, around: &Surroundings<'_>) -> Result<Filesystem> {
    let root = root(config, around.bundle)?;
    let mounts = mounts::mounts(config, around, &root)?;
    let dev_is_bound = mounts.iter().any(Mount::binds_dev);
    Ok(Filesystem {
        readonly: config.root.as_ref().is_some_and(|root| root.readonly),
        propagation: config
            .linux
            .rootfs_propagation
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(propagation)
            .transpose()?,
        mounts,
        devices: if dev_is_bound { Vec::new() } else { devices::devices(config, around.user_namespace)? },
        links: if dev_is_bound { Vec::new() } else { devices::links() },
        masked: hidden(&config.linux.masked_paths, "linux.maskedPaths")?,
        readonly_paths: hidden(&config.linux.readonly_paths, "linux.readonlyPaths")?,
        enter: match (around.mount_namespace, around.no_pivot) {
            (false, _) => Enter::Chroot,
            (true, true) => Enter::Move,
            (true, false) => Enter::Pivot,
        },
        root,
    })
}

fn root(config: &Config, bundle: &Path) -> Result<PathBuf> {
    let Some(root) = config.root.as_ref().filter(|root| !root.path.as_os_str().is_empty()) else {
        return Err(Error::new("root.path is missing").hint("It names the directory of the root file system."));
    };
    let path = bundle.join(&root.path);
    let name = || format!("root.path {}", path.display());
    let path = match directory_path(&path) {
        Err(Errno::ENOTDIR) => return Err(Error::new("is not a directory").context(name())),
        result => result.during(|| "open").context(name)?,
    };
    if path == Path::new("/") {
        return Err(Error::new("is the root directory of the host").context("root.path /"));
    }
    Ok(path)
}

fn propagation(text: &str) -> Result<Propagation> {
    Propagation::parse(text).ok_or_else(|| {
        Error::new(format!("{text:?} is not a mount propagation"))
            .context("linux.rootfsPropagation")
            .hint("Use shared, slave, private or unbindable, or one of them with an r in front.")
    })
}

/// Paths under the root without the leading slash.
fn hidden(paths: &[PathBuf], field: &'static str) -> Result<Vec<PathBuf>> {
    let one = |(index, path): (usize, &PathBuf)| {
        if !path.is_absolute() {
            return Err(Error::new("is not an absolute path").context(format!("{field}[{index}] {}", path.display())));
        }
        Ok(relative(path))
    };
    paths.iter().enumerate().map(one).collect()
}

/// `path` seen from the container's root: cleaned of `.` and `..`, without the leading slash.
pub(crate) fn relative(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}
