//! `delete`: forgetting a container and everything that was made for it.

use super::state::Status;
use super::store::{Entry, Store};
use super::{Container, store};
use crate::bundle::config::Hook;
use crate::error::{Error, Result};
use crate::sys::process;
use crate::{hooks, log};
use std::os::fd::AsFd;

/// Deletes a stopped container; with `force` any, and one that does not exist is fine.
///
/// # Errors
/// When it is not stopped (runtime.md "Delete"), or something of it cannot be removed.
pub fn delete(store: &Store, id: &str, force: bool) -> Result<()> {
    store::check_id(id)?;
    let mut entry = match store.open(id) {
        Err(_) if force && !store.root().join(id).exists() => return Ok(()),
        result => result?,
    };
    if force {
        kill_init(&entry);
    }
    match entry.lock() {
        // Another berth was quicker.
        Err(_) if force && entry.is_gone() => return Ok(()),
        result => result?,
    }
    let state = match entry.load() {
        // berth died before it made anything but the directory, or the file is damaged.
        Err(error) if force => return remove_unreadable(&entry, &error),
        result => result?,
    };
    let container = Container { entry, state };
    let status = if force { Status::Stopped } else { container.status() };
    if status != Status::Stopped {
        return Err(Error::new(format!("cannot delete container {id} that is not stopped: {status}"))
            .hint("Kill it first, or use --force."));
    }
    let poststop = match container.state.has_poststop && container.entry.is_complete() {
        true => container.config().map(|config| config.hooks.poststop).map_err(log::warn).unwrap_or_default(),
        false => Vec::new(),
    };
    remove(&container, &poststop, !force)
}

/// Before the lock: a `start` that waits for the container holds it, and ends with init.
fn kill_init(entry: &Entry) {
    if let Some(init) = entry.load().ok().and_then(|state| state.init())
        && let Ok(pidfd) = init.open()
    {
        let _ = process::pidfd_send_signal(pidfd.as_fd(), nix::libc::SIGKILL);
    }
}

fn remove_unreadable(entry: &Entry, error: &Error) -> Result<()> {
    log::debug(|| format!("removing {} although: {error}", entry.path().display()));
    entry.remove()
}

/// Removes a container that `run` has made and whose init has been reaped, unless somebody else has removed it already.
///
/// # Errors
/// As [`remove`].
pub fn remove_stopped(container: &mut Container, poststop: &[Hook]) -> Result<()> {
    match container.entry.lock() {
        Err(_) if container.entry.is_gone() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => remove(container, poststop, true),
    }
}

/// Kills what is left unless init is known to have ended, removes the cgroup and the directory, runs the poststop hooks.
///
/// # Errors
/// When something cannot be removed; the directory stays then, so that delete can be tried again.
fn remove(container: &Container, poststop: &[Hook], init_ended: bool) -> Result<()> {
    let cgroup = container.cgroup()?;
    // As a rule nothing is left of the container, and the kernel removes an empty cgroup only.
    if !init_ended && container.init().is_ok() || !cgroup.remove_if_empty() {
        container.kill_all()?;
        cgroup.destroy()?;
    }
    container.entry.remove()?;
    // The container is gone: a failing hook is a warning, and the others run too (runtime.md "Lifecycle").
    if !poststop.is_empty() {
        hooks::run_each("poststop", poststop, &container.state.for_hooks(Status::Stopped));
    }
    Ok(())
}
