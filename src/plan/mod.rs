//! Every decision about a container, made before anything exists that would have to be undone.
//!
//! A [`Plan`] is what `create` carries out and what `berth plan` prints: the same value. Making one reads the host and
//! changes nothing.

pub mod devices;
pub mod filesystem;
pub mod hierarchies;
pub mod mounts;
pub mod namespaces;
pub mod options;
pub mod process;
pub mod scheduling;

use crate::bundle::Bundle;
use crate::bundle::config::{Config, Hooks};
use crate::bundle::validate;
use crate::cgroup;
use crate::error::{Error, Result};
use crate::security::seccomp::{self, Filter};
use filesystem::{Filesystem, Surroundings, UserNamespace};
use namespaces::{Kind, Namespaces};
use process::Process;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the command line decides, not `config.json`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Who makes the cgroup.
    pub driver: cgroup::Driver,
    /// Whether rights on the cgroup hierarchies may be missing.
    pub rootless: bool,
    /// `--no-pivot`
    pub no_pivot: bool,
    /// `--no-new-keyring`
    pub no_new_keyring: bool,
    /// `--preserve-fds`
    pub preserve_fds: u32,
    /// Where compiled filters are kept.
    pub seccomp_cache: Option<PathBuf>,
}

/// A container, ready to be made.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The container's name.
    pub id: String,
    /// The bundle's directory, absolute.
    pub bundle: PathBuf,
    /// What the container has of its own.
    pub namespaces: Namespaces,
    /// Everything below `/`.
    pub filesystem: Filesystem,
    /// `None`: as the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// `None`: as the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// Kernel parameters of its namespaces.
    pub sysctl: Vec<Sysctl>,
    /// The program.
    pub process: Process,
    /// Name of the session keyring to make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyring: Option<String>,
    /// The program's system call filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Filter>,
    /// Where notified system calls are reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<Listener>,
    /// Limits as they will be written.
    #[serde(serialize_with = "limits")]
    pub cgroup: cgroup::Plan,
    /// Programs of the engine.
    #[serde(skip)]
    pub hooks: Hooks,
    /// What the container does not get although it was asked for, and why.
    pub notes: Vec<String>,
}

/// A kernel parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sysctl {
    /// As the configuration names it.
    pub name: String,
    /// Path below `/proc/sys`.
    pub path: String,
    /// What is written there.
    pub value: String,
}

/// The agent that answers notified system calls (config-linux.md "The Container Process State").
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Its socket.
    pub path: PathBuf,
    /// Opaque text for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

impl Plan {
    /// Plans the container `id` of a validated bundle.
    ///
    /// # Errors
    /// For everything in the configuration that this host cannot do; the error names the field.
    pub fn new(id: &str, bundle: &Bundle, options: &Options) -> Result<Self> {
        let config = &bundle.config;
        refuse_unsupported(config)?;
        let namespaces = Namespaces::plan(config)?;
        let surroundings = Surroundings {
            bundle: &bundle.path,
            user_namespace: user_namespace(&namespaces),
            mount_namespace: !namespaces.is_inherited(Kind::Mount),
            cgroup_namespace: !namespaces.is_inherited(Kind::Cgroup),
            no_pivot: options.no_pivot,
        };
        let filesystem = filesystem::filesystem(config, &surroundings)?;
        let process = validate::runnable(config)?;
        let (process, mut notes) =
            Process::plan(process, &config.linux, !namespaces.is_inherited(Kind::User), options.preserve_fds)?;
        let (seccomp, listener) = filter(config, options, &mut notes)?;
        Ok(Self {
            id: id.into(),
            bundle: bundle.path.clone(),
            filesystem,
            hostname: config.hostname.clone().filter(|name| !name.is_empty()),
            domainname: config.domainname.clone().filter(|name| !name.is_empty()),
            sysctl: sysctls(config)?,
            process,
            keyring: (!options.no_new_keyring).then(|| format!("_ses.{id}")),
            seccomp,
            listener,
            cgroup: cgroup_plan(id, config, &namespaces, options)?,
            namespaces,
            hooks: config.hooks.clone(),
            notes,
        })
    }
}

