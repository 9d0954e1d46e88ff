//! Files and directories of the cgroup file systems, which are few system calls each and fail with the bare errno.
//!
//! Paths are the host's, which only its administrator shapes, and cgroup file systems have no symbolic links: a path
//! means the same each time it is resolved.

use crate::sys::fs;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Errno>;

/// Levels below a container's cgroup that are looked at; the kernel has no limit, the stack has.
const DEPTH: usize = 64;

/// The whole text of a file.
///
/// # Errors
/// The kernel's; `EINVAL` for bytes that are no text.
pub fn read(dir: &Path, file: &str) -> Result<String> {
    fs::read_kernel_text(&dir.join(file))
}

/// The text of a file without the line's end; `None` when there is no such file or it does not work here.
pub fn value(dir: &Path, file: &str) -> Option<String> {
    read(dir, file).ok().map(|text| text.trim().to_owned())
}

/// The number in a file; `max` is `u64::MAX`.
pub fn number(dir: &Path, file: &str) -> Option<u64> {
    let value = value(dir, file)?;
    if value == "max" { Some(u64::MAX) } else { value.parse().ok() }
}

/// The number after `key` in a file of lines `key number`.
pub fn keyed(dir: &Path, file: &str, key: &str) -> Option<u64> {
    find(&read(dir, file).ok()?, key)
}

/// The number after `key` in lines `key number`.
pub fn find(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Writes `value` with one write(2), as the kernel wants it. Never makes a file.
///
/// # Errors
/// The kernel's.
pub fn write(dir: &Path, file: &str, value: &str) -> Result<()> {
    let fd = fs::open(&dir.join(file), OFlag::O_WRONLY | OFlag::O_NOCTTY)?;
    loop {
        match nix::unistd::write(&fd, value.as_bytes()) {
            Err(Errno::EINTR) => {}
            result => return result.map(|_| ()),
        }
    }
}

/// Opens a directory for `*at` calls and `CLONE_INTO_CGROUP`.
///
/// # Errors
/// The kernel's.
pub fn open_dir(dir: &Path) -> Result<OwnedFd> {
    fs::open(dir, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
}

/// Makes a directory and those above it; new ones are added to `made`, the outermost first. Tells whether `dir` is new.
///
/// # Errors
/// The kernel's.
pub fn make(dir: &Path, made: &mut Vec<PathBuf>) -> Result<bool> {
    // A parent may be removed between the two calls by whoever destroys its last container.
    for _ in 0..16 {
        match nix::unistd::mkdir(dir, Mode::from_bits_truncate(0o755)) {
            Ok(()) => {
                made.push(dir.to_owned());
                return Ok(true);
            }
            Err(Errno::EEXIST) => return Ok(false),
            Err(Errno::ENOENT) => match dir.parent() {
                Some(parent) => make(parent, made)?,
                None => return Err(Errno::ENOENT),
            },
            Err(errno) => return Err(errno),
        };
    }
    Err(Errno::ENOENT)
}

/// The cgroups right below `dir`; none when it is gone.
pub fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// `dir` and all cgroups below it, the outermost first.
pub fn walk(dir: &Path) -> Vec<PathBuf> {
    fn add(dir: PathBuf, depth: usize, all: &mut Vec<PathBuf>) {
        let below = if depth == 0 { Vec::new() } else { children(&dir) };
        all.push(dir);
        below.into_iter().for_each(|child| add(child, depth - 1, all));
    }
    let mut all = Vec::new();
    add(dir.to_owned(), DEPTH, &mut all);
    all
}

/// The processes of `dir` and of all cgroups below it. A cgroup that is gone has none.
///
/// # Errors
/// The kernel's, when `dir` itself cannot be read.
pub fn pids(dir: &Path) -> Result<Vec<Pid>> {
    let mut pids: Vec<i32> = Vec::new();
    for (index, dir) in walk(dir).iter().enumerate() {
        match read(dir, "cgroup.procs") {
            // 0 is a process that this PID namespace does not see.
            Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse().ok()).filter(|pid: &i32| *pid > 0)),
            Err(Errno::ENOENT | Errno::ENODEV) => {}
            // A threaded cgroup: its processes are listed by its domain, further up.
            Err(Errno::EOPNOTSUPP) => {}
            Err(errno) if index == 0 => return Err(errno),
            Err(_) => {}
        }
    }
    pids.sort_unstable();
    pids.dedup();
    Ok(pids.into_iter().map(Pid::from_raw).collect())
}

/// Removes `dir` and the cgroups below it; one that is gone is fine.
///
/// # Errors
/// `EBUSY` when processes are still in it after `patience`, or the kernel's.
pub fn remove(dir: &Path, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        match rmdir(dir) {
            Err(Errno::EBUSY | Errno::ENOTEMPTY) => {}
            result => return result,
        }
        // The cheap call above is all that the usual container needs. The innermost go first.
        for below in walk(dir).iter().skip(1).rev() {
            match rmdir(below) {
                Ok(()) | Err(Errno::EBUSY | Errno::ENOTEMPTY) => {}
                Err(errno) => return Err(errno),
            }
        }
        match rmdir(dir) {
            Err(Errno::EBUSY | Errno::ENOTEMPTY) if Instant::now() < deadline => {}
            result => return result,
        }
        // A killed process leaves its cgroup only at the end of its exit.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Removes a cgroup; one that is gone is fine.
///
/// # Errors
/// `EBUSY` when processes or cgroups are in it, or the kernel's.
pub fn rmdir(dir: &Path) -> Result<()> {
    match nix::unistd::unlinkat(nix::fcntl::AT_FDCWD, dir, nix::unistd::UnlinkatFlags::RemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_whole_word() {
        let text = "oom 1\noom_kill 2\noom_group_kill 3\n";
        assert_eq!((find(text, "oom"), find(text, "oom_kill"), find(text, "kill")), (Some(1), Some(2), None));
    }

    #[test]
    fn making_tells_what_is_new_and_removing_takes_all_below() {
        let root = tempfile::tempdir().unwrap();
        let leaf = root.path().join("a/b/c");
        let mut made = Vec::new();
        assert!(make(&leaf, &mut made).unwrap());
        assert_eq!(made, [root.path().join("a"), root.path().join("a/b"), leaf.clone()]);
        assert!(!make(&leaf, &mut made).unwrap());
        remove(&root.path().join("a"), Duration::ZERO).unwrap();
        assert!(!root.path().join("a").exists());
        remove(&root.path().join("a"), Duration::ZERO).unwrap();
    }

    #[test]
    fn numbers_are_read_as_the_kernel_writes_them() {
        let dir = tempfile::tempdir().unwrap();
        for (text, expected) in [("max\n", Some(u64::MAX)), ("42\n", Some(42)), ("x\n", None)] {
            std::fs::write(dir.path().join("f"), text).unwrap();
            assert_eq!(number(dir.path(), "f"), expected);
        }
        assert_eq!(number(dir.path(), "missing"), None);
    }
}
