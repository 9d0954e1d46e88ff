//! News from the kernel's OOM killer.

use super::tree;
use crate::error::{During, Error, Result};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;

/// Why the fd of a watch was readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Nothing that concerns memory.
    Nothing,
    /// The container ran out of memory.
    Oom,
    /// The cgroup has become empty or is gone: no more events come.
    Gone,
}

/// A watch for the OOM killer: poll [`OomWatch::as_fd`] for reading, then ask [`OomWatch::read`].
#[derive(Debug)]
pub struct OomWatch {
    dir: PathBuf,
    source: Source,
    /// The count at the last event, on v2.
    kills: u64,
}

#[derive(Debug)]
enum Source {
    /// An eventfd registered with `cgroup.event_control` (cgroup-v1/memory.rst, "OOM Control"), and the file that must
    /// stay open for it.
    V1(EventFd, #[allow(dead_code, reason = "held open for the kernel")] File),
    /// inotify on `memory.events` and `cgroup.events` (cgroup-v2.rst: a changed file generates a modified event).
    V2(Inotify),
}

impl OomWatch {
    /// Begins to watch the memory controller. Who also watches the container's process learns of an end that came
    /// before.
    ///
    /// # Errors
    /// When there is none or the kernel refuses.
    pub fn new(paths: &BTreeMap<String, PathBuf>) -> Result<Self> {
        match (paths.get("memory"), paths.get("")) {
            (Some(dir), _) => Self::v1(dir.clone()),
            (None, Some(dir)) => Self::v2(dir.clone()),
            (None, None) => Err(Error::new("the container has no cgroup of its own, so nothing tells of its memory")),
        }
    }

    fn v1(dir: PathBuf) -> Result<Self> {
        let path = dir.join("memory.oom_control");
        let control = File::open(&path).during(|| format!("open {}", path.display()))?;
        let event =
            EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).during(|| "eventfd")?;
        let pair = format!("{} {}", event.as_fd().as_raw_fd(), control.as_raw_fd());
        tree::write(&dir, "cgroup.event_control", &pair)
            .during(|| format!("write to {}/cgroup.event_control", dir.display()))?;
        Ok(Self { dir, source: Source::V1(event, control), kills: 0 })
    }

    fn v2(dir: PathBuf) -> Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).during(|| "inotify_init1")?;
        for file in ["memory.events", "cgroup.events"] {
            let path = dir.join(file);
            inotify
                .add_watch(&path, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_DELETE_SELF)
                .during(|| format!("watch {}", path.display()))?;
        }
        let kills = tree::keyed(&dir, "memory.events", "oom_kill").unwrap_or(0);
        Ok(Self { dir, source: Source::V2(inotify), kills })
    }

    /// The fd that becomes readable when there is news.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::V1(event, _) => event.as_fd(),
            Source::V2(inotify) => inotify.as_fd(),
        }
    }

    /// Takes the news; does not wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(&mut self) -> Result<Event> {
        match &self.source {
            Source::V1(event, _) => match event.read() {
                // The removal of the cgroup signals the eventfd too.
                Ok(_) if !self.dir.is_dir() => Ok(Event::Gone),
                Ok(_) => Ok(Event::Oom),
                Err(Errno::EAGAIN | Errno::EINTR) => Ok(Event::Nothing),
                Err(errno) => Err(Error::sys("read the OOM eventfd", errno)),
            },
            Source::V2(inotify) => {
                let quiet = match inotify.read_events() {
                    Ok(_) => false,
                    Err(Errno::EAGAIN | Errno::EINTR) => true,
                    Err(errno) => return Err(Error::sys("read OOM events", errno)),
                };
                // The counter is ahead of the event that tells of it.
                if let Some(kills) = tree::keyed(&self.dir, "memory.events", "oom_kill").filter(|now| *now > self.kills)
                {
                    self.kills = kills;
                    return Ok(Event::Oom);
                }
                match tree::keyed(&self.dir, "cgroup.events", "populated") {
                    Some(1) => Ok(Event::Nothing),
                    // A cgroup that is still empty is not gone.
                    _ if quiet => Ok(Event::Nothing),
                    _ => Ok(Event::Gone),
                }
            }
        }
    }
}

/// How many processes the OOM killer has killed; see [`super::Cgroup::oom_kills`].
pub fn kills(paths: &BTreeMap<String, PathBuf>) -> Option<u64> {
    match paths.get("memory") {
        Some(dir) => tree::keyed(dir, "memory.oom_control", "oom_kill"),
        None => tree::keyed(paths.get("")?, "memory.events", "oom_kill"),
    }
}
