//! AppArmor profiles and SELinux contexts that take effect at execve.

use crate::error::{Context, Error, Result};
use crate::init::procfs::ProcFs;
use crate::plan::process::Process;
use std::path::Path;

/// Whether the kernel enforces AppArmor profiles.
pub fn apparmor_is_enabled() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
}

/// Whether an SELinux policy is loaded.
pub fn selinux_is_enabled() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// Refuses labels that this host would ignore: who asks for one counts on it.
///
/// # Errors
/// When AppArmor or SELinux is asked for and not there.
pub fn check(process: &Process) -> Result<()> {
    if process.apparmor_profile.as_deref().is_some_and(|profile| profile != "unconfined") && !apparmor_is_enabled() {
        return Err(Error::new("AppArmor is not enabled on this host")
            .context("process.apparmorProfile")
            .hint("Remove the property, or boot with AppArmor."));
    }
    if process.selinux_label.is_some() && !selinux_is_enabled() {
        return Err(Error::new("SELinux is not enabled on this host")
            .context("process.selinuxLabel")
            .hint("Remove the property, or boot with SELinux."));
    }
    Ok(())
}

/// Whether the process is to be labelled.
pub fn are_wanted(process: &Process) -> bool {
    process.apparmor_profile.is_some() || process.selinux_label.is_some()
}

/// Asks for the change at the next execve. The file is reached by a procfs of our own: a label that is written
/// anywhere else is a container without one (CVE-2019-16884, CVE-2025-52881).
///
/// # Errors
/// When the profile is not loaded or the context not allowed.
pub fn apply(process: &Process, procfs: Option<&ProcFs>) -> Result<()> {
    if !are_wanted(process) {
        return Ok(());
    }
    let procfs = procfs.ok_or_else(|| Error::new("no procfs was opened to write the process's label"))?;
    if let Some(profile) = &process.apparmor_profile
        && apparmor_is_enabled_inside(procfs)
    {
        let value = format!("exec {profile}");
        let written =
            procfs.write_self("attr/apparmor/exec", &value).or_else(|_| procfs.write_self("attr/exec", &value));
        written
            .context(|| format!("process.apparmorProfile {profile}"))
            .map_err(|error| error.hint("Load the profile with apparmor_parser; `aa-status` lists what is loaded."))?;
    }
    if let Some(label) = &process.selinux_label {
        procfs.write_self("attr/exec", label).context(|| format!("process.selinuxLabel {label}"))?;
    }
    Ok(())
}

/// `unconfined` without AppArmor needs nothing; everything else was checked on the host.
fn apparmor_is_enabled_inside(procfs: &ProcFs) -> bool {
    procfs.read_self("attr/apparmor/current").or_else(|_| procfs.read_self("attr/current")).is_ok()
}
