//! System call filters (config-linux.md "Seccomp"): from a profile to the BPF program that init loads.
//!
//! libseccomp compiles the rules; [`enosys`] puts a stub before them, for system calls newer than the profile;
//! [`compact()`](compact::compact) makes both one short program; [`cache`] keeps programs by content, because compiling
//! costs more than all other steps of a start together.

mod cache;
mod compact;
mod compile;
mod enosys;
#[cfg(test)]
mod tests;

use crate::bundle::config::Seccomp;
use crate::bundle::validate;
use crate::error::{Error, Result};
use crate::sys;
use nix::libc::{
    SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, sock_filter,
};
use serde::Serialize;
use serde::ser::Serializer;
use std::path::Path;
use std::str::FromStr;

/// The kernel's limit for a program, linux/bpf_common.h `BPF_MAXINSNS`.
const MAX_INSTRUCTIONS: usize = 4096;

/// Names and bits of the flags that reach the kernel. SECCOMP_FILTER_FLAG_TSYNC is accepted and has no effect: init has
/// one thread.
const FLAGS: [(&str, u32); 3] = [
    ("SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG as u32),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV as u32),
];

const NEW_LISTENER: u32 = SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;

/// A compiled filter, ready for [`sys::seccomp::load`]. Serialized in numbers, without the program.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// The BPF program.
    #[serde(rename = "instructions", serialize_with = "length")]
    pub program: Vec<sock_filter>,
    /// `SECCOMP_FILTER_FLAG_…` bits for the kernel, the listener's among them.
    #[serde(serialize_with = "flag_names")]
    pub flags: u32,
    /// Whether loading returns a listener, to be sent to `listenerPath`.
    pub notify: bool,
    /// What the user should know, the same whether or not the program came from the cache.
    pub warnings: Vec<String>,
    /// Rules in the program, one per system call and condition list.
    pub rules: u32,
    /// Rules left out because they say what the default action says.
    pub redundant: u32,
    /// The architectures whose system calls are let through to the rules.
    pub architectures: Vec<Architecture>,
    /// Whether the program came from the cache.
    pub cached: bool,
}

/// An architecture of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Architecture {
    /// `SCMP_ARCH_X86_64`
    pub name: String,
    /// The highest system call number that the profile names; those above it get ENOSYS. `None`: no such stub.
    pub newest: Option<u32>,
}

/// Compiles a checked profile, or takes the program from the cache in the directory `cache`.
///
/// The cache is never a reason to fail: without a directory that is the caller's alone, it is not used.
///
/// # Errors
/// When libseccomp does not know an architecture or cannot express a rule, when the program is too long for the kernel,
/// when the kernel lacks a flag.
pub fn compile(profile: &Seccomp, cache: Option<&Path>) -> Result<Filter> {
    let notify = profile.syscalls.iter().any(|rule| rule.action == "SCMP_ACT_NOTIFY");
    let (flags, warning) = flags(profile, notify)?;
    let cache = cache.and_then(cache::Cache::open);
    let key = cache.as_ref().map(|_| cache::key(profile));
    let found = cache.as_ref().zip(key.as_deref()).and_then(|(cache, key)| cache.get(key));
    let cached = found.is_some();
    let compiled = match found {
        Some(compiled) => compiled,
        None => {
            let compiled = compile::compile(profile)?;
            if let Some((cache, key)) = cache.zip(key) {
                cache.put(&key, &compiled);
            }
            compiled
        }
    };
    let compile::Compiled { program, unknown, rules, redundant, architectures } = compiled;
    let mut warnings: Vec<_> = warning.into_iter().collect();
    if !unknown.is_empty() {
        warnings.push(format!("linux.seccomp.syscalls: unknown system calls ignored: {}", unknown.join(", ")));
    }
    Ok(Filter { program, flags, notify, warnings, rules, redundant, architectures, cached })
}

/// The version of libseccomp, `2.5.4`.
pub fn libseccomp_version() -> String {
    libseccomp::ScmpVersion::current().map_or_else(|_| "unknown".to_owned(), |version| version.to_string())
}

/// The names of the specification's architectures that this libseccomp knows.
pub fn supported_architectures() -> Vec<&'static str> {
    let knows = |name: &&str| {
        let arch = libseccomp::ScmpArch::from_str(name);
        arch.is_ok_and(|arch| libseccomp::ScmpSyscall::from_name_by_arch("read", arch).is_ok())
    };
    validate::seccomp::ARCHITECTURES.into_iter().filter(knows).collect()
}

/// The names of the specification's flags that have an effect on this kernel.
pub fn supported_flags() -> Vec<&'static str> {
    let supported = FLAGS.iter().filter(|(_, bit)| sys::seccomp::flags_supported(probe(*bit)));
    // One thread: what TSYNC promises is always so.
    let mut names: Vec<_> = supported.map(|(name, _)| *name).chain(["SECCOMP_FILTER_FLAG_TSYNC"]).collect();
    names.sort_unstable();
    names
}

/// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is known to the kernel only together with a listener.
fn probe(bit: u32) -> u32 {
    if bit == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV as u32 { bit | NEW_LISTENER } else { bit }
}

/// The kernel's flags and perhaps a warning. No list means SPEC_ALLOW, as runc has it; an empty list means none.
fn flags(profile: &Seccomp, notify: bool) -> Result<(u32, Option<String>)> {
    const WAIT: u32 = SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV as u32;
    let mut flags = match &profile.flags {
        None => SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32,
        Some(names) => {
            FLAGS.iter().filter(|(name, _)| names.iter().any(|n| n == name)).fold(0, |all, flag| all | flag.1)
        }
    };
    let mut warning = None;
    if flags & WAIT != 0 && !notify {
        flags &= !WAIT;
        warning = Some(
            "linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ignored: no rule has SCMP_ACT_NOTIFY"
                .to_owned(),
        );
    }
    if notify {
        flags |= NEW_LISTENER;
    }
    if flags & WAIT != 0 && !sys::seccomp::flags_supported(flags) {
        return Err(Error::new("this kernel does not know SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")
            .context("linux.seccomp.flags")
            .hint("It came with Linux 5.19; remove the flag."));
    }
    Ok((flags, warning))
}

fn length<S: Serializer>(program: &[sock_filter], serializer: S) -> Result<S::Ok, S::Error> {
    program.len().serialize(serializer)
}

fn flag_names<S: Serializer>(flags: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(FLAGS.iter().filter(|(_, bit)| flags & bit != 0).map(|(name, _)| name))
}
