//! Who the program runs as: ids, groups, capabilities, home directory.

use super::rootfs::open_file;
use crate::error::{Context, During, Error, Result};
use crate::plan::process::Process;
use crate::security::caps;
use crate::sys::caps::{Held, keep};
use crate::sys::process as sys;
use nix::errno::Errno;
use std::io::{BufRead, BufReader};
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Becomes root of the user namespace that this process is in. Groups of the caller are given up where that is
/// allowed: without privileges the kernel forbids it, because it could evade permissions.
///
/// # Errors
/// When id 0 is not mapped.
pub fn become_root() -> Result<()> {
    const HINT: &str = "linux.uidMappings and linux.gidMappings must map the container's id 0.";
    match sys::set_groups(&[]) {
        Ok(()) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(Error::sys("setgroups", errno)),
    }
    sys::set_gid(0).during(|| "setresgid 0").map_err(|error| error.hint(HINT))?;
    sys::set_uid(0).during(|| "setresuid 0").map_err(|error| error.hint(HINT))
}

/// Gives up everything that the program shall not have. What loading its filter needs may be kept; then the sets to
/// have afterwards are returned.
///
/// # Errors
/// When an id is not mapped in the user namespace, or a capability cannot be given up.
pub fn assume(process: &Process, keep_for_filter: bool) -> Result<Option<Held>> {
    caps::apply_bounding(&process.capabilities)?;
    if process.uid != 0 {
        // Without it the change of the user id would clear all sets; execve(2) takes it back.
        keep(true).during(|| "prctl(PR_SET_KEEPCAPS)")?;
    }
    set_groups(process)?;
    let unmapped = |field: &'static str| {
        move |error: Error| error.context(field).hint("The user namespace of the container must map this id.")
    };
    sys::set_gid(process.gid).during(|| format!("setresgid {}", process.gid)).map_err(unmapped("process.user.gid"))?;
    sys::set_uid(process.uid).during(|| format!("setresuid {}", process.uid)).map_err(unmapped("process.user.uid"))?;
    if !keep_for_filter {
        caps::apply(&process.capabilities)?;
        return Ok(None);
    }
    caps::apply(&process.capabilities.with_sys_admin())?;
    caps::without_sys_admin().map(Some)
}

/// The groups are always set, also when there are none: the caller's would give rights.
fn set_groups(process: &Process) -> Result<()> {
    match sys::set_groups(&process.groups) {
        Err(Errno::EPERM) if process.groups.is_empty() && setgroups_is_denied() => Ok(()),
        result => result
            .during(|| format!("setgroups {:?}", process.groups))
            .context(|| "process.user.additionalGids")
            .map_err(|error| error.hint("The user namespace must map the groups, and allow setgroups.")),
    }
}

/// Whether this user namespace can never change groups; those of the caller are unmapped in it and give no rights
/// inside, user_namespaces(7).
fn setgroups_is_denied() -> bool {
    std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "deny")
}

/// The home directory of `uid` in the image's `/etc/passwd`. Anything odd in its place is as good as none.
pub fn home(root: BorrowedFd, uid: u32) -> Option<String> {
    let file = open_file(root, Path::new("/etc/passwd")).ok()??;
    BufReader::new(file).split(b'\n').map_while(std::result::Result::ok).find_map(|line| {
        let line = String::from_utf8(line).ok()?;
        let fields: Vec<_> = line.split(':').collect();
        let matches = fields.get(2)?.parse::<u32>().ok()? == uid;
        matches.then(|| fields.get(5).copied().unwrap_or_default().to_owned()).filter(|home| home.starts_with('/'))
    })
}
