//! The container's root file system, reached through one file descriptor.
//!
//! The image is hostile: no path below it is ever given to the kernel to be resolved from the host's root. Everything
//! is opened from [`Rootfs`] with `RESOLVE_IN_ROOT`, made relative to a verified directory, and mounted onto the
//! descriptor that was looked at.
//!
//! The order of the calls, all by the new process in its new mount namespace:
//! [`Rootfs::prepare`], [`Rootfs::mount_all`], [`Rootfs::make_devices`], (sysctls by [`Rootfs::procfs`]), (hooks that
//! see the host's files), [`Rootfs::mask`], [`Rootfs::enter`], [`Rootfs::bind_console`], [`Rootfs::ensure_cwd`],
//! [`Rootfs::finish`]. The steps before `enter` still need the host's `/dev` and `/proc`; `bind_console` and
//! `ensure_cwd` work on either side of it.

use super::sources::Sources;
use crate::error::{Context, During, Error, Result};
use crate::plan::filesystem::{Enter, Filesystem};
use crate::plan::mounts::Propagation;
use crate::sys::fs::{open, open_in_root};
use crate::sys::mount::{self, ATTR_RDONLY, MountAttr, Reach};
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag, openat};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sys::stat::{FileStat, Mode, fstat, mkdirat, umask};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use std::fs::File;
use std::io::{Read, Take};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The longest file that is read from an image, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// The container's root directory, and what is attached to it.
#[derive(Debug)]
pub struct Rootfs<'a> {
    pub(super) plan: &'a Filesystem,
    pub(super) root: OwnedFd,
    pub(super) sources: Sources,
    /// The container's own new procfs, before anything covers parts of it.
    pub(super) proc: Option<OwnedFd>,
    /// Mounts that become read-only at the end.
    pub(super) late_readonly: Vec<OwnedFd>,
}

/// What to make where a mount has no target yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    /// An empty directory.
    Directory,
    /// An empty file.
    File,
}

impl<'a> Rootfs<'a> {
    /// Cuts the namespace off from the host, mounts the root over itself and opens it. Sets the umask to 0, which
    /// the caller sets anew for the container's program.
    ///
    /// # Errors
    /// Names the operation and the path.
    pub fn prepare(plan: &'a Filesystem, sources: Sources) -> Result<Self> {
        umask(Mode::empty());
        let name = || format!("root.path {}", plan.root.display());
        let root = prepare_root(plan).context(name)?;
        Ok(Self { plan, root, sources, proc: None, late_readonly: Vec::new() })
    }

    /// The root directory.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens `path` (relative) as the container would see it; symbolic links stay inside.
    pub(super) fn open(&self, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
        open_in_root(self.root(), path, flags, ResolveFlag::empty())
    }

    /// What is to be mounted over, by its descriptor, and whether it was there before.
    ///
    /// `make` says what to make when nothing is there; it is asked only then.
    pub(super) fn target(&self, path: &Path, make: impl FnOnce() -> Result<Make>) -> Result<(OwnedFd, bool)> {
        let what = || format!("open /{} in the container's root", path.display());
        let straight = ResolveFlag::RESOLVE_NO_SYMLINKS;
        match open_in_root(self.root(), path, OFlag::O_PATH, straight) {
            Ok(target) => return Ok((target, true)),
            // No link on the way to what is missing: none is accepted while it is made either.
            Err(Errno::ENOENT) => return Ok((self.make(path, make()?, straight)?, false)),
            // A symbolic link for /proc or /sys would leave the real one unmounted (CVE-2023-27561, CVE-2025-54867).
            Err(Errno::ELOOP) if path.starts_with("proc") || path == Path::new("sys") => {
                return Err(Error::sys(what(), Errno::ELOOP)
                    .hint("It must be an ordinary directory of the image, not a symbolic link."));
            }
            Err(Errno::ELOOP) => {}
            Err(errno) => return Err(Error::sys(what(), errno)),
        }
        let (target, existed) = match self.open(path, OFlag::O_PATH) {
            Ok(target) => (target, true),
            Err(Errno::ENOENT) => (self.make(path, make()?, ResolveFlag::empty())?, false),
            Err(errno) => return Err(Error::sys(what(), errno)),
        };
        // Links led here: neither to the root itself nor into the container's /proc.
        let found = fstat(&target).during(|| "fstat")?;
        let root = fstat(&self.root).during(|| "fstat")?;
        if (found.st_dev, found.st_ino) == (root.st_dev, root.st_ino) {
            return Err(Error::new("a symbolic link makes it the root file system itself"));
        }
        if existed && fstatfs(&target).during(|| "fstatfs")?.filesystem_type() == PROC_SUPER_MAGIC {
            return Err(Error::new("a symbolic link leads it into /proc"));
        }
        Ok((target, existed))
    }

