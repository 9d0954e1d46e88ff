//! `delete`: forgetting a container and everything that was made for it.

use super::state::Status;
use super::store::{Entry, Store};
use super::{Container, store};
use crate::error::{Error, Result};
use crate::{hooks, log};

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
    match entry.lock() {
        // Another berth was quicker.
        Err(_) if force && !entry.path().exists() => return Ok(()),
        result => result?,
    }
    let state = match entry.load() {
        // berth died before it made anything but the directory, or the file is damaged.
        Err(error) if force => return remove_unreadable(&entry, &error),
        result => result?,
    };
    let container = Container { entry, state };
    let status = container.status();
    if status != Status::Stopped && !force {
        return Err(Error::new(format!("cannot delete container {id} that is not stopped: {status}"))
            .hint("Kill it first, or use --force."));
    }
    remove(&container)
}

fn remove_unreadable(entry: &Entry, error: &Error) -> Result<()> {
    log::debug(|| format!("removing {} although: {error}", entry.path().display()));
    entry.remove()
}

/// Kills what is left, removes the cgroup and the directory, runs the poststop hooks.
///
/// # Errors
/// When something cannot be removed; the directory stays then, so that delete can be tried again.
pub fn remove(container: &Container) -> Result<()> {
    container.kill_all()?;
    container.cgroup()?.destroy()?;
    let poststop = container.config().map(|config| config.hooks.poststop);
    container.entry.remove()?;
    // The container is gone: a failing hook is a warning, and the others run too (runtime.md "Lifecycle").
    match poststop {
        Ok(hooks) => hooks::run_each("poststop", &hooks, &container.state.for_hooks(Status::Stopped)),
        Err(error) => log::warn(error),
    }
    Ok(())
}
