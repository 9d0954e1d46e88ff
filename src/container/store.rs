//! Where containers are remembered: one directory each under `--root`, with `state.json`, `config.json`, `exec.fifo`.
//!
//! The directory itself is the lock, flock(2). Everything in it is reached through its fd, so that a directory which
//! another berth removes and makes anew is never mistaken for the one that was opened.

use super::state::State;
use crate::caller;
use crate::error::{Context, During, Error, Result};
use crate::sys::fs::{exchange, read_regular};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::fs::{File, TryLockError};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long another berth may hold a container before this one gives up.
const PATIENCE: Duration = Duration::from_secs(10);
/// No file of ours comes near it.
const MAX_FILE: u64 = 64 << 20;
/// Written next to its final name first.
const STATE: &str = "state.json";
/// The named pipe at which init waits for `start`.
pub const EXEC_FIFO: &str = "exec.fifo";
/// A copy of the bundle's: later commands count on what `create` saw. It gets this name when the container is complete.
pub const CONFIG: &str = "config.json";
const NEW_CONFIG: &str = "config.json.new";

/// All containers under one `--root`.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store at `root`, or at the default place: `/run/berth`, for others than root `$XDG_RUNTIME_DIR/berth`.
    ///
    /// # Errors
    /// When there is no default place for this user.
    pub fn new(root: Option<PathBuf>) -> Result<Self> {
        let root = match root {
            Some(root) => std::path::absolute(root).during(|| "--root")?,
            None if !caller::is_a_user() => "/run/berth".into(),
            None => match caller::runtime_directory() {
                Some(directory) => Path::new(&directory).join("berth"),
                None => return Err(Error::new("XDG_RUNTIME_DIR is not set").hint("Set it, or give --root.")),
            },
        };
        Ok(Self { root })
    }

    /// The directory of all containers.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the directory of a new container, locked.
    ///
    /// # Errors
    /// When the id is not allowed or taken.
    pub fn create(&self, id: &str) -> Result<Entry> {
        check_id(id)?;
        let path = self.root.join(id);
        let make = || mkdirat(AT_FDCWD, &path, Mode::from_bits_truncate(0o711));
        let made = match make() {
            Err(Errno::ENOENT) => {
                let mut root = std::fs::DirBuilder::new();
                root.recursive(true)
                    .mode(0o700)
                    .create(&self.root)
                    .during(|| format!("mkdir {}", self.root.display()))?;
                make()
            }
            result => result,
        };
        match made {
            Err(Errno::EEXIST) => Err(Error::new("container with given ID already exists")
                .context(id.to_owned())
                .hint(format!("`berth delete {id}` removes it, `berth list` shows all."))),
            result => result.during(|| format!("mkdir {}", path.display())),
        }?;
        let mut entry = self.open(id)?;
        entry.lock()?;
        Ok(entry)
    }

    /// Opens the directory of a container.
    ///
    /// # Errors
    /// When the id is not allowed or unknown.
    pub fn open(&self, id: &str) -> Result<Entry> {
        check_id(id)?;
        let path = self.root.join(id);
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(AT_FDCWD, &path, flags, Mode::empty()) {
            Ok(directory) => Ok(Entry { id: id.into(), path, directory: directory.into(), locked: false }),
            Err(Errno::ENOENT) => Err(unknown(id)),
            Err(errno) => Err(Error::sys(format!("open {}", path.display()), errno)),
        }
    }

    /// The names of all containers, sorted; none when the root does not exist.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn ids(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(format!("read {}", self.root.display()), &error)),
        };
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            (check_id(&name).is_ok() && entry.file_type().ok()?.is_dir()).then_some(name)
        };
        let mut ids: Vec<String> = entries.filter_map(name).collect();
        ids.sort();
        Ok(ids)
    }
}

/// The error for a container that is not there, in the words that engines look for.
pub fn unknown(id: &str) -> Error {
    Error::new("container does not exist").context(format!("{id:?}"))
}