    /// Makes what is missing of `path`: every step is taken from the directory before it and follows no link
    /// (CVE-2024-45310).
    fn make(&self, path: &Path, make: Make, resolve: ResolveFlag) -> Result<OwnedFd> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::new("is not a path"));
        };
        let parent = self.directory_by(parent, resolve)?;
        let what = || format!("make /{} in the container's root", path.display());
        if make == Make::File {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
            match openat(&parent, name, flags, Mode::from_bits_truncate(0o644)) {
                Err(Errno::EEXIST) => {}
                result => return result.during(what),
            }
            return openat(&parent, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
                .during(what);
        }
        match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(Error::sys(what(), errno)),
        }
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(&parent, name, flags, Mode::empty()).during(what)
    }

    /// The directory `path`, made when it is missing.
    pub(super) fn directory(&self, path: &Path) -> Result<OwnedFd> {
        self.directory_by(path, ResolveFlag::empty())
    }

    fn directory_by(&self, path: &Path, resolve: ResolveFlag) -> Result<OwnedFd> {
        match open_in_root(self.root(), path, OFlag::O_PATH | OFlag::O_DIRECTORY, resolve) {
            Err(Errno::ENOENT) => self.make(path, Make::Directory, resolve),
            result => result.during(|| format!("open /{} in the container's root", path.display())),
        }
    }

    /// Makes the working directory when it is missing, as engines expect.
    ///
    /// # Errors
    /// When it is missing and cannot be made. One that cannot be searched is the business of chdir(2), which knows
    /// the container's user.
    pub fn ensure_cwd(&self, path: &Path) -> Result<()> {
        let path = crate::plan::filesystem::relative(path);
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        match self.open(&path, OFlag::O_PATH) {
            Err(Errno::ENOENT) => self.directory(&path).map(drop).context(|| "process.cwd"),
            _ => Ok(()),
        }
    }

    /// Makes the root the process's root and working directory; the host's mounts are gone afterwards.
    ///
    /// # Errors
    /// Names the system call.
    pub fn enter(&mut self) -> Result<()> {
        match self.plan.enter {
            Enter::Pivot => self.pivot(),
            Enter::Move => self.move_over(),
            Enter::Chroot => self.chroot(),
        }
    }

    fn pivot(&self) -> Result<()> {
        let old = match self.plan.shares_with_the_host() {
            true => Some(open("/", OFlag::O_PATH | OFlag::O_DIRECTORY).during(|| "open /")?),
            false => None,
        };
        nix::unistd::fchdir(&self.root).during(|| "fchdir to the root file system")?;
        mount::pivot_root_here().map_err(|errno| {
            Error::sys("pivot_root", errno)
                .hint("A host whose root is an initramfs cannot pivot: --no-pivot is for such hosts.")
        })?;
        if let Some(old) = old {
            nix::unistd::fchdir(&old).during(|| "fchdir to the old root")?;
            // Unmounting must not reach the host.
            change(".", MsFlags::MS_SLAVE | MsFlags::MS_REC).during(|| "make the old root a slave")?;
        }
        // The old root is mounted over the new one, pivot_root(2).
        umount2(".", MntFlags::MNT_DETACH).during(|| "unmount the old root")?;
        nix::unistd::chdir("/").during(|| "chdir /")
    }

    /// Without pivot_root the host's mounts stay below the new root: a full procfs or sysfs among them would let the
    /// container mount another one, without the masks.
    fn move_over(&self) -> Result<()> {
        let table = std::fs::read_to_string("/proc/self/mountinfo").during(|| "read /proc/self/mountinfo")?;
        for path in table.lines().filter_map(full_view).filter(|path| !path.starts_with(&self.plan.root)) {
            let hide = || {
                change(&path, MsFlags::MS_SLAVE | MsFlags::MS_REC)?;
                match umount2(&path, MntFlags::MNT_DETACH) {
                    // Locked by the user namespace around this one: it cannot be taken away, but covered.
                    Err(Errno::EINVAL | Errno::EPERM) => {
                        nix::mount::mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), None::<&str>)
                    }
                    result => result,
                }
            };
            match hide() {
                // Gone with the mount that it was below.
                Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
                Err(errno) => return Err(Error::sys(format!("hide {}", path.display()), errno)),
            }
        }
        let top = open("/", OFlag::O_PATH | OFlag::O_DIRECTORY);
        let top = top.during(|| "open /")?;
        mount::attach(self.root(), top.as_fd()).during(|| "move the root file system over /")?;
        self.chroot()
    }

    fn chroot(&self) -> Result<()> {
        nix::unistd::fchdir(&self.root).during(|| "fchdir to the root file system")?;
        nix::unistd::chroot(".").during(|| "chroot")?;
        nix::unistd::chdir("/").during(|| "chdir /")
    }

    /// Makes read-only what is to be, the root among it, and gives the root its final propagation.
    ///
    /// # Errors
    /// Names the operation.
    pub fn finish(&mut self) -> Result<()> {
        let readonly = MountAttr { set: ATTR_RDONLY, ..MountAttr::default() };
        for mount in self.late_readonly.drain(..) {
            mount::set_attr(mount.as_fd(), Reach::Top, &readonly).during(|| "make a tmpfs read-only")?;
        }
        if self.plan.readonly {
            mount::set_attr(self.root(), Reach::Top, &readonly).during(|| "make the root read-only")?;
        }
        match self.plan.propagation.filter(|_| self.plan.enter != Enter::Chroot) {
            Some(propagation) => propagate(self.root(), propagation).context(|| "linux.rootfsPropagation"),
            None => Ok(()),
        }
    }
}

