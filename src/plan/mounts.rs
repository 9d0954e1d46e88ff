//! `mounts` of the configuration, turned into what the kernel's mount interface takes (config.md "Mounts").

use super::filesystem::{Surroundings, UserNamespace, relative};
use super::hierarchies::{self, Hierarchy, Layout};
use super::options::Options;
pub use super::options::{Attributes, Data, Propagation};
use crate::bundle::config::{self, Config, IdMapping};
use crate::error::{During, Error, Result};
use crate::sys::mount::ATTR_RDONLY;
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use serde::Serialize;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// One mount to make.
#[derive(Debug, Serialize)]
pub struct Mount {
    /// What errors call it: `mounts[3] /sys (sysfs)`.
    #[serde(skip)]
    pub name: String,
    /// Path in the container, clean, without the leading slash.
    pub destination: PathBuf,
    /// What is mounted.
    #[serde(flatten)]
    pub kind: Kind,
    /// Attributes of the mount itself, applied before anyone can reach it.
    pub attributes: Attributes,
    /// Attributes of it and of the mounts below it.
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    pub recursive: Attributes,
    /// Propagation types, applied in this order once it is attached.
    pub propagation: Vec<Propagation>,
    /// Read-only only when everything is in place: things are still made inside.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late_readonly: bool,
}

/// What is mounted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "mount")]
pub enum Kind {
    /// Files of the host or of the container, seen at another place.
    Bind {
        /// Where they are.
        #[serde(flatten)]
        source: Source,
        /// `rbind`: with the mounts below.
        recursive: bool,
        /// Ownership as seen through another id map.
        #[serde(skip_serializing_if = "Option::is_none")]
        idmap: Option<IdMap>,
        /// Opened by the parent: the container's own user may not be able to reach the source.
        by_parent: bool,
    },
    /// A new instance of a file system of the kernel.
    New {
        /// Its type, as in `/proc/filesystems`.
        #[serde(rename = "type", serialize_with = "text")]
        fs: CString,
        /// Device, or the name that the mount table shows.
        #[serde(serialize_with = "text")]
        source: CString,
        /// Options of the file system.
        data: Vec<Data>,
        /// `tmpcopyup`: what the image has at the destination is copied into it.
        copy_up: bool,
    },
    /// cgroup version 2: new in a cgroup namespace, else the host's bound.
    Cgroup2 {
        /// Where the host has it.
        host: PathBuf,
        /// Whether a new instance is mounted.
        new: bool,
    },
    /// cgroup version 1 and hybrid: a tmpfs with one directory per hierarchy.
    Cgroup1 {
        /// The host's hierarchies.
        hierarchies: Vec<Hierarchy>,
        /// Whether new instances are mounted, else the container's own cgroups are bound.
        new: bool,
    },
    /// Options of an existing mount are changed.
    Remount {
        /// Only the attributes of the mount, not the file system's options.
        bind: bool,
        /// Options of the file system.
        data: Vec<Data>,
    },
}

/// Source of a bind mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// An absolute path on the host.
    #[serde(rename = "source")]
    Host(PathBuf),
    /// A path in the container's own root, without the leading slash: it shows the mounts made before.
    #[serde(rename = "source-inside")]
    Inside(PathBuf),
}

/// How owners are shown through a bind mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// The maps, or a user namespace that has them.
    pub by: IdMapBy,
    /// `ridmap`: the mounts below too.
    pub recursive: bool,
}

/// Where an id map comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdMapBy {
    /// The mount's `uidMappings` and `gidMappings`, or the container's.
    Maps(Vec<IdMapping>, Vec<IdMapping>),
    /// The user namespace that the container joins.
    Namespace(PathBuf),
}

impl Serialize for IdMap {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = if self.recursive { "ridmap" } else { "idmap" };
        match &self.by {
            IdMapBy::Namespace(path) => serializer.collect_str(&format_args!("{kind} {}", path.display())),
            IdMapBy::Maps(uids, gids) => {
                serializer.collect_str(&format_args!("{kind} uids {} gids {}", map_text(uids), map_text(gids)))
            }
        }
    }
}

/// Id maps as user_namespaces(7) writes them, separated by `; `.
fn map_text(maps: &[IdMapping]) -> String {
    let line = |map: &IdMapping| format!("{} {} {}", map.container_id, map.host_id, map.size);
    maps.iter().map(line).collect::<Vec<_>>().join("; ")
}

fn text<S: serde::Serializer>(value: &CString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.to_string_lossy())
}

