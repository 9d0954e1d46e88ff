//! The program and everything it runs with; `create`, `run` and `exec` share it.

use super::scheduling;
use crate::bundle::config::{self, Personality};
use crate::error::{Context, During, Error, Result};
use crate::security::caps::{self, Sets};
use crate::sys::fs::read_kernel_text;
use crate::sys::process::SchedAttr;
use crate::sys::tty::Size;
use nix::libc;
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What this process is and holds, proc_pid_status(5).
const OWN_STATUS: &str = "/proc/thread-self/status";

/// A planned process.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// Program and arguments.
    #[serde(serialize_with = "texts")]
    pub args: Vec<CString>,
    /// `NAME=value`, each name once.
    #[serde(serialize_with = "texts")]
    pub env: Vec<CString>,
    /// Working directory, absolute.
    #[serde(serialize_with = "text")]
    pub cwd: CString,
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container.
    pub gid: u32,
    /// Supplementary groups; always set, also when there are none.
    pub groups: Vec<u32>,
    /// File mode creation mask.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::devices::octal")]
    pub umask: Option<u32>,
    /// Capability sets.
    pub capabilities: Sets,
    /// Signals that berth ignores, as its caller has made it: bit n is signal n + 1. The program shall not.
    #[serde(skip)]
    pub ignored_signals: u64,
    /// See prctl(2) `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privileges: bool,
    /// setrlimit(2).
    pub rlimits: Vec<Rlimit>,
    /// Absent: as the caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// Profile to change to at execve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apparmor_profile: Option<String>,
    /// Context to change to at execve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux_label: Option<String>,
    /// Scheduling policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<SchedAttr>,
    /// ioprio_set(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<u16>,
    /// personality(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<u32>,
    /// Mode and bit mask of nodes, set_mempolicy(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_policy: Option<(u32, Vec<std::ffi::c_ulong>)>,
    /// Whether the standard streams are a terminal of its own.
    pub terminal: bool,
    /// The terminal's first size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<Size>,
    /// Number of fds after the standard streams that the program inherits.
    pub preserve_fds: u32,
}

/// A resource limit; `u64::MAX` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rlimit {
    /// `RLIMIT_*`
    pub resource: u32,
    /// Enforced.
    pub soft: u64,
    /// Highest value of `soft`.
    pub hard: u64,
}

impl Process {
    /// Plans a validated process. In a user namespace of its own it can have every capability, else only what berth
    /// has. Notes say what the process does not get although it was asked for.
    ///
    /// # Errors
    /// For unknown names; the error names the field.
    pub fn plan(
        process: &config::Process,
        linux: &config::Linux,
        user_namespace: bool,
        preserve_fds: u32,
    ) -> Result<(Self, Vec<String>)> {
        let (mut capabilities, mut notes) = Sets::from_config(process.capabilities.as_ref())?;
        let own = read_kernel_text(OWN_STATUS).during(|| format!("read {OWN_STATUS}"))?;
        if !user_namespace {
            notes.extend(capabilities.limit(&Sets::of(&own)?));
        }
        let plan = Self {
            args: strings(&process.args).context(|| "process.args")?,
            env: environment(&process.env)?,
            cwd: string(process.cwd.as_os_str().as_encoded_bytes()).context(|| "process.cwd")?,
            uid: process.user.uid,
            gid: process.user.gid,
            groups: process.user.additional_gids.clone(),
            umask: process.user.umask,
            capabilities,
            ignored_signals: caps::mask_in(&own, "SigIgn:").unwrap_or(u64::MAX),
            no_new_privileges: process.no_new_privileges,
            rlimits: rlimits(&process.rlimits)?,
            oom_score_adj: process.oom_score_adj,
            apparmor_profile: process.apparmor_profile.clone().filter(|name| !name.is_empty()),
            selinux_label: process.selinux_label.clone().filter(|label| !label.is_empty()),
            scheduler: process.scheduler.as_ref().map(scheduling::scheduler).transpose()?,
            io_priority: process.io_priority.as_ref().map(scheduling::io_priority).transpose()?,
            personality: linux.personality.as_ref().map(personality).transpose()?,
            memory_policy: linux.memory_policy.as_ref().map(scheduling::memory_policy).transpose()?,
            terminal: process.terminal,
            console_size: process
                .console_size
                .filter(|_| process.terminal)
                .map(|size| Size { rows: size.height, columns: size.width }),
            preserve_fds,
        };
        Ok((plan, notes))
    }

