//! `start`: opening the door at which init waits.

use super::notify::NotifySocket;
use super::state::Status;
use super::store::EXEC_FIFO;
use super::{Container, wait_for_end};
use crate::bundle::config::Hook;
use crate::error::{Context, During, Error, Result};
use crate::sys::fs::open;
use crate::{hooks, log};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Lets init execute its program, and runs the poststart hooks.
///
/// # Errors
/// When the container is not in state created, or its program cannot be executed.
pub fn start(mut container: Container) -> Result<()> {
    let id = &container.state.id;
    match container.status() {
        Status::Created => {}
        Status::Stopped => {
            return Err(Error::new("cannot start a container that has stopped").context(id.clone()));
        }
        Status::Creating => {
            return Err(Error::new("cannot start a container that is being created").context(id.clone()));
        }
        Status::Running => {
            return Err(Error::new("cannot start an already running container").context(id.clone()));
        }
        Status::Paused => {
            return Err(Error::new("cannot start a container that is paused").context(id.clone()));
        }
    }
    let init = container.init()?;
    let notify = NotifySocket::of(container.entry.path())?;
    open_door(&container, &init)?;
    // From here on others may work on it: it may be long until the container is ready, and hooks may call us.
    container.entry.unlock();
    if let Some(notify) = notify {
        notify.forward(&init, container.state.init_process_pid)?;
    }
    match container.state.has_poststart {
        true => run_poststart(&container, &container.config()?.hooks.poststart),
        false => Ok(()),
    }
}

/// Runs the poststart hooks; when one fails the container is stopped (runtime.md "Lifecycle").
///
/// # Errors
/// The hook's.
pub fn run_poststart(container: &Container, hooks: &[Hook]) -> Result<()> {
    hooks::run_all("poststart", hooks, &container.state.for_hooks(Status::Running)).inspect_err(|_| {
        if let Err(error) = container.kill_all() {
            log::warn(error);
        }
    })
}

/// Init blocks in opening the FIFO for writing until we open it for reading. The writer's end closes when the program
/// is executed; before that, init writes why it could not be.
///
/// The FIFO's name, which says that init waits, goes first: were we killed in between, a second `start` would wait for
/// a writer that never comes.
fn open_door(container: &Container, init: &OwnedFd) -> Result<()> {
    let entry = &container.entry;
    let name = || entry.path().join(EXEC_FIFO).display().to_string();
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let fifo = entry.open_exec_fifo()?;
    entry.remove_file(EXEC_FIFO)?;
    let path = format!("/proc/self/fd/{}", fifo.as_raw_fd());
    let door = open(path.as_str(), flags).during(|| "open").context(name)?;
    let mut message = Vec::new();
    loop {
        let mut fds = [PollFd::new(door.as_fd(), PollFlags::POLLIN), PollFd::new(init.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::sys("poll", errno)),
        }
        // The end of a writer shows only when there was one: init came to the door.
        let ended = fds[1].any().unwrap_or(false);
        let opened = fds[0].any().unwrap_or(false)
            || ended && poll(&mut fds[..1], PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
        if opened {
            let mut chunk = [0; 4096];
            match nix::unistd::read(&door, &mut chunk) {
                Ok(0) => break,
                Ok(count) => message.extend_from_slice(&chunk[..count]),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(Error::sys("read", errno).context(name())),
            }
        } else if ended {
            return Err(Error::new("container not running: its init was killed before it could start the program"));
        }
    }
    if message.is_empty() {
        return Ok(());
    }
    // Who asks for the state next must see it stopped.
    let _ = wait_for_end(init);
    Err(Error::decode(&message).context("unable to start container process"))
}