/// Properties of the specification that berth does not have yet are refused, never ignored.
fn refuse_unsupported(config: &Config) -> Result<()> {
    if config.linux.intel_rdt.is_some() {
        return Err(Error::new("Intel RDT is not supported yet")
            .context("linux.intelRdt")
            .hint("Remove the property."));
    }
    if !config.linux.net_devices.is_empty() {
        let error = Error::new("moving network devices is not supported yet").context("linux.netDevices");
        return Err(error.hint("Move the device with `ip link set DEVICE netns PID`, or a createRuntime hook."));
    }
    Ok(())
}

fn user_namespace(namespaces: &Namespaces) -> UserNamespace<'_> {
    match namespaces.origin(Kind::User) {
        namespaces::Origin::New => UserNamespace::New,
        namespaces::Origin::Join(path) => UserNamespace::Join(path),
        namespaces::Origin::Inherit if crate::caller::in_initial_user_namespace() => UserNamespace::Initial,
        namespaces::Origin::Inherit => UserNamespace::Inherited,
    }
}

/// The program's filter and its agent; also for `exec`.
///
/// # Errors
/// When the profile cannot be compiled.
pub fn filter(
    config: &Config,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<(Option<Filter>, Option<Listener>)> {
    let Some(profile) = &config.linux.seccomp else { return Ok((None, None)) };
    let filter = seccomp::compile(profile, options.seccomp_cache.as_deref())?;
    notes.extend(filter.warnings.iter().cloned());
    let listener = profile
        .listener_path
        .clone()
        .filter(|_| filter.notify)
        .map(|path| Listener { path, metadata: profile.listener_metadata.clone() });
    Ok((Some(filter), listener))
}

fn cgroup_plan(id: &str, config: &Config, namespaces: &Namespaces, options: &Options) -> Result<cgroup::Plan> {
    let resources = config.linux.resources.clone().unwrap_or_default();
    let delegated = !namespaces.is_inherited(Kind::Cgroup) && mounts_cgroup_writable(config);
    let request = cgroup::Request {
        id,
        cgroups_path: config.linux.cgroups_path.as_deref().filter(|path| !path.is_empty()),
        resources: &resources,
        driver: options.driver,
        rootless: options.rootless,
        owner: namespaces.root_on_host().filter(|_| delegated),
        annotations: &config.annotations,
    };
    cgroup::plan(&cgroup::Host::detect()?, &request)
}

/// config-linux.md "Cgroup ownership": only who can write to the tree gets it.
fn mounts_cgroup_writable(config: &Config) -> bool {
    let writable = |mount: &crate::bundle::config::Mount| {
        mount.destination == Path::new("/sys/fs/cgroup") && !mount.options.iter().any(|option| option == "ro")
    };
    config.mounts.iter().any(writable)
}

fn sysctls(config: &Config) -> Result<Vec<Sysctl>> {
    let one = |(name, value): (&String, &String)| match validate::sysctl_path(name) {
        Some(path) => Ok(Sysctl { name: name.clone(), path, value: value.clone() }),
        None => Err(Error::new("is no kernel parameter").context(format!("linux.sysctl {name}"))),
    };
    config.linux.sysctl.iter().map(one).collect()
}

fn limits<S: serde::Serializer>(plan: &cgroup::Plan, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown<'a> {
        paths: BTreeMap<&'a str, &'a PathBuf>,
        settings: &'a [cgroup::Setting],
    }
    let paths = plan.paths().iter().map(|(controller, path)| match controller.as_str() {
        "" => ("v2", path),
        controller => (controller, path),
    });
    let paths = paths.collect();
    Shown { paths, settings: plan.settings() }.serialize(serializer)
}
