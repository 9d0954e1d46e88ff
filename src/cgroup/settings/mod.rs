//! From `linux.resources` to values in files, decided before anything is made (config-linux.md, "Control groups").
//!
//! 0 and absence mean "not set" wherever runc and the engines use them so. What this host cannot apply is an error
//! that names the field, never ignored.

use super::host::Host;
use super::{Record, convert, paths, tree};
use crate::bundle::config::{HugepageLimit, Network, Rdma, Resources};
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

mod apply;
mod cpu;
mod io;
mod memory;

pub use apply::{apply, current};

/// Which kind of hierarchy a file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// One hierarchy per controller.
    V1,
    /// The unified hierarchy.
    V2,
}

/// A value for a file of the container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The controller, `memory`; `cgroup` for files of the core.
    pub controller: String,
    /// Its hierarchy.
    pub version: Version,
    /// The file's name, `memory.max`.
    pub file: String,
    /// What is written.
    pub value: String,
    /// The field of the configuration it comes from, `linux.resources.memory.limit`.
    pub field: String,
    /// Another file and its value where the kernel has not the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<(String, String)>,
    /// Whether a kernel without the file already does what is asked.
    #[serde(skip)]
    pub optional: bool,
}

/// Which controllers a container's cgroup has, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    v1: BTreeSet<String>,
    v2: Option<BTreeSet<String>>,
    /// Controllers of the host that the caller has no rights to.
    denied: BTreeSet<String>,
    /// Where cgroup v2 is mounted, to enable controllers from there on.
    pub(super) mount: Option<PathBuf>,
}

impl Layout {
    /// For a cgroup to be made.
    pub fn planned(host: &Host, paths: &BTreeMap<String, PathBuf>, rootless: bool) -> Self {
        let v1: BTreeSet<String> = paths.keys().filter(|controller| !controller.is_empty()).cloned().collect();
        let all = host.v2.as_ref().map(|v2| v2.controllers.clone()).unwrap_or_default();
        // Without rights further up only what is delegated can be enabled.
        let delegated = |path| tree::value(paths::existing(path), "cgroup.controllers").filter(|_| rootless);
        let v2 = paths.get("").map(|path| match rootless.then(|| delegated(path)).flatten() {
            Some(list) => list.split_whitespace().map(str::to_owned).collect(),
            None => all.clone(),
        });
        let denied = host.v1.iter().flat_map(|hierarchy| &hierarchy.controllers).chain(&all);
        let given = |controller: &&String| {
            v1.contains(*controller) || v2.as_ref().is_some_and(|v2: &BTreeSet<String>| v2.contains(*controller))
        };
        let denied = denied.filter(|controller| !given(controller)).cloned().collect();
        Self { v1, v2, denied, mount: host.v2.as_ref().map(|v2| v2.mount.clone()) }
    }

    /// Of a cgroup that exists.
    pub fn existing(record: &Record) -> Self {
        let v1 = record.paths.keys().filter(|controller| !controller.is_empty()).cloned().collect();
        let v2 = record.paths.get("").map(|path| {
            let list = tree::value(path, "cgroup.controllers").unwrap_or_default();
            list.split_whitespace().map(str::to_owned).collect()
        });
        Self { v1, v2, ..Self::default() }
    }

    /// The hierarchy with this controller.
    pub fn version(&self, controller: &str) -> Option<Version> {
        if self.v1.contains(controller) {
            Some(Version::V1)
        } else {
            self.v2.as_ref()?.contains(controller).then_some(Version::V2)
        }
    }

    /// Whether all of the cgroup is v2.
    pub fn is_pure_v2(&self) -> bool {
        self.v1.is_empty() && self.v2.is_some()
    }

    /// The controllers that cgroup v2 offers here.
    pub fn v2_controllers(&self) -> impl Iterator<Item = &str> {
        self.v2.iter().flatten().map(String::as_str)
    }

    fn missing(&self, controller: &str) -> Error {
        if self.denied.contains(controller) {
            return Error::new(format!("the caller has no rights to the {controller} controller"))
                .hint("Have it delegated (systemd: Delegate=yes), or remove the limit");
        }
        let error = Error::new(format!("the {controller} controller is not available here"));
        match (&self.v2, self.v1.is_empty()) {
            (None, true) => error.hint("The container has no cgroup of its own"),
            (Some(_), true) => error.hint("cgroup.controllers does not list it"),
            _ => error.hint("It is not mounted as cgroup v1, and cgroup v2 does not offer it"),
        }
    }
}

/// The settings of `resources`, in the order in which they are written; device rules are not among them.
///
/// # Errors
/// Names the field whose value is impossible or whose controller is missing.
pub fn settings(layout: &Layout, resources: &Resources) -> Result<Vec<Setting>> {
    let mut list = List { layout, settings: Vec::new() };
    if let Some(cpu) = &resources.cpu {
        list.cpu(cpu)?;
    }
    if let Some(memory) = &resources.memory {
        list.memory(memory)?;
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        let max = convert::pids(limit).to_string();
        list.put("pids", "pids.limit", &[("pids.max", "pids.max", &max)])?;
    }
    if let Some(io) = &resources.block_io {
        list.block_io(io)?;
    }
    list.hugepages(&resources.hugepage_limits)?;
    if let Some(network) = &resources.network {
        list.network(network)?;
    }
    list.rdma(&resources.rdma)?;
    list.unified(&resources.unified)?;
    Ok(list.settings)
}

