//! Telling the caller about a process: its pid, its pidfd, its terminal.

use crate::error::{Context, During, Result};
use crate::init::channel::{connect, send_with_fds};
use nix::unistd::Pid;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes the pid in decimal, without a newline; readers see the whole number or no file.
///
/// # Errors
/// When the directory is missing or read-only.
pub fn write_pid_file(path: &Path, pid: Pid) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = File::options().write(true).create_new(true).mode(0o644).open(&new)?;
        file.write_all(pid.to_string().as_bytes())?;
        std::fs::rename(&new, path)
    };
    write().during(|| "write").context(|| format!("--pid-file {}", path.display())).inspect_err(|_| {
        let _ = std::fs::remove_file(&new);
    })
}

/// Sends the other end of a terminal to who listens on the socket, as runc does: the payload names the pty.
///
/// # Errors
/// When nobody listens.
pub fn send_terminal(path: &Path, master: &OwnedFd) -> Result<()> {
    send(path, "--console-socket", b"/dev/ptmx", master)
}

/// Sends a pidfd to who listens on the socket.
///
/// # Errors
/// When nobody listens.
pub fn send_pidfd(path: &Path, pidfd: &OwnedFd) -> Result<()> {
    send(path, "--pidfd-socket", b"pidfd", pidfd)
}

fn send(path: &Path, option: &str, payload: &[u8], fd: &OwnedFd) -> Result<()> {
    let name = || format!("{option} {}", path.display());
    let socket = connect(path).context(name)?;
    send_with_fds(socket.as_fd(), &[payload], &[fd.as_fd()]).during(|| "sendmsg").context(name)
}
