//! The standard streams: a terminal of the container's own, or what the caller gave.

use super::channel::{Channel, Message};
use crate::error::{Context, During, Error, Result};
use crate::plan::process::Process;
use crate::sys::fs::open_in_root;
use crate::sys::{process as sys, tty};
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::libc;
use nix::sys::stat::{FileStat, fstat, major, minor};
use nix::unistd::{Uid, fchown};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Opens a terminal in the container's devpts and sends its other end to the parent; `None` when none is wanted.
///
/// # Errors
/// When the container has no devpts.
pub fn open(root: &OwnedFd, process: &Process, channel: &Channel) -> Result<Option<OwnedFd>> {
    if !process.terminal {
        return Ok(None);
    }
    open_pty(root.as_fd(), process, channel).map(Some).map_err(|error| {
        error.context("process.terminal").hint("A terminal needs a devpts mount at /dev/pts, and /dev/ptmx of it.")
    })
}

fn open_pty(root: BorrowedFd, process: &Process, channel: &Channel) -> Result<OwnedFd> {
    let master = open_in_root(root, Path::new("dev/ptmx"), OFlag::O_RDWR | OFlag::O_NOCTTY, ResolveFlag::empty())
        .during(|| "open /dev/ptmx")?;
    // The image or a volume may have put anything there: CVE-2025-52565.
    let stat = fstat(&master).during(|| "stat /dev/ptmx")?;
    if !is_device(&stat, 5, 2) {
        return Err(Error::new("/dev/ptmx is not the pty multiplexer"));
    }
    tty::unlock(master.as_fd()).during(|| "unlock the pty")?;
    let terminal = tty::peer(master.as_fd()).during(|| "open the pty")?;
    if let Some(size) = process.console_size {
        tty::set_size(master.as_fd(), size).during(|| "set the size of the pty").context(|| "process.consoleSize")?;
    }
    // The program's user owns it; the group stays devpts' gid=.
    match fchown(&terminal, Some(Uid::from_raw(process.uid)), None) {
        Ok(()) | Err(Errno::EPERM | Errno::EINVAL) => {}
        Err(errno) => return Err(Error::sys("chown the pty", errno)),
    }
    channel.send(&Message::Terminal(master))?;
    Ok(terminal)
}

/// Begins a session, and makes the terminal the program's standard streams. Without a terminal the streams stay, but
/// they become the user's own, and the host's `/dev/null` is replaced by the container's.
///
/// # Errors
/// When the kernel refuses; out of the caller's session we must get, or the program could type into its terminal
/// (CVE-2017-5226).
pub fn take_streams(root: &OwnedFd, terminal: Option<OwnedFd>, process: &Process) -> Result<()> {
    match nix::unistd::setsid() {
        // EPERM: it leads a session already.
        Ok(_) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(Error::sys("setsid", errno)),
    }
    if let Some(terminal) = terminal {
        tty::make_controlling(terminal.as_fd()).during(|| "ioctl(TIOCSCTTY)")?;
        for number in 0..3 {
            sys::replace_standard_stream(terminal.as_fd(), number).during(|| "dup3 of the terminal")?;
        }
        return Ok(());
    }
    for number in 0..3 {
        own_stream(root.as_fd(), number, process.uid)?;
    }
    Ok(())
}

fn own_stream(root: BorrowedFd, number: i32, uid: u32) -> Result<()> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let stream = match number {
        0 => stdin.as_fd(),
        1 => stdout.as_fd(),
        _ => stderr.as_fd(),
    };
    let Ok(stat) = fstat(stream) else { return Ok(()) };
    if is_device(&stat, 1, 3) {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        let null = open_in_root(root, Path::new("dev/null"), flags, ResolveFlag::empty());
        if let Ok(null) = null
            && fstat(&null).is_ok_and(|stat| is_device(&stat, 1, 3))
        {
            sys::replace_standard_stream(null.as_fd(), number).during(|| "dup3 of /dev/null")?;
        }
        return Ok(());
    }
    if stat.st_uid != uid {
        match fchown(stream, Some(Uid::from_raw(uid)), None) {
            // Not ours to give, or of a user that is not mapped: the program can use what it inherits all the same.
            Ok(()) | Err(Errno::EPERM | Errno::EINVAL | Errno::EROFS | Errno::ENOSYS) => {}
            Err(errno) => return Err(Error::sys("chown of a standard stream", errno)),
        }
    }
    Ok(())
}

fn is_device(stat: &FileStat, major_number: u64, minor_number: u64) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFCHR
        && (major(stat.st_rdev), minor(stat.st_rdev)) == (major_number, minor_number)
}
