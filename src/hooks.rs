//! Hooks: programs of the engine that run at fixed points of a container's life (config.md "POSIX-platform Hooks").

use crate::bundle::config::Hook;
use crate::error::{Context, Error, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How much of a failed hook's output an error shows, in bytes.
const SHOWN: usize = 4096;

/// Runs hooks one after the other, each with the container's state on standard input; the first failure ends it.
///
/// # Errors
/// When a hook cannot be executed, fails or takes longer than its timeout; with the end of its output.
pub fn run_all(kind: &str, hooks: &[Hook], state: &[u8]) -> Result<()> {
    for (index, hook) in hooks.iter().enumerate() {
        run(hook, state).context(|| format!("hooks.{kind}[{index}] {}", hook.path.display()))?;
    }
    Ok(())
}

/// Runs all hooks whatever happens; failures are warnings: the container's state is final already.
pub fn run_each(kind: &str, hooks: &[Hook], state: &[u8]) {
    for (index, hook) in hooks.iter().enumerate() {
        if let Err(error) = run(hook, state) {
            crate::log::warn(error.context(format!("hooks.{kind}[{index}] {}", hook.path.display())));
        }
    }
}

fn run(hook: &Hook, state: &[u8]) -> Result<()> {
    let deadline = hook.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.max(0) as u64));
    let (name, args) = hook.args.split_first().map_or((None, &[][..]), |(name, args)| (Some(name), args));
    let mut command = Command::new(&hook.path);
    if let Some(name) = name {
        command.arg0(name);
    }
    command.args(args).env_clear().stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped());
    for entry in &hook.env {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        command.env(name, value);
    }
    // `run` blocks signals to pass them on, and --preserve-fds is for the program.
    crate::sys::process::begin_clean(&mut command);
    let mut child = command.spawn().map_err(|error| Error::io("execve", &error))?;
    let mut output = Vec::new();
    let ended = converse(&mut child, state, deadline, &mut output);
    if !matches!(ended, Ok(true)) {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| Error::io("wait", &error))?;
    if !ended? {
        let seconds = hook.timeout.unwrap_or_default();
        return Err(Error::new(format!("did not end within its timeout of {seconds} s{}", shown(&output))));
    }
    if status.success() { Ok(()) } else { Err(Error::new(format!("{}{}", describe(status), shown(&output)))) }
}

/// Feeds the state, collects output and waits for the end of the hook itself: a daemon that it leaves behind may keep
/// the pipes open. Returns whether it ended in time.
fn converse(child: &mut Child, state: &[u8], deadline: Option<Instant>, output: &mut Vec<u8>) -> Result<bool> {
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    let pidfd = crate::sys::process::pidfd_open(pid).map_err(|errno| Error::sys("pidfd_open", errno))?;
    let mut input = child.stdin.take();
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let pipes = [input.as_ref().map(AsFd::as_fd), out.as_ref().map(AsFd::as_fd), err.as_ref().map(AsFd::as_fd)];
    for pipe in pipes.into_iter().flatten() {
        fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|errno| Error::sys("fcntl", errno))?;
    }
    let mut rest = state;
    loop {
        let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return Ok(false),
            // Rounded up, or the last millisecond would be waited for in a busy loop.
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        let mut fds = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        fds.extend(input.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)));
        fds.extend(out.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        fds.extend(err.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::sys("poll", errno)),
        }
        let ended = fds[0].any().unwrap_or(false);
        // A hook need not read its input: a closed pipe is no failure.
        input = input.take().filter(|pipe| feed(pipe, &mut rest));
        out = out.take().filter(|pipe| collect(pipe, output));
        err = err.take().filter(|pipe| collect(pipe, output));
        if ended {
            return Ok(true);
        }
    }
}

/// Writes what the pipe takes; returns whether there is more to write.
fn feed(mut pipe: &std::process::ChildStdin, rest: &mut &[u8]) -> bool {
    while !rest.is_empty() {
        match pipe.write(rest) {
            Ok(count) => *rest = &rest[count..],
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
    false
}

/// Reads what there is, keeping the end of it; returns whether more may come.
fn collect(pipe: &impl AsFd, output: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match nix::unistd::read(pipe, &mut buffer) {
            Ok(0) => return false,
            Ok(count) => {
                output.extend_from_slice(&buffer[..count]);
                let surplus = output.len().saturating_sub(SHOWN);
                output.drain(..surplus);
            }
            Err(errno) => return errno == Errno::EAGAIN,
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".into(),
    }
}

fn shown(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(", output: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Option<i64>) -> Hook {
        let args = ["sh", "-c", script].map(String::from).to_vec();
        Hook { path: "/bin/sh".into(), args, env: vec!["A=b".into()], timeout }
    }

    #[test]
    fn a_hook_reads_the_state_and_has_only_its_own_environment() {
        let script = r#"test "$(cat)" = state && test "$A" = b && test -z "$HOME""#;
        run(&shell(script, None), b"state").unwrap();
    }

    #[test]
    fn a_failing_hook_says_what_it_printed() {
        let error = run(&shell("echo one; echo two >&2; exit 3", None), b"").unwrap_err().to_string();
        assert!(error.contains("exit status 3") && error.contains("one") && error.contains("two"), "{error}");
    }

    #[test]
    fn a_hook_need_not_read_its_input() {
        run(&shell("exec <&-; exit 0", None), &vec![b' '; 1 << 20]).unwrap();
        run(&shell("cat >/dev/null", None), &vec![b' '; 1 << 20]).unwrap();
    }

    #[test]
    fn a_hook_may_leave_a_daemon_behind() {
        run(&shell("sleep 20 & exit 0", Some(10)), b"").unwrap();
    }

    #[test]
    fn a_slow_hook_is_killed() {
        let error = run(&shell("echo slow; exec sleep 60", Some(1)), b"").unwrap_err().to_string();
        assert!(error.contains("timeout of 1 s") && error.contains("slow"), "{error}");
    }
}
