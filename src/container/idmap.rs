//! Giving a new user namespace its ids, user_namespaces(7).

use crate::error::{Context, Error, Result};
use crate::plan::namespaces::{IdRange, map_text};
use nix::unistd::Pid;
use std::process::{Command, Stdio};

/// Writes the maps of the user namespace of `pid`, through `newuidmap` and `newgidmap` where this process may not.
///
/// # Errors
/// When the kernel or the helpers refuse the ranges.
pub fn write(pid: Pid, uids: &[IdRange], gids: &[IdRange]) -> Result<()> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let privileged = uid.is_root();
    if !privileged && is_only(gids, gid.as_raw()) {
        // Without privileges the kernel wants setgroups to be given up before it takes a map of one's own group.
        put(pid, "setgroups", "deny")?;
    }
    map(pid, "uid_map", "newuidmap", uids, privileged || is_only(uids, uid.as_raw()))
        .context(|| "linux.uidMappings")?;
    map(pid, "gid_map", "newgidmap", gids, privileged || is_only(gids, gid.as_raw())).context(|| "linux.gidMappings")
}

/// Whether the map is one id, the caller's own, which anybody may map.
fn is_only(map: &[IdRange], id: u32) -> bool {
    matches!(map, [range] if range.size == 1 && range.host == id)
}

fn map(pid: Pid, file: &str, helper: &str, ranges: &[IdRange], directly: bool) -> Result<()> {
    if directly {
        return put(pid, file, &map_text(ranges));
    }
    let mut command = Command::new(helper);
    command.arg(pid.to_string()).stdin(Stdio::null());
    for range in ranges {
        command.args([range.container, range.host, range.size].map(|number| number.to_string()));
    }
    let output = command.output().map_err(|error| {
        Error::io(format!("execute {helper}"), &error).hint("Package uidmap has it; it needs its setuid bit.")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("{helper}: {}", words.trim())).hint("/etc/subuid and /etc/subgid must grant the ranges."))
}

fn put(pid: Pid, file: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{file}");
    // One write: the kernel takes a map whole or not at all.
    std::fs::write(&path, text).map_err(|error| {
        Error::io(format!("write {:?} to {path}", text.trim_end()), &error)
            .hint("The ranges must not overlap, and berth must itself have these ids.")
    })
}