/// runc's rule: letters, digits, `_`, `+`, `-`, `.`; neither `.` nor `..`; at most as long as a file name.
///
/// # Errors
/// When `id` is against the rule.
pub fn check_id(id: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    if id.is_empty() || id.len() > 255 || id == "." || id == ".." || !id.bytes().all(allowed) {
        let hint = "Use up to 255 letters, digits and the characters _ + - . in an id.";
        return Err(Error::new(format!("invalid container ID format: {id:?}")).hint(hint));
    }
    Ok(())
}

/// The directory of one container.
#[derive(Debug)]
pub struct Entry {
    id: String,
    path: PathBuf,
    directory: File,
    locked: bool,
}

impl Entry {
    /// The container's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The directory's path, for messages and for mounts.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Keeps other berths from changing this container until the entry is dropped.
    ///
    /// # Errors
    /// When another one holds it for long, or has removed it meanwhile.
    pub fn lock(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let errno = match self.directory.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => Errno::EAGAIN,
                Err(TryLockError::Error(error)) => Errno::from_raw(error.raw_os_error().unwrap_or_default()),
            };
            if !matches!(errno, Errno::EAGAIN | Errno::EINTR) || Instant::now() >= deadline {
                return Err(Error::sys("flock", errno)
                    .context(self.path.display().to_string())
                    .hint("Another berth process works on this container; wait for it or end it."));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.locked = true;
        if self.is_gone() { Err(unknown(&self.id)) } else { Ok(()) }
    }

