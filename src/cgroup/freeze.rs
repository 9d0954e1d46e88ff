//! Stopping, continuing and killing all processes of a cgroup.

use super::tree;
use crate::error::{During, Error, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill as signal};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the kernel may take to stop the processes. One in an uninterruptible sleep delays it for as long.
const DEADLINE: Duration = Duration::from_secs(10);

/// The freezer of a container.
#[derive(Debug, Clone, Copy)]
pub enum Freezer<'a> {
    /// `freezer.state` (cgroup-v1/freezer-subsystem.rst).
    V1(&'a Path),
    /// `cgroup.freeze` (cgroup-v2.rst, "Core Interface Files").
    V2(&'a Path),
}

impl<'a> Freezer<'a> {
    /// The v1 freezer where it is mounted, which is where engines look; else v2's.
    pub fn find(paths: &'a BTreeMap<String, PathBuf>) -> Option<Self> {
        match (paths.get("freezer"), paths.get("")) {
            (Some(dir), _) => Some(Self::V1(dir)),
            (None, Some(dir)) => Some(Self::V2(dir)),
            (None, None) => None,
        }
    }

    /// Stops the processes and waits until the kernel says that they are.
    ///
    /// # Errors
    /// When that does not happen in time; they are thawed again then.
    pub fn freeze(self) -> Result<()> {
        let result = match self {
            Self::V1(dir) => freeze_v1(dir),
            Self::V2(dir) => tree::write(dir, "cgroup.freeze", "1")
                .during(|| format!("write 1 to {}/cgroup.freeze", dir.display()))
                .and_then(|()| wait_frozen(dir)),
        };
        if result.is_err() {
            // Half a freeze would leave a container that nothing explains.
            let _ = self.thaw();
        }
        result
    }

    /// Lets the processes continue, unless a cgroup above is frozen.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn thaw(self) -> Result<()> {
        let (dir, file, value) = self.thawed();
        tree::write(dir, file, value).during(|| format!("write {value} to {}/{file}", dir.display()))
    }

    /// The directory, file and value that thaw it.
    fn thawed(self) -> (&'a Path, &'static str, &'static str) {
        match self {
            Self::V1(dir) => (dir, "freezer.state", "THAWED"),
            Self::V2(dir) => (dir, "cgroup.freeze", "0"),
        }
    }

    /// Lets the processes continue in all cgroups below too; one that is gone is fine.
    fn thaw_all(self) {
        let (dir, file, value) = self.thawed();
        tree::walk(dir).iter().for_each(|dir| {
            let _ = tree::write(dir, file, value);
        });
    }

    /// Whether the processes are stopped, or are being stopped, by this cgroup or one above.
    ///
    /// # Errors
    /// When the state cannot be read; a cgroup that is gone is not frozen.
    pub fn is_frozen(self) -> Result<bool> {
        let (dir, file) = match self {
            Self::V1(dir) => (dir, "freezer.state"),
            Self::V2(dir) => (dir, "cgroup.events"),
        };
        match tree::read(dir, file) {
            Ok(text) => Ok(match self {
                Self::V1(_) => text.trim() != "THAWED",
                Self::V2(_) => tree::find(&text, "frozen") == Some(1),
            }),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(false),
            Err(errno) => Err(Error::sys(format!("read {}", dir.join(file).display()), errno)),
        }
    }
}

/// The kernel wakes pollers of `cgroup.events` whenever it changes.
fn wait_frozen(dir: &Path) -> Result<()> {
    let path = dir.join("cgroup.events");
    let mut events = std::fs::File::open(&path).during(|| format!("open {}", path.display()))?;
    let deadline = Instant::now() + DEADLINE;
    let mut text = String::new();
    loop {
        text.clear();
        std::io::Seek::rewind(&mut events)
            .and_then(|()| std::io::Read::read_to_string(&mut events, &mut text))
            .during(|| format!("read {}", path.display()))?;
        if tree::find(&text, "frozen") == Some(1) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(too_slow(dir));
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::sys("poll cgroup.events", errno)),
        }
    }
}

/// v1 has no event for it. A process that forks while it is frozen can keep the state at FREEZING for ever; a short
/// thaw now and then lets it get out of that.
fn freeze_v1(dir: &Path) -> Result<()> {
    let write = |state: &str| {
        tree::write(dir, "freezer.state", state).during(|| format!("write {state} to {}/freezer.state", dir.display()))
    };
    let deadline = Instant::now() + DEADLINE;
    let mut pause = Duration::from_micros(50);
    for attempt in 1u32.. {
        write("FROZEN")?;
        let state = tree::read(dir, "freezer.state").during(|| format!("read {}/freezer.state", dir.display()))?;
        if state.trim() == "FROZEN" {
            return Ok(());
        }
        if Instant::now() >= deadline {
            break;
        }
        if attempt % 50 == 0 {
            write("THAWED")?;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Err(too_slow(dir))
}

fn too_slow(dir: &Path) -> Error {
    let secs = DEADLINE.as_secs();
    Error::new(format!("{}: the processes did not stop within {secs} s and run again", dir.display()))
        .hint("A process in an uninterruptible sleep cannot be paused")
}

/// Kills every process; see [`super::Cgroup::kill`].
///
/// # Errors
/// As there.
pub fn kill(paths: &BTreeMap<String, PathBuf>) -> Result<()> {
    let v1 =
        paths.iter().find(|(name, _)| *name == "freezer").or_else(|| paths.iter().find(|(name, _)| !name.is_empty()));
    if let Some(dir) = paths.get("") {
        // Reaches forks and frozen cgroups too.
        match tree::write(dir, "cgroup.kill", "1") {
            Ok(()) | Err(Errno::ENOENT | Errno::ENODEV) => {}
            // A threaded cgroup cannot be killed as a whole.
            Err(Errno::EOPNOTSUPP) => kill_each(dir)?,
            Err(errno) => return Err(Error::sys(format!("write 1 to {}/cgroup.kill", dir.display()), errno)),
        }
        if v1.is_none() {
            return Ok(());
        }
    }
    let Some((_, dir)) = v1 else { return Ok(()) };
    let freezer = paths.get("freezer").map(|dir| Freezer::V1(dir));
    // Frozen processes neither fork away from the list nor give their pid to a stranger.
    let frozen = !paths.contains_key("") && freezer.is_some_and(|freezer| freezer.freeze().is_ok());
    let result = kill_each(dir);
    if let Some(freezer) = freezer {
        // v1 delivers no signal to the frozen.
        freezer.thaw_all();
    }
    if !frozen && result.is_ok() {
        return kill_each(dir);
    }
    result
}

fn kill_each(dir: &Path) -> Result<()> {
    for pid in tree::pids(dir).during(|| format!("read {}/cgroup.procs", dir.display()))? {
        match signal(pid, Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(Error::sys(format!("kill {pid}"), errno)),
        }
    }
    Ok(())
}
