//! Which namespaces the container makes, joins or shares with its caller, namespaces(7).

use crate::bundle::config::{Config, IdMapping, TimeOffset};
use crate::error::{Error, Result};
use nix::libc;
use serde::{Serialize, Serializer};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Kind {
    User,
    Mount,
    Pid,
    Network,
    Ipc,
    Uts,
    Cgroup,
    Time,
}

/// `CLONE_NEWTIME`, linux/sched.h.
pub const CLONE_NEWTIME: i32 = 0x80;

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 8] =
        [Self::User, Self::Mount, Self::Pid, Self::Network, Self::Ipc, Self::Uts, Self::Cgroup, Self::Time];

    /// The name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mount => "mount",
            Self::Pid => "pid",
            Self::Network => "network",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The kind of this name in `config.json`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its `CLONE_NEW*` flag.
    pub fn flag(self) -> i32 {
        match self {
            Self::User => libc::CLONE_NEWUSER,
            Self::Mount => libc::CLONE_NEWNS,
            Self::Pid => libc::CLONE_NEWPID,
            Self::Network => libc::CLONE_NEWNET,
            Self::Ipc => libc::CLONE_NEWIPC,
            Self::Uts => libc::CLONE_NEWUTS,
            Self::Cgroup => libc::CLONE_NEWCGROUP,
            Self::Time => CLONE_NEWTIME,
        }
    }

    /// The name of its file in `/proc/<pid>/ns`.
    pub fn file(self) -> &'static str {
        match self {
            Self::Mount => "mnt",
            Self::Network => "net",
            other => other.name(),
        }
    }

    /// The key that runc's `state.json` has for it in `namespace_paths`.
    pub fn runc_key(self) -> &'static str {
        match self {
            Self::User => "NEWUSER",
            Self::Mount => "NEWNS",
            Self::Pid => "NEWPID",
            Self::Network => "NEWNET",
            Self::Ipc => "NEWIPC",
            Self::Uts => "NEWUTS",
            Self::Cgroup => "NEWCGROUP",
            Self::Time => "NEWTIME",
        }
    }
}

/// Where a namespace comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The caller's.
    #[default]
    Inherit,
    /// A new one.
    New,
    /// The one that this file names.
    Join(PathBuf),
}

/// The container's namespaces, and what belongs to them alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Namespaces {
    #[serde(flatten, serialize_with = "by_name")]
    origins: [Origin; 8],
    /// Text for `uid_map`, empty without a new user namespace.
    pub uid_map: Vec<IdRange>,
    /// Text for `gid_map`.
    pub gid_map: Vec<IdRange>,
    /// Text for `timens_offsets`, empty when the clocks keep their time.
    pub time_offsets: String,
}

/// A line of `uid_map`, user_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IdRange {
    /// First id inside.
    pub container: u32,
    /// First id outside.
    pub host: u32,
    /// Number of ids.
    pub size: u32,
}

impl Namespaces {
    /// Decides from a validated configuration.
    ///
    /// # Errors
    /// For an unknown kind of namespace.
    pub fn plan(config: &Config) -> Result<Self> {
        let mut plan = Self::default();
        for (index, namespace) in config.linux.namespaces.iter().enumerate() {
            let field = || format!("linux.namespaces[{index}].type");
            let kind = Kind::from_name(&namespace.kind)
                .ok_or_else(|| Error::new(format!("{:?} is no namespace", namespace.kind)).context(field()))?;
            plan.origins[kind as usize] = match namespace.path.as_deref().filter(|path| !path.as_os_str().is_empty()) {
                Some(path) => Origin::Join(path.to_path_buf()),
                None => Origin::New,
            };
        }
        if plan.is_new(Kind::User) {
            plan.uid_map = ranges(&config.linux.uid_mappings);
            plan.gid_map = ranges(&config.linux.gid_mappings);
        }
        if plan.is_new(Kind::Time) {
            for (clock, TimeOffset { secs, nanosecs }) in &config.linux.time_offsets {
                let _ = writeln!(plan.time_offsets, "{clock} {secs} {nanosecs}");
            }
        }
        Ok(plan)
    }

    /// Where the namespace of this kind comes from.
    pub fn origin(&self, kind: Kind) -> &Origin {
        &self.origins[kind as usize]
    }

    /// Whether the container gets a new namespace of this kind.
    pub fn is_new(&self, kind: Kind) -> bool {
        *self.origin(kind) == Origin::New
    }

    /// Whether the container shares this namespace with the caller.
    pub fn is_inherited(&self, kind: Kind) -> bool {
        *self.origin(kind) == Origin::Inherit
    }

    /// The file of a namespace that is joined.
    pub fn joined(&self, kind: Kind) -> Option<&Path> {
        match self.origin(kind) {
            Origin::Join(path) => Some(path),
            _ => None,
        }
    }

    /// The namespaces that are not the caller's.
    pub fn own(&self) -> impl Iterator<Item = Kind> + '_ {
        Kind::ALL.into_iter().filter(|kind| !self.is_inherited(*kind))
    }

    /// The host's uid and gid of the container's root, when a new user namespace maps it.
    pub fn root_on_host(&self) -> Option<(u32, u32)> {
        self.is_new(Kind::User).then(|| Some((on_host(&self.uid_map, 0)?, on_host(&self.gid_map, 0)?))).flatten()
    }
}

/// The host's id of an id inside.
pub fn on_host(map: &[IdRange], id: u32) -> Option<u32> {
    let range = map.iter().find(|range| id.checked_sub(range.container).is_some_and(|offset| offset < range.size))?;
    range.host.checked_add(id - range.container)
}

/// The lines of a map file.
pub fn map_text(map: &[IdRange]) -> String {
    map.iter().map(|range| format!("{} {} {}\n", range.container, range.host, range.size)).collect()
}

fn by_name<S: Serializer>(origins: &[Origin; 8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(Kind::ALL.into_iter().map(|kind| (kind.name(), &origins[kind as usize])))
}

fn ranges(mappings: &[IdMapping]) -> Vec<IdRange> {
    let range = |map: &IdMapping| IdRange { container: map.container_id, host: map.host_id, size: map.size };
    mappings.iter().map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_map_to_the_host() {
        let map =
            [IdRange { container: 0, host: 100_000, size: 10 }, IdRange { container: 50, host: u32::MAX, size: 2 }];
        assert_eq!(on_host(&map, 9), Some(100_009));
        assert_eq!(on_host(&map, 10), None);
        assert_eq!(on_host(&map, 50), Some(u32::MAX));
        assert_eq!(on_host(&map, 51), None);
        assert_eq!(map_text(&map[..1]), "0 100000 10\n");
    }
}
