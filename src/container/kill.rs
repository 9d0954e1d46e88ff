//! Sending signals to a container.

use super::Container;
use super::state::Status;
use crate::error::{Context, Error, Result};
use crate::sys::process::{pidfd_open, pidfd_send_signal};
use nix::errno::Errno;
use nix::libc;
use std::os::fd::AsFd;

/// Sends `signal` to the container's init, with `all` to every process of it.
///
/// # Errors
/// "container not running" when it is not, unless `all` is given.
pub fn kill(container: &Container, signal: i32, all: bool) -> Result<()> {
    let id = &container.state.id;
    if all {
        return kill_every(container, signal);
    }
    let init = container.init();
    // Without a PID namespace the other processes survive the death of init: they are in the cgroup.
    if signal == libc::SIGKILL && !container.state.own_pid_namespace {
        let orphans = container.cgroup()?.pids().unwrap_or_default();
        return match init {
            Err(error) if orphans.is_empty() => Err(error),
            _ => container.kill_all(),
        };
    }
    let init = init?;
    match pidfd_send_signal(init.as_fd(), signal) {
        Err(Errno::ESRCH) => Err(Error::new("container not running").context(id.clone())),
        Err(errno) => Err(Error::sys(format!("send signal {signal}"), errno).context(id.clone())),
        Ok(()) => {
            // A frozen process dies only when it is thawed; cgroup v2 does that for SIGKILL itself.
            if signal == libc::SIGKILL && container.state.cgroup.has_v1() && container.status() == Status::Paused {
                return container.cgroup()?.thaw();
            }
            Ok(())
        }
    }
}

fn kill_every(container: &Container, signal: i32) -> Result<()> {
    if signal == libc::SIGKILL {
        return container.kill_all();
    }
    for pid in container.cgroup()?.pids()? {
        match send(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => {
                return Err(
                    Error::sys(format!("send signal {signal} to {pid}"), errno).context(container.state.id.clone())
                );
            }
        }
    }
    Ok(())
}

fn send(pid: nix::unistd::Pid, signal: i32) -> nix::Result<()> {
    pidfd_send_signal(pidfd_open(pid)?.as_fd(), signal)
}

/// The number of a signal by name (`SIGTERM`, `TERM`, `RTMIN+3`) or number.
///
/// # Errors
/// When there is no such signal.
pub fn parse_signal(text: &str) -> Result<i32> {
    let unknown = || Error::new(format!("unknown signal {text:?}")).hint("Use a name as KILL or SIGKILL, or a number.");
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=libc::SIGRTMAX()).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let offset = |rest: &str, sign: char| rest.strip_prefix(sign).and_then(|digits| digits.parse::<i32>().ok());
    let real_time = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => Some(libc::SIGRTMIN()),
        (_, Some("")) => Some(libc::SIGRTMAX()),
        (Some(rest), _) => offset(rest, '+').map(|offset| libc::SIGRTMIN().saturating_add(offset)),
        (_, Some(rest)) => offset(rest, '-').map(|offset| libc::SIGRTMAX().saturating_sub(offset)),
        _ => match name {
            "IOT" => Some(libc::SIGIOT),
            "CLD" => Some(libc::SIGCHLD),
            "POLL" => Some(libc::SIGPOLL),
            _ => format!("SIG{name}").parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32),
        },
    };
    real_time.filter(|number| (1..=libc::SIGRTMAX()).contains(number)).ok_or_else(unknown)
}

impl Container {
    /// Refuses an operation in a state that it is not for.
    ///
    /// # Errors
    /// Names the state.
    pub fn require(&self, allowed: &[Status], operation: &str) -> Result<Status> {
        let status = self.status();
        if allowed.contains(&status) {
            return Ok(status);
        }
        Err(match status {
            Status::Stopped => Error::new("container not running"),
            status => Error::new(format!("cannot {operation} a container that is {status}")),
        })
        .context(|| self.state.id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [("9", 9), ("KILL", 9), ("SIGKILL", 9), ("sigterm", 15), ("0", 0), ("iot", 6)] {
            assert_eq!(parse_signal(text).unwrap(), number, "{text}");
        }
        assert_eq!(parse_signal("RTMIN+3").unwrap(), libc::SIGRTMIN() + 3);
        assert_eq!(parse_signal("SIGRTMAX-1").unwrap(), libc::SIGRTMAX() - 1);
        for bad in ["", "SIG", "FOO", "-1", "65", "RTMIN+99", "RTMINx", "4294967305"] {
            assert!(parse_signal(bad).is_err(), "{bad}");
        }
    }
}
