//! `tmpcopyup`: what the image has where a tmpfs is mounted is copied into it.

use super::devices::chmod;
use crate::error::{Context, During, Error, Result};
use crate::sys::fs::open_in_root;
use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, ResolveFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat, mknodat};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Directories within directories; an image with more is no image.
const MAX_DEPTH: u32 = 100;

/// Copies what is at `path` below `root` into the directory `to`: directories, files, links, FIFOs and devices, with
/// owner and mode.
pub(super) fn copy(root: BorrowedFd<'_>, path: &Path, to: BorrowedFd<'_>) -> Result<()> {
    let from = Dir::from_fd(
        open_in_root(root, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, ResolveFlag::empty())
            .during(|| format!("open /{}", path.display()))?,
    )
    .during(|| "open the directory")?;
    directory(from, to, 0)
}

fn directory(mut from: Dir, to: BorrowedFd<'_>, depth: u32) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::new(format!("directories are more than {MAX_DEPTH} deep")));
    }
    let mut names = Vec::new();
    for entry in from.iter() {
        let name = entry.during(|| "readdir")?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
        }
    }
    for name in names {
        entry(from.as_fd(), to, &name, depth).context(|| name.to_string_lossy().into_owned())?;
    }
    Ok(())
}

fn entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> Result<()> {
    let stat = fstatat(from, name, AtFlags::AT_SYMLINK_NOFOLLOW).during(|| "fstatat")?;
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    let read = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    match kind {
        SFlag::S_IFDIR => {
            let inner = Dir::openat(from, name, read | OFlag::O_DIRECTORY, Mode::empty()).during(|| "open")?;
            mkdirat(to, name, Mode::from_bits_truncate(0o700)).during(|| "mkdirat")?;
            let made = openat(to, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
                .during(|| "open")?;
            directory(inner, made.as_fd(), depth + 1)?;
            dress(made.as_fd(), &stat)
        }
        SFlag::S_IFREG => {
            let mut source = File::from(openat(from, name, read, Mode::empty()).during(|| "open")?);
            // It may have been replaced by something that is no file and never ends.
            if fstat(&source).during(|| "fstat")?.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
                return Err(Error::new("changed while it was copied"));
            }
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let made = openat(to, name, flags, Mode::from_bits_truncate(0o600)).during(|| "create")?;
            let mut made = File::from(made);
            std::io::copy(&mut source, &mut made).during(|| "copy")?;
            let path = openat(to, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty());
            dress(path.during(|| "open")?.as_fd(), &stat)
        }
        SFlag::S_IFLNK => {
            let target = readlinkat(from, name).during(|| "readlinkat")?;
            symlinkat(target.as_os_str(), to, name).during(|| "symlinkat")?;
            owner(to, name, &stat)
        }
        // Sockets have no life without their server.
        SFlag::S_IFSOCK => Ok(()),
        _ => {
            let mode = Mode::from_bits_truncate(stat.st_mode & 0o7777);
            mknodat(to, name, kind, mode, stat.st_rdev).during(|| "mknodat")?;
            owner(to, name, &stat)
        }
    }
}

fn owner(to: BorrowedFd<'_>, name: &CStr, stat: &FileStat) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fchownat(to, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW).during(|| "fchownat")
}

fn dress(made: BorrowedFd<'_>, stat: &FileStat) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fchownat(made, c"", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH).during(|| "fchownat")?;
    chmod(made, stat.st_mode & 0o7777).during(|| "fchmodat2")
}
