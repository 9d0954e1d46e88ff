//! Notified system calls: the filter's listener goes to the agent before any call of ours can be notified
//! (config-linux.md "Seccomp", seccomp_unotify(2)).

use super::channel::{connect, send_with_fds};
use crate::bundle::validate::OCI_VERSION;
use crate::container::state::Specified;
use crate::error::{Error, Result};
use crate::plan::Listener;
use crate::security::seccomp::Filter;
use crate::sys::seccomp;
use serde_json::json;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Connects to the agent.
///
/// # Errors
/// When nobody listens.
pub fn connect_agent(listener: &Listener) -> Result<OwnedFd> {
    connect(&listener.path).map_err(|error| {
        error
            .context(format!("linux.seccomp.listenerPath {}", listener.path.display()))
            .hint("An agent must listen on this Unix socket before the container is created.")
    })
}

/// The message that comes with the listener, "ContainerProcessState".
pub fn process_state(state: &Specified, pid: i32, listener: &Listener) -> Vec<u8> {
    let mut message = json!({ "ociVersion": OCI_VERSION, "fds": ["seccompFd"], "pid": pid, "state": state });
    if let Some(metadata) = &listener.metadata {
        message["metadata"] = json!(metadata);
    }
    message.to_string().into_bytes()
}

const NONE: i32 = -1;
const FAILED: i32 = -2;
const SENT: i32 = -3;

/// Loads the filter and gives its listener to the agent.
///
/// The sending is done by a second thread, which the filter does not bind; it shares our file descriptors and ends
/// with execve. This thread makes no system call until that is done: the agent could not answer it yet.
///
/// # Errors
/// When the kernel refuses the filter, or the agent is gone.
pub fn load(filter: &Filter, agent: OwnedFd, message: &[u8]) -> Result<()> {
    static LISTENER: AtomicI32 = AtomicI32::new(NONE);
    let message = message.to_vec();
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(move || {
            let number = loop {
                match LISTENER.load(Ordering::Acquire) {
                    NONE => std::thread::sleep(std::time::Duration::from_micros(20)),
                    FAILED => return,
                    number => break number,
                }
            };
            let listener = crate::sys::process::received_fd(number);
            let sent = send_with_fds(agent.as_fd(), &[&message], &[listener.as_fd()]);
            LISTENER.store(if sent.is_ok() { SENT } else { FAILED }, Ordering::Release);
        })
        .map_err(|error| Error::io("start a thread", &error))?;
    match seccomp::load(&filter.program, filter.flags) {
        Ok(Some(listener)) => LISTENER.store(std::os::fd::IntoRawFd::into_raw_fd(listener), Ordering::Release),
        Ok(None) => {
            LISTENER.store(FAILED, Ordering::Release);
            return Err(Error::new("the kernel gave no listener"));
        }
        Err(errno) => {
            LISTENER.store(FAILED, Ordering::Release);
            return Err(Error::sys("seccomp", errno));
        }
    }
    loop {
        match LISTENER.load(Ordering::Acquire) {
            SENT => return Ok(()),
            FAILED => return Err(Error::new("the seccomp agent is gone")),
            _ => std::hint::spin_loop(),
        }
    }
}
