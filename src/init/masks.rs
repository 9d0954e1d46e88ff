//! `linux.maskedPaths` and `linux.readonlyPaths`.

use super::mounts::{attach, new_mount};
use super::rootfs::Rootfs;
use crate::error::{Context, During, Error, Result};
use crate::plan::mounts::Data;
use crate::sys::fs::open;
use crate::sys::mount::{self, ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, MountAttr, Reach};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::stat::{fstat, makedev};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What covers masked paths; made when it is first needed.
#[derive(Default)]
struct Covers {
    null: Option<OwnedFd>,
    /// One empty directory for all: a tmpfs each would cost the host a super block per path and container.
    empty: Option<OwnedFd>,
}

impl Rootfs<'_> {
    /// Covers the masked paths, and makes the read-only ones so. Before [`Rootfs::enter`]: it takes the host's
    /// `/dev/null`, not one of the image (CVE-2025-31133).
    ///
    /// # Errors
    /// Names the path. What does not exist needs no mask.
    pub fn mask(&mut self) -> Result<()> {
        let mut covers = Covers::default();
        for path in &self.plan.masked {
            self.cover(path, &mut covers).context(|| format!("linux.maskedPaths /{}", path.display()))?;
        }
        for path in &self.plan.readonly_paths {
            self.freeze(path).context(|| format!("linux.readonlyPaths /{}", path.display()))?;
        }
        Ok(())
    }

    fn existing(&self, path: &Path) -> Result<Option<OwnedFd>> {
        match self.open(path, OFlag::O_PATH) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(Error::sys("open", errno)),
        }
    }

    fn cover(&self, path: &Path, covers: &mut Covers) -> Result<()> {
        let Some(target) = self.existing(path)? else { return Ok(()) };
        let is_directory = fstat(&target).during(|| "fstat")?.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let cover = match (is_directory, &covers.null, &covers.empty) {
            (true, _, Some(empty)) => mount::clone_tree(empty.as_fd(), c"", Reach::Top).during(|| "open_tree")?,
            (true, _, None) => {
                let empty = empty_directory()?;
                attach(empty.as_fd(), target.as_fd())?;
                covers.empty = Some(empty);
                return Ok(());
            }
            (false, Some(null), _) => mount::clone_tree(null.as_fd(), c"", Reach::Top).during(|| "open_tree")?,
            (false, None, _) => {
                let null = covers.null.insert(null_device()?);
                mount::clone_tree(null.as_fd(), c"", Reach::Top).during(|| "open_tree")?
            }
        };
        attach(cover.as_fd(), target.as_fd())
    }

    /// Mounts `path` over itself, read-only; attributes that are locked on what is below stay.
    fn freeze(&self, path: &Path) -> Result<()> {
        let Some(target) = self.existing(path)? else { return Ok(()) };
        let tree = mount::clone_tree(target.as_fd(), c"", Reach::Recursive).during(|| "open_tree")?;
        let readonly = MountAttr { set: ATTR_RDONLY, ..MountAttr::default() };
        mount::set_attr(tree.as_fd(), Reach::Top, &readonly).during(|| "mount_setattr ro")?;
        attach(tree.as_fd(), target.as_fd())
    }
}

fn empty_directory() -> Result<OwnedFd> {
    new_mount(c"tmpfs", c"tmpfs", [&Data::parse("ro")], ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC)
}

fn null_device() -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let null = open("/dev/null", flags).during(|| "open /dev/null")?;
    let stat = fstat(&null).during(|| "fstat /dev/null")?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFCHR || stat.st_rdev != makedev(1, 3) {
        return Err(Error::new("/dev/null of the host is not the null device"));
    }
    Ok(null)
}
