//! Device nodes, links and the console, made relative to verified directories (CVE-2026-41579, CVE-2026-47766).

use super::mounts::attach;
use super::rootfs::Rootfs;
use super::sources::clone_path;
use crate::error::{Context, During, Error, Result};
use crate::plan::devices::{Device, Link, Node};
use crate::sys::mount::{self, Reach};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::libc;
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstat, fstatat, makedev, mknodat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

impl Rootfs<'_> {
    /// Makes the device nodes and the links of `/dev`.
    ///
    /// # Errors
    /// Names the device or link.
    pub fn make_devices(&mut self) -> Result<()> {
        let mut last: Option<(&Path, OwnedFd)> = None;
        let paths = self.plan.devices.iter().map(|device| device.path.as_path());
        let links = self.plan.links.iter().map(|link| Path::new(link.path));
        // Almost all are in one directory, which is looked up once.
        for (index, path) in paths.chain(links).enumerate() {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            let found = match last.take() {
                Some((path, found)) if path == parent => found,
                _ => self.directory(parent)?,
            };
            if let Some(device) = self.plan.devices.get(index) {
                make_device(found.as_fd(), name, device).context(|| device.name.clone())?;
            } else if let Some(link) = self.plan.links.get(index - self.plan.devices.len()) {
                make_link(found.as_fd(), name, link).context(|| format!("/{}", link.path))?;
            }
            last = Some((parent, found));
        }
        Ok(())
    }

    /// Makes `/dev/console` the terminal `tty`, a pseudoterminal's end from `TIOCGPTPEER` of the container's devpts.
    ///
    /// # Errors
    /// When `tty` is no pseudoterminal, or `/dev/console` cannot be mounted over.
    pub fn bind_console(&self, tty: BorrowedFd<'_>) -> Result<()> {
        // A planted link at the name of the terminal cannot get here (CVE-2025-52565): only the descriptor counts.
        let bind = || {
            let kind = fstat(tty).during(|| "fstat the terminal")?;
            if kind.st_mode & libc::S_IFMT != libc::S_IFCHR || !nix::unistd::isatty(tty).unwrap_or(false) {
                return Err(Error::new("is not a terminal"));
            }
            let directory = self.directory(Path::new("dev"))?;
            let target = file(directory.as_fd(), OsStr::new("console"))?;
            let tree = mount::clone_tree(tty, c"", Reach::Top).during(|| "open_tree of the terminal")?;
            attach(tree.as_fd(), target.as_fd())
        };
        bind().context(|| "/dev/console")
    }
}

/// The file `name`, made when it is missing; never what a link points to.
fn file(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    let made = mknodat(directory, name, SFlag::S_IFREG, Mode::from_bits_truncate(0o620), 0);
    match made {
        Ok(()) | Err(Errno::EEXIST) => look(directory, name),
        Err(errno) => Err(Error::sys("mknodat", errno)),
    }
}

fn look(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let found = openat(directory, name, flags, Mode::empty()).during(|| "open")?;
    if fstat(&found).during(|| "fstat")?.st_mode & libc::S_IFMT == libc::S_IFLNK {
        return Err(Error::new("is a symbolic link in the image"));
    }
    Ok(found)
}

fn make_device(directory: BorrowedFd<'_>, name: &OsStr, device: &Device) -> Result<()> {
    let (kind, number) = match device.node {
        Node::Char { major, minor } => (SFlag::S_IFCHR, makedev(major.into(), minor.into())),
        Node::Block { major, minor } => (SFlag::S_IFBLK, makedev(major.into(), minor.into())),
        Node::Fifo => (SFlag::S_IFIFO, 0),
    };
    let is_it = |stat: &FileStat| {
        stat.st_mode & libc::S_IFMT == kind.bits() && (kind == SFlag::S_IFIFO || stat.st_rdev == number)
    };
    if device.bind {
        return bind_device(directory, name, device, is_it);
    }
    let mode = device.mode.unwrap_or(0o666);
    match mknodat(directory, name, kind, Mode::from_bits_truncate(mode), number) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(Errno::EPERM) => {
            return Err(Error::sys("mknodat", Errno::EPERM).hint("Making device nodes needs CAP_MKNOD."));
        }
        Err(errno) => return Err(Error::sys("mknodat", errno)),
    }
    let as_wanted = |stat: &FileStat| {
        stat.st_mode & 0o7777 == mode
            && stat.st_uid == device.uid.unwrap_or(0)
            && stat.st_gid == device.gid.unwrap_or(0)
    };
    let stat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).during(|| "fstatat")?;
    if is_it(&stat) && as_wanted(&stat) {
        return Ok(());
    }
    // Owner and mode are changed only on what is verified to be the device, never by a name.
    let node = look(directory, name)?;
    if !is_it(&fstat(&node).during(|| "fstat")?) {
        return Err(Error::new("a file that is not this device is already there"));
    }
    let (uid, gid) = (Uid::from_raw(device.uid.unwrap_or(0)), Gid::from_raw(device.gid.unwrap_or(0)));
    fchownat(&node, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH).during(|| "fchownat")?;
    // After chown, which takes set-id bits away.
    chmod(node.as_fd(), mode).during(|| "fchmodat2")
}

/// Changes the mode of an `O_PATH` descriptor: through the host's procfs before Linux 6.6.
pub(super) fn chmod(node: BorrowedFd<'_>, mode: u32) -> nix::Result<()> {
    match crate::sys::fs::chmod(node, mode) {
        Err(Errno::ENOSYS) => {
            let path = format!("/proc/self/fd/{}", node.as_raw_fd());
            fchmodat(AT_FDCWD, path.as_str(), Mode::from_bits_truncate(mode), FchmodatFlags::FollowSymlink)
        }
        result => result,
    }
}

/// In a user namespace nobody makes devices: the host's node is mounted over a file.
fn bind_device(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    device: &Device,
    is_it: impl Fn(&FileStat) -> bool,
) -> Result<()> {
    if fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| is_it(&stat)) {
        return Ok(());
    }
    let host = Path::new("/").join(&device.path);
    let tree = clone_path(&host, false)?;
    if !is_it(&fstat(&tree).during(|| "fstat")?) {
        return Err(Error::new(format!("{} of the host is not this device", host.display()))
            .hint("In a user namespace devices are bound from the host, by the same path."));
    }
    attach(tree.as_fd(), file(directory, name)?.as_fd())
}

fn make_link(directory: BorrowedFd<'_>, name: &OsStr, link: &Link) -> Result<()> {
    let make = || symlinkat(link.target, directory, name);
    match make() {
        Err(Errno::EEXIST) if link.path == "dev/ptmx" => {
            // Another ptmx would be the host's: its terminals are not those of the container's /dev/pts.
            if readlinkat(directory, name).is_ok_and(|target| target == link.target) {
                return Ok(());
            }
            unlinkat(directory, name, UnlinkatFlags::NoRemoveDir).during(|| "unlink")?;
            make().during(|| "symlink")
        }
        // The image knows better.
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(Error::sys("symlink", errno)),
    }
}