    /// The working directory as a path.
    pub fn cwd(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.cwd.to_bytes()))
    }

    /// The value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        self.env.iter().find_map(|entry| entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }
}

/// The environment with each name once: the last value wins, at the place of the first, as runc does.
fn environment(entries: &[String]) -> Result<Vec<CString>> {
    let mut places = HashMap::with_capacity(entries.len());
    let mut env: Vec<CString> = Vec::with_capacity(entries.len() + 1);
    for (index, entry) in entries.iter().enumerate() {
        let name = entry.split_once('=').map_or(entry.as_str(), |(name, _)| name);
        let value = string(entry.as_bytes()).context(|| format!("process.env[{index}]"))?;
        match places.entry(name) {
            Entry::Occupied(place) => env[*place.get()] = value,
            Entry::Vacant(place) => {
                place.insert(env.len());
                env.push(value);
            }
        }
    }
    Ok(env)
}

fn rlimits(limits: &[config::Rlimit]) -> Result<Vec<Rlimit>> {
    let one = |(index, limit): (usize, &config::Rlimit)| {
        let resource = rlimit_resource(&limit.kind).ok_or_else(|| {
            Error::new(format!("{:?} is no resource limit", limit.kind))
                .context(format!("process.rlimits[{index}].type"))
        })?;
        Ok(Rlimit { resource, soft: limit.soft, hard: limit.hard })
    };
    limits.iter().enumerate().map(one).collect()
}

/// The number of a resource limit by its name, `RLIMIT_NOFILE`.
pub fn rlimit_resource(name: &str) -> Option<u32> {
    let resource = match name {
        "RLIMIT_AS" => libc::RLIMIT_AS,
        "RLIMIT_CORE" => libc::RLIMIT_CORE,
        "RLIMIT_CPU" => libc::RLIMIT_CPU,
        "RLIMIT_DATA" => libc::RLIMIT_DATA,
        "RLIMIT_FSIZE" => libc::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => libc::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => libc::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => libc::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => libc::RLIMIT_NICE,
        "RLIMIT_NOFILE" => libc::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => libc::RLIMIT_NPROC,
        "RLIMIT_RSS" => libc::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => libc::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => libc::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => libc::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => libc::RLIMIT_STACK,
        _ => return None,
    };
    Some(resource as u32)
}

fn personality(personality: &Personality) -> Result<u32> {
    match personality.domain.as_str() {
        "LINUX" => Ok(0),
        "LINUX32" => Ok(0x0008),
        other => Err(Error::new(format!("{other:?} is neither LINUX nor LINUX32")).context("linux.personality.domain")),
    }
}

fn strings(values: &[String]) -> Result<Vec<CString>> {
    values.iter().map(|value| string(value.as_bytes())).collect()
}

/// Text for a system call.
pub(super) fn string(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| Error::new("contains a NUL byte"))
}

fn text<S: Serializer>(text: &CStr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text.to_string_lossy())
}

fn texts<S: Serializer>(texts: &[CString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(|text| text.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_variable_wins() {
        let env = environment(&["A=1".into(), "B=2".into(), "A=3".into()]).unwrap();
        assert_eq!(env, [c"A=3".to_owned(), c"B=2".to_owned()]);
    }

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let process = config::Process { env: vec!["HOMES=x".into(), "HOME=".into()], ..Default::default() };
        let (plan, _) = Process::plan(&process, &config::Linux::default(), true, 0).unwrap();
        assert_eq!(plan.variable("HOME"), Some(&b""[..]));
        assert_eq!(plan.variable("HOM"), None);
    }
}