/// Applies a propagation type to the mount at `mount`.
pub(super) fn propagate(mount: BorrowedFd<'_>, propagation: Propagation) -> Result<()> {
    let reach = if propagation.recursive { Reach::Recursive } else { Reach::Top };
    let attr = MountAttr { propagation: propagation.kind, ..MountAttr::default() };
    mount::set_attr(mount, reach, &attr).during(|| "mount_setattr (propagation)")
}

fn change<P: nix::NixPath + ?Sized>(path: &P, flags: MsFlags) -> nix::Result<()> {
    nix::mount::mount(None::<&str>, path, None::<&str>, flags, None::<&str>)
}

fn prepare_root(plan: &Filesystem) -> Result<OwnedFd> {
    let own_namespace = plan.enter != Enter::Chroot;
    let kind = plan.propagation.map(|propagation| propagation.kind);
    if own_namespace {
        let flags =
            MsFlags::MS_REC | if kind == Some(libc::MS_PRIVATE) { MsFlags::MS_PRIVATE } else { MsFlags::MS_SLAVE };
        // What is shared with the host stays so only when the configuration asks for it: volumes with `rshared`.
        if plan.shares_with_the_host() {
            isolate_parent(&plan.root)?;
        } else {
            change("/", flags).during(|| "cut the mount namespace off from the host")?;
        }
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = open(&plan.root, flags).map_err(|errno| {
        let error = Error::sys("open", errno);
        match errno {
            Errno::EACCES => error.hint("The container's user must be allowed to search every directory above it."),
            _ => error,
        }
    })?;
    if !own_namespace && !plan.readonly {
        return Ok(directory);
    }
    // pivot_root wants the new root to be a mount of its own, with flags of its own.
    let tree = mount::clone_tree(directory.as_fd(), c"", Reach::Recursive).during(|| "open_tree")?;
    // During the set-up nothing may reach the host; a slave still follows the host, as its name says.
    let propagation = if kind == Some(libc::MS_SLAVE) { libc::MS_SLAVE } else { libc::MS_PRIVATE };
    let attr = MountAttr { propagation, ..MountAttr::default() };
    mount::set_attr(tree.as_fd(), Reach::Top, &attr).during(|| "mount_setattr (propagation)")?;
    mount::attach(tree.as_fd(), directory.as_fd()).during(|| "move_mount")?;
    Ok(tree)
}

/// Makes the mount that holds `path` private: what is attached to it must not show up on the host.
fn isolate_parent(path: &Path) -> Result<()> {
    for ancestor in path.ancestors() {
        match change(ancestor, MsFlags::MS_PRIVATE) {
            // Not the root of a mount; one above it is.
            Err(Errno::EINVAL) => {}
            result => return result.during(|| format!("make {} private", ancestor.display())),
        }
    }
    Err(Error::new("no mount holds the root file system"))
}

/// The path of a line of mountinfo that shows a whole procfs or sysfs.
fn full_view(line: &str) -> Option<PathBuf> {
    let (mount, fs) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let whole = fields.next()? == "/" && ["proc ", "sysfs "].iter().any(|kind| fs.starts_with(kind));
    let path = fields.next().filter(|_| whole)?;
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    Some(escapes.iter().fold(path.to_owned(), |path, (code, letter)| path.replace(code, letter)).into())
}

/// A regular file of the image at `path`, seen from the container's root `root`; at most 16 MiB are read from it.
///
/// `None` when there is none: not for a directory, a device or a FIFO either, whose opening could wait or act.
///
/// # Errors
/// When it exists and cannot be opened.
pub fn open_file(root: BorrowedFd<'_>, path: &Path) -> Result<Option<Take<File>>> {
    let relative = crate::plan::filesystem::relative(path);
    let open = |flags| open_in_root(root, &relative, flags, ResolveFlag::empty());
    let what = || format!("open {} of the container", path.display());
    let look = match open(OFlag::O_PATH) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
        result => result.during(what)?,
    };
    let is_file = |stat: &FileStat| stat.st_mode & libc::S_IFMT == libc::S_IFREG;
    if !is_file(&fstat(&look).during(what)?) {
        return Ok(None);
    }
    // It may have been replaced since: looked at again, and opened in a way that never waits.
    let file = open(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).during(what)?;
    let is_file = is_file(&fstat(&file).during(what)?);
    Ok(is_file.then(|| File::from(file).take(MAX_FILE)))
}