/// The settings so far.
struct List<'a> {
    layout: &'a Layout,
    settings: Vec<Setting>,
}

impl List<'_> {
    /// The controller's hierarchy.
    fn version(&self, controller: &str, field: &str) -> Result<Version> {
        self.layout.version(controller).ok_or_else(|| self.layout.missing(controller).context(path(field)))
    }

    /// Adds values for files, each with its v1 and v2 name, and gives the last one to be refined.
    fn put(&mut self, controller: &str, field: &str, values: &[(&str, &str, &str)]) -> Result<&mut Self> {
        let version = self.version(controller, field)?;
        for (v1, v2, value) in values {
            let file = if version == Version::V1 { v1 } else { v2 };
            self.settings.push(Setting {
                controller: controller.into(),
                version,
                file: (*file).into(),
                value: (*value).into(),
                field: path(field),
                otherwise: None,
                optional: false,
            });
        }
        Ok(self)
    }

    /// A kernel that lacks the file of the last setting is no error if `condition`.
    fn optional(&mut self, condition: bool) {
        if let Some(last) = self.settings.last_mut() {
            last.optional = condition;
        }
    }

    /// Where the file of the last setting is missing, another one is written.
    fn otherwise(&mut self, v1: (&str, String), v2: (&str, String)) {
        if let Some(last) = self.settings.last_mut() {
            let (file, value) = if last.version == Version::V1 { v1 } else { v2 };
            last.otherwise = Some((file.into(), value));
        }
    }

    fn hugepages(&mut self, limits: &[HugepageLimit]) -> Result<()> {
        for (index, HugepageLimit { page_size: size, limit }) in limits.iter().enumerate() {
            let field = format!("hugepageLimits[{index}]");
            if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(Error::new(format!("{size:?} is no page size such as 2MB"))
                    .context(path(&format!("{field}.pageSize"))));
            }
            let limit = limit.to_string();
            // Usage and reservation, as runc; old kernels and small pages lack the second.
            for (suffix, optional) in [("", false), (".rsvd", true)] {
                let v1 = format!("hugetlb.{size}{suffix}.limit_in_bytes");
                let v2 = format!("hugetlb.{size}{suffix}.max");
                self.put("hugetlb", &field, &[(&v1, &v2, &limit)])?.optional(optional);
            }
        }
        Ok(())
    }

    fn network(&mut self, network: &Network) -> Result<()> {
        // Both exist on v1 only; v2 hosts classify packets by nftables' or eBPF's match on the cgroup.
        if let Some(class) = network.class_id.filter(|class| *class != 0) {
            self.put("net_cls", "network.classID", &[("net_cls.classid", "", &class.to_string())])?;
        }
        for (index, priority) in network.priorities.iter().enumerate() {
            let value = format!("{} {}", priority.name, priority.priority);
            let field = format!("network.priorities[{index}]");
            self.put("net_prio", &field, &[("net_prio.ifpriomap", "", &value)])?;
        }
        Ok(())
    }

    fn rdma(&mut self, devices: &BTreeMap<String, Rdma>) -> Result<()> {
        for (device, limits) in devices {
            let handles = limits.hca_handles.map(|value| format!(" hca_handle={value}"));
            let objects = limits.hca_objects.map(|value| format!(" hca_object={value}"));
            let field = format!("rdma.{device}");
            if handles.is_none() && objects.is_none() {
                return Err(Error::new("neither hcaHandles nor hcaObjects is given").context(path(&field)));
            }
            let value = format!("{device}{}{}", handles.unwrap_or_default(), objects.unwrap_or_default());
            self.put("rdma", &field, &[("rdma.max", "rdma.max", &value)])?;
        }
        Ok(())
    }

    fn unified(&mut self, files: &BTreeMap<String, String>) -> Result<()> {
        for (file, value) in files {
            let field = path(&format!("unified.{file}"));
            let controller = match file.split_once('.') {
                Some((controller, rest)) if !controller.is_empty() && !rest.is_empty() && !file.contains('/') => {
                    controller
                }
                _ => return Err(Error::new("is no file of a cgroup such as memory.high").context(field)),
            };
            let available = match &self.layout.v2 {
                Some(controllers) => controller == "cgroup" || controllers.contains(controller),
                None => false,
            };
            if !available {
                let error = match self.layout.v1.contains(controller) {
                    true => Error::new(format!("the {controller} controller is mounted as cgroup v1 here"))
                        .hint("unified is for cgroup v2; use the other properties of linux.resources"),
                    false => self.layout.missing(controller),
                };
                return Err(error.context(field));
            }
            // Files such as io.max take one line at a time.
            for line in value.lines().filter(|line| !line.trim().is_empty()) {
                self.settings.push(Setting {
                    controller: controller.into(),
                    version: Version::V2,
                    file: file.clone(),
                    value: line.into(),
                    field: field.clone(),
                    otherwise: None,
                    optional: false,
                });
            }
        }
        Ok(())
    }
}

/// The full name of a field of the resources.
fn path(field: &str) -> String {
    format!("linux.resources.{field}")
}

#[cfg(test)]
mod tests;