impl Mount {
    /// Whether the host's `/dev` is bound: its nodes are used as they are.
    pub fn binds_dev(&self) -> bool {
        matches!(self.kind, Kind::Bind { .. }) && self.destination == Path::new("dev")
    }
}

/// Plans `mounts`, in their order; `root` is the container's root on the host.
///
/// # Errors
/// Names the entry and what is wrong with it.
pub fn mounts(config: &Config, around: &Surroundings<'_>, root: &Path) -> Result<Vec<Mount>> {
    // The label is for new file systems, where SELinux is on; elsewhere there is nothing to label (config-linux.md).
    let label = config.linux.mount_label.as_deref().filter(|label| !label.is_empty() && selinux_enabled());
    let planner = Planner { config, around, root, label };
    let one = |(index, mount): (usize, &config::Mount)| {
        let kind = mount.kind.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("bind");
        let name = format!("mounts[{index}] {} ({kind})", mount.destination.display());
        planner.mount(mount, name.clone()).map_err(|error| error.context(name))
    };
    config.mounts.iter().enumerate().map(one).collect()
}

fn selinux_enabled() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

struct Planner<'a> {
    config: &'a Config,
    around: &'a Surroundings<'a>,
    root: &'a Path,
    label: Option<&'a str>,
}

impl Planner<'_> {
    fn mount(&self, mount: &config::Mount, name: String) -> Result<Mount> {
        let destination = relative(&mount.destination);
        if destination.as_os_str().is_empty() {
            return Err(Error::new("the destination is the root file system itself"));
        }
        let mut options = Options::parse(mount.options.iter().map(String::as_str));
        match mount.kind.as_deref() {
            Some("bind") => options.bind = true,
            Some("rbind") => (options.bind, options.recursive_bind) = (true, true),
            _ => {}
        }
        let has_maps = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
        if (has_maps || options.idmap) && (options.remount || !options.bind) {
            return Err(Error::new("id maps work only with bind mounts"));
        }
        let kind = self.kind(mount, &mut options)?;
        check_proc(&destination, &kind)?;
        let mut attributes = options.attributes;
        let mut recursive = options.recursive;
        if !matches!(kind, Kind::Bind { .. } | Kind::Remount { .. }) {
            // A new file system has nothing below it: what is meant for all is meant for it.
            attributes.set |= recursive.set;
            recursive = Attributes::default();
        }
        let writable_first = matches!(&kind, Kind::New { fs, .. } if fs.as_c_str() == c"tmpfs");
        let late_readonly = writable_first && attributes.set & ATTR_RDONLY != 0;
        if late_readonly {
            attributes.set &= !ATTR_RDONLY;
        }
        Ok(Mount { name, destination, kind, attributes, recursive, propagation: options.propagation, late_readonly })
    }

    fn kind(&self, mount: &config::Mount, options: &mut Options) -> Result<Kind> {
        let data = std::mem::take(&mut options.data);
        if options.remount {
            return Ok(Kind::Remount { bind: options.bind, data });
        }
        if options.bind {
            return self.bind(mount, options);
        }
        let Some(fs) = mount.kind.as_deref().filter(|kind| !kind.is_empty() && *kind != "none") else {
            return Err(Error::new("type is missing").hint("A bind mount needs the option bind or rbind."));
        };
        if options.copy_up && fs != "tmpfs" {
            return Err(Error::new("tmpcopyup works only with a tmpfs"));
        }
        match fs {
            "cgroup" | "cgroup2" => self.cgroup(fs == "cgroup2"),
            _ => self.new_fs(mount, options, data, fs),
        }
    }

    fn new_fs(&self, mount: &config::Mount, options: &Options, mut data: Vec<Data>, fs: &str) -> Result<Kind> {
        let labelled = !matches!(fs, "proc" | "sysfs" | "mqueue") && data.iter().all(|data| data.key != "context");
        if let Some(label) = self.label.filter(|_| labelled) {
            data.push(Data { key: "context".into(), value: Some(label.to_owned()) });
        }
        // A file system on a device wants to know that it is not to be written; the kernel's own are shared with
        // others or still to be filled, their mount alone is read-only.
        let own = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "ramfs"].contains(&fs);
        if !own && options.attributes.set & ATTR_RDONLY != 0 {
            data.push(Data { key: "ro".into(), value: None });
        }
        let source = match mount.source.as_deref().filter(|source| !source.as_os_str().is_empty()) {
            Some(source) => source.as_os_str().as_bytes().to_vec(),
            None => fs.as_bytes().to_vec(),
        };
        Ok(Kind::New { fs: c_string(fs)?, source: c_string(source)?, data, copy_up: options.copy_up })
    }

    fn bind(&self, mount: &config::Mount, options: &Options) -> Result<Kind> {
        let Some(source) = mount.source.as_deref().filter(|source| !source.as_os_str().is_empty()) else {
            return Err(Error::new("source is missing").hint("A bind mount needs a file or directory to show."));
        };
        let idmap = self.idmap(mount, options)?;
        let path = self.around.bundle.join(source);
        let given = self.config.root.as_ref().map(|root| self.around.bundle.join(&root.path));
        let inside = path.strip_prefix(self.root).or_else(|error| match &given {
            Some(given) => path.strip_prefix(given),
            None => Err(error),
        });
        let source = match inside {
            Ok(inside) if idmap.is_none() => Source::Inside(relative(inside)),
            _ => Source::Host(path),
        };
        let other_user = matches!(self.around.user_namespace, UserNamespace::New | UserNamespace::Join(_));
        // Without privileges berth may clone mounts only in the new user namespace, where init is.
        let privileged = nix::unistd::geteuid().is_root();
        let by_parent = idmap.is_some() || other_user && privileged && matches!(source, Source::Host(_));
        Ok(Kind::Bind { source, recursive: options.recursive_bind, idmap, by_parent })
    }

    fn idmap(&self, mount: &config::Mount, options: &Options) -> Result<Option<IdMap>> {
        let (uids, gids) = (&mount.uid_mappings, &mount.gid_mappings);
        if uids.is_empty() != gids.is_empty() {
            return Err(Error::new("has only one of uidMappings and gidMappings").hint("Both are needed."));
        }
        if !options.idmap && uids.is_empty() {
            return Ok(None);
        }
        let linux = &self.config.linux;
        let by = match self.around.user_namespace {
            _ if !uids.is_empty() => IdMapBy::Maps(uids.clone(), gids.clone()),
            UserNamespace::New if !linux.uid_mappings.is_empty() && !linux.gid_mappings.is_empty() => {
                IdMapBy::Maps(linux.uid_mappings.clone(), linux.gid_mappings.clone())
            }
            UserNamespace::Join(path) => IdMapBy::Namespace(path.to_owned()),
            _ => {
                return Err(Error::new("idmap without uidMappings and gidMappings, and without a user namespace")
                    .hint("Give the mount its own maps, or the container a user namespace."));
            }
        };
        Ok(Some(IdMap { by, recursive: options.recursive_idmap }))
    }

    fn cgroup(&self, wants_v2: bool) -> Result<Kind> {
        let new = self.around.cgroup_namespace;
        Ok(match hierarchies::layout()? {
            Layout::Unified(host) => Kind::Cgroup2 { host, new },
            Layout::Legacy { unified, .. } if wants_v2 => {
                let host = unified.ok_or_else(|| Error::new("this host has no cgroup v2 hierarchy mounted"))?;
                Kind::Cgroup2 { host, new }
            }
            Layout::Legacy { hierarchies, .. } => Kind::Cgroup1 { hierarchies, new },
        })
    }
}

