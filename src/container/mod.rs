//! The life of a container seen from outside, one file per operation.

pub mod create;
pub mod delete;
pub mod exec;
pub mod foreground;
pub mod idmap;
pub mod kill;
pub mod launch;
pub mod notify;
pub mod seal;
pub mod sockets;
pub mod start;
pub mod state;
pub mod store;

use crate::bundle::Bundle;
use crate::bundle::config::Config;
use crate::cgroup::{self, Cgroup};
use crate::error::{Context, Error, Result};
use crate::sys::process;
use nix::unistd::Pid;
use state::{State, Status};
use std::os::fd::{AsFd, OwnedFd};
use store::{Entry, Store};

/// A container that exists, as its directory describes it.
#[derive(Debug)]
pub struct Container {
    /// Its directory.
    pub entry: Entry,
    /// What is remembered of it.
    pub state: State,
}

impl Container {
    /// Finds a container by its id.
    ///
    /// # Errors
    /// When there is none, or its state is damaged.
    pub fn open(store: &Store, id: &str) -> Result<Self> {
        let entry = store.open(id)?;
        let state = entry.load()?;
        Ok(Self { entry, state })
    }

    /// Finds a container and keeps other berths from changing it.
    ///
    /// # Errors
    /// As [`Container::open`], and when another berth does not let go of it.
    pub fn open_locked(store: &Store, id: &str) -> Result<Self> {
        let mut entry = store.open(id)?;
        entry.lock()?;
        let state = entry.load()?;
        Ok(Self { entry, state })
    }

    /// Where in its life the container is now.
    pub fn status(&self) -> Status {
        if !self.state.init().is_some_and(state::Identity::is_alive) {
            // Before init exists, `create` is at work, or was killed at work.
            return if self.state.init().is_none() && self.entry.is_locked_by_another() {
                Status::Creating
            } else {
                Status::Stopped
            };
        }
        self.living_status()
    }

    /// The status of a container whose init is known to run.
    pub fn living_status(&self) -> Status {
        if !self.entry.is_complete() {
            Status::Creating
        } else if self.cgroup().and_then(|cgroup| cgroup.is_frozen()).unwrap_or(false) {
            // Also before `start`, which would wait for a frozen init without end.
            Status::Paused
        } else if self.entry.waits_for_start() {
            Status::Created
        } else {
            Status::Running
        }
    }

    /// The cgroup of the container.
    ///
    /// # Errors
    /// When its record is damaged.
    pub fn cgroup(&self) -> Result<Box<dyn Cgroup>> {
        cgroup::open(&self.state.cgroup).context(|| self.state.id.clone())
    }

    /// The configuration that `create` used.
    ///
    /// # Errors
    /// When its copy is damaged.
    pub fn config(&self) -> Result<Config> {
        let raw = self.entry.read(store::CONFIG)?;
        crate::bundle::parse(&raw, &self.entry.path().join(store::CONFIG).display().to_string())
    }

    /// A fd of init that stays with it whatever becomes of its pid.
    ///
    /// # Errors
    /// When init has ended: "container not running", which engines look for.
    pub fn init(&self) -> Result<OwnedFd> {
        let gone = || Error::new("container not running").context(self.state.id.clone());
        self.state.init().ok_or_else(gone)?.open().map_err(|_| gone())
    }

    /// Says that the kernel has killed processes because memory ran out: nobody else does.
    pub fn report_oom_kills(&self) {
        if let Some(kills) = self.cgroup().ok().and_then(|cgroup| cgroup.oom_kills()).filter(|kills| *kills > 0) {
            crate::log::warn(format!(
                "{}: out of memory: the kernel killed {kills} process(es) of the container. Raise \
                 linux.resources.memory.limit",
                self.state.id
            ));
        }
    }

    /// Kills every process of the container and waits until init is gone.
    ///
    /// # Errors
    /// When the kernel refuses, or processes do not die in time.
    pub fn kill_all(&self) -> Result<()> {
        let init = self.init().ok();
        if let Some(init) = &init {
            let _ = process::pidfd_send_signal(init.as_fd(), nix::libc::SIGKILL);
        }
        let cgroup = self.cgroup()?;
        if cgroup.exists() && !self.state.cgroup.paths.is_empty() {
            cgroup.kill()?;
        }
        if let Some(init) = &init {
            wait_for_end(init)?;
        }
        Ok(())
    }
}

/// Reaps a child that was sent SIGKILL, also one that an intermediate made for us (clone(2), `__WALL`).
pub fn reap(pid: Pid) {
    let _ = nix::sys::wait::waitpid(pid, Some(nix::sys::wait::WaitPidFlag::__WALL));
}

/// Waits until a process that was sent SIGKILL is gone.
fn wait_for_end(pidfd: &OwnedFd) -> Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    /// Milliseconds. Dying needs no more than the end of a system call.
    const PATIENCE: u16 = 10_000;
    loop {
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::from(PATIENCE)) {
            Ok(0) => {
                return Err(Error::new("the container's init does not die")
                    .hint("It hangs in a system call; look at /proc/<pid>/stack."));
            }
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(Error::sys("poll", errno)),
        }
    }
}

/// The directory of compiled system call filters.
pub fn seccomp_cache(store: &Store) -> std::path::PathBuf {
    store.root().join(".cache/seccomp")
}

/// Reads the bundle of a new container.
///
/// # Errors
/// As [`Bundle::load`].
pub fn load_bundle(path: &std::path::Path) -> Result<Bundle> {
    Bundle::load(path, "config.json")
}