    /// Whether the directory has been removed since it was opened.
    pub fn is_gone(&self) -> bool {
        fstat(&self.directory).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Lets other berths change this container.
    pub fn unlock(&mut self) {
        // Who inherited the descriptor, such as an init that is being made, must not keep the lock.
        if std::mem::take(&mut self.locked) {
            let _ = self.directory.unlock();
        }
    }

    /// Whether another berth is changing this container.
    pub fn is_locked_by_another(&self) -> bool {
        if self.locked {
            return false;
        }
        let locked = matches!(self.directory.try_lock_shared(), Err(TryLockError::WouldBlock));
        if !locked {
            let _ = self.directory.unlock();
        }
        locked
    }

    /// Reads `state.json`.
    ///
    /// # Errors
    /// When it is missing (berth was killed in its first steps) or damaged.
    pub fn load(&self) -> Result<State> {
        let bytes = match self.read(STATE) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => {
                let hint = format!("berth was killed while it made the container: `berth delete --force {}`.", self.id);
                return Err(unknown(&self.id).hint(hint));
            }
            result => result?,
        };
        serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(format!("{}: {error}", self.path.join(STATE).display()))
                .hint(format!("`berth delete --force {}` removes the container.", self.id))
        })
    }

    /// Writes `state.json`, whole or not at all.
    ///
    /// # Errors
    /// When the directory is gone or full.
    pub fn save(&self, state: &State) -> Result<()> {
        const NEW: &str = "state.json.new";
        let bytes = serde_json::to_vec(state).map_err(|error| Error::new(error.to_string()))?;
        self.write(NEW, &bytes)?;
        // Not renamed over the old one: ext4 then waits for the disk, three times as long as a whole container takes.
        let exchanged = match state.init() {
            Some(_) => exchange(self.directory(), c"state.json.new", c"state.json"),
            // The first one.
            None => Err(Errno::ENOENT),
        };
        match exchanged.and_then(|()| unlinkat(&self.directory, NEW, UnlinkatFlags::NoRemoveDir)) {
            // Or a file system that cannot.
            Err(Errno::ENOENT | Errno::EINVAL) => renameat(&self.directory, NEW, &self.directory, STATE),
            result => result,
        }
        .during(|| format!("rename {}", self.path.join(STATE).display()))
    }

    /// Writes the copy of the configuration, without its name yet.
    ///
    /// # Errors
    /// When the directory is full.
    pub fn prepare_config(&self, bytes: &[u8]) -> Result<()> {
        self.write(NEW_CONFIG, bytes)
    }

    /// Records that the container is complete: one step, so that it is never half so.
    ///
    /// # Errors
    /// When the directory is gone.
    pub fn complete(&self) -> Result<()> {
        renameat(&self.directory, NEW_CONFIG, &self.directory, CONFIG)
            .during(|| format!("rename {}", self.path.join(CONFIG).display()))
    }

    /// Whether `create` has made the container to its end.
    pub fn is_complete(&self) -> bool {
        self.has(CONFIG)
    }

    fn has(&self, name: &str) -> bool {
        fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Reads a file of the directory.
    ///
    /// # Errors
    /// When it cannot be read or is larger than any file of ours.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = || self.path.join(name).display().to_string();
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = openat(&self.directory, name, flags, Mode::empty()).during(|| "open").context(path)?;
        let length = fstat(&file).during(|| "fstat").context(path)?.st_size as u64;
        read_regular(file.as_fd(), length, MAX_FILE).during(|| "read").context(path)
    }

    /// Writes a file of the directory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = || self.path.join(name).display().to_string();
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let file =
            openat(&self.directory, name, flags, Mode::from_bits_truncate(0o600)).during(|| "open").context(path)?;
        File::from(file).write_all(bytes).during(|| "write").context(path)
    }

    /// Makes the pipe at which init waits, and opens it without being its reader or writer.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_exec_fifo(&self) -> Result<OwnedFd> {
        let what = |call: &str| format!("{call} {}", self.path.join(EXEC_FIFO).display());
        // Writable for all: init opens it as the container's user. The directory keeps everybody else out.
        let mode = Mode::from_bits_truncate(0o622);
        nix::unistd::mkfifoat(&self.directory, EXEC_FIFO, mode).during(|| what("mkfifo"))?;
        let fifo = self.open_exec_fifo()?;
        // The umask took bits away.
        nix::sys::stat::fchmodat(&self.directory, EXEC_FIFO, mode, nix::sys::stat::FchmodatFlags::FollowSymlink)
            .during(|| what("chmod"))?;
        Ok(fifo)
    }

    /// Opens that pipe without being its reader or writer.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open_exec_fifo(&self) -> Result<OwnedFd> {
        openat(&self.directory, EXEC_FIFO, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
            .during(|| format!("open {}", self.path.join(EXEC_FIFO).display()))
    }

    /// Whether init still waits for `start`.
    pub fn waits_for_start(&self) -> bool {
        self.has(EXEC_FIFO)
    }

    /// Forgets the container: removes the directory and what is in it. One that is gone already is fine.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub fn remove(&self) -> Result<()> {
        // What almost every container has, without looking.
        for name in [STATE, CONFIG] {
            let _ = unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir);
        }
        if unlinkat(AT_FDCWD, &self.path, UnlinkatFlags::RemoveDir).is_ok() {
            return Ok(());
        }
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("remove {}", self.path.display()), &error))
            }
            _ => Ok(()),
        }
    }

    /// Removes a file of the directory; a missing one is fine.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove_file(&self, name: &str) -> Result<()> {
        match unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(Error::sys(format!("unlink {}", self.path.join(name).display()), errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_leave_the_root() {
        for good in ["a", "A.b_c+d-e", "...", "0", &"x".repeat(255)] {
            assert!(check_id(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "../a", "a/b", "a\0", "a b", "ä", "a\n", &"x".repeat(256)] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_id_is_taken_once_and_a_missing_root_has_no_containers() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(Some(root.path().join("deep/er"))).unwrap();
        assert!(store.ids().unwrap().is_empty());
        assert!(!store.root().exists());
        let entry = store.create("c").unwrap();
        assert!(store.create("c").unwrap_err().to_string().contains("already exists"));
        assert_eq!(store.ids().unwrap(), ["c"]);
        assert!(entry.load().unwrap_err().to_string().contains("container does not exist"));
        entry.remove().unwrap();
        assert!(store.open("c").unwrap_err().to_string().contains("container does not exist"));
    }

    #[test]
    fn a_removed_container_cannot_be_locked() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(Some(root.path().into())).unwrap();
        drop(store.create("c").unwrap());
        let mut late = store.open("c").unwrap();
        store.open("c").unwrap().remove().unwrap();
        assert!(late.lock().unwrap_err().to_string().contains("container does not exist"));
    }
}