fn c_string(text: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(text).map_err(|_| Error::new("contains a NUL byte"))
}

/// Files that lxcfs provides; nothing else may cover a part of `/proc` (CVE-2019-16884, CVE-2025-52881).
const COVERABLE: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "net/dev",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
];

fn check_proc(destination: &Path, kind: &Kind) -> Result<()> {
    let Ok(below) = destination.strip_prefix("proc") else { return Ok(()) };
    let refuse = |what: &'static str| Err(Error::new(what).hint("A fake /proc would defeat the container's limits."));
    if !below.as_os_str().is_empty() {
        let allowed = COVERABLE.iter().any(|path| below == Path::new(path));
        let file = matches!(kind, Kind::Bind { .. } | Kind::Remount { .. });
        return if allowed && file { Ok(()) } else { refuse("cannot be mounted because it is inside /proc") };
    }
    match kind {
        Kind::New { fs, .. } if fs.as_c_str() == c"proc" => Ok(()),
        Kind::Remount { .. } => Ok(()),
        Kind::Bind { source: Source::Host(path), .. } => {
            let found = statfs(path).during(|| format!("statfs {}", path.display()))?;
            match found.filesystem_type() == PROC_SUPER_MAGIC {
                true => Ok(()),
                false => refuse("only procfs can be mounted on /proc"),
            }
        }
        _ => refuse("only procfs can be mounted on /proc"),
    }
}
