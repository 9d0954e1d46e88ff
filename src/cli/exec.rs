//! `exec`

use super::arguments::{Argument, Arguments};
use super::create::check_terminal;
use super::{Command, Global};
use crate::bundle::config::{Config, Process, User};
use crate::bundle::{self, parse_process};
use crate::container::create::Reports;
use crate::container::exec::{Request, Started, configured_process, exec};
use crate::container::foreground::Foreground;
use crate::container::{Container, notify};
use crate::error::{Context, During, EXEC_FAILURE, Error, Result};
use crate::plan::Options;
use crate::sys::process;
use std::path::PathBuf;

/// `exec`
#[derive(Debug, Default)]
pub struct Exec {
    console_socket: Option<PathBuf>,
    pidfd_socket: Option<PathBuf>,
    cwd: Option<PathBuf>,
    env: Vec<String>,
    tty: bool,
    user: Option<String>,
    additional_gids: Vec<String>,
    process: Option<PathBuf>,
    detach: bool,
    pid_file: Option<PathBuf>,
    process_label: Option<String>,
    apparmor: Option<String>,
    no_new_privs: bool,
    cap: Vec<String>,
    preserve_fds: u32,
    cgroup: Vec<String>,
    ignore_paused: bool,
    id: String,
    command: Vec<String>,
}

impl Arguments for Exec {
    const NAME: &'static str = "exec";
    const ABOUT: &'static str = "Run another process in a container";
    const ARGUMENTS: &'static [Argument<Self>] = &[
        Argument::option(
            "--console-socket <SOCKET>",
            |it| &mut it.console_socket,
            "Unix socket that gets the other end of the process's terminal",
        ),
        Argument::option(
            "--pidfd-socket <SOCKET>",
            |it| &mut it.pidfd_socket,
            "Unix socket that gets a pidfd of the process",
        ),
        Argument::option("--cwd <DIR>", |it| &mut it.cwd, "Working directory"),
        Argument::option("-e, --env <NAME=VALUE>", |it| &mut it.env, "Environment variable; may be repeated"),
        Argument::option("-t, --tty", |it| &mut it.tty, "Give the process a terminal"),
        Argument::option("-u, --user <UID[:GID]>", |it| &mut it.user, "User, and perhaps group, in numbers"),
        Argument::option(
            "-g, --additional-gids <GID>",
            |it| &mut it.additional_gids,
            "Supplementary group; may be repeated",
        ),
        Argument::option(
            "-p, --process <FILE>",
            |it| &mut it.process,
            "File with the process as JSON (config.json's process)",
        ),
        Argument::option("-d, --detach", |it| &mut it.detach, "Do not wait for the process's end"),
        Argument::option("--pid-file <FILE>", |it| &mut it.pid_file, "File to write the pid of the process to"),
        Argument::option("--process-label <LABEL>", |it| &mut it.process_label, "SELinux context"),
        Argument::option("--apparmor <PROFILE>", |it| &mut it.apparmor, "AppArmor profile"),
        Argument::option("--no-new-privs", |it| &mut it.no_new_privs, "Set no_new_privs"),
        Argument::option("-c, --cap <NAME>", |it| &mut it.cap, "Capability to add; may be repeated"),
        Argument::default(
            "--preserve-fds <N>",
            "0",
            |it| &mut it.preserve_fds,
            "How many file descriptors from 3 on the process inherits",
        ),
        Argument::option(
            "--cgroup <PATH>",
            |it| &mut it.cgroup,
            "Cgroup below the container's to run in (PATH, or CONTROLLERS:PATH)",
        ),
        Argument::option(
            "--ignore-paused",
            |it| &mut it.ignore_paused,
            "Wait for a paused container to be resumed instead of failing",
        ),
        Argument::id(|it| &mut it.id),
        Argument::rest("[COMMAND]...", |it| &mut it.command, "Program and arguments, unless --process has them"),
    ];
}

impl Command for Exec {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        self.execute(global).map_err(|error| error.code(EXEC_FAILURE))
    }
}

impl Exec {
    /// Runs the process; returns its exit status unless it is detached.
    fn execute(self, global: &Global) -> Result<u8> {
        let store = global.store()?;
        let container = Container::open(&store, &self.id)?;
        let config = container.config()?;
        let mut process = self.process(&config)?;
        check_terminal(process.terminal, self.detach || self.console_socket.is_some(), self.console_socket.is_some())?;
        let preserve_fds = notify::pass_listen_fds(&mut process, self.preserve_fds)?;
        process::close_on_exec_from(3 + preserve_fds).during(|| "close_range")?;
        let foreground = match self.detach {
            true => None,
            false => Some(Foreground::begin()?),
        };
        let request =
            Request { process, capabilities: self.cap, cgroups: self.cgroup, ignore_paused: self.ignore_paused };
        let reports =
            Reports { pid_file: self.pid_file, console_socket: self.console_socket, pidfd_socket: self.pidfd_socket };
        let options = Options { preserve_fds, ..global.options(&store) };
        let Started { child, terminal } = exec(&container, &config, request, &options, &reports)
            .context(|| "exec failed: unable to start container process")?;
        match foreground {
            None => Ok(0),
            Some(foreground) => foreground.wait(&child, terminal),
        }
    }

    /// The process of `--process`, or the container's with what the options change.
    fn process(&self, config: &Config) -> Result<Process> {
        if let Some(path) = &self.process {
            let bytes = bundle::read_document(path).context(|| "--process")?;
            return parse_process(&bytes, &path.display().to_string());
        }
        if self.command.is_empty() {
            return Err(Error::new("a command or --process is needed").hint("For example: berth exec ID ls -l"));
        }
        let mut process = configured_process(config)?;
        process.args = self.command.clone();
        process.terminal = self.tty;
        if let Some(cwd) = &self.cwd {
            process.cwd.clone_from(cwd);
        }
        process.env.extend(self.env.iter().cloned());
        if let Some(user) = &self.user {
            set_user(&mut process.user, user)?;
        }
        for gid in &self.additional_gids {
            process.user.additional_gids.push(parse_id(gid).context(|| format!("--additional-gids {gid}"))?);
        }
        process.apparmor_profile = self.apparmor.clone().or(process.apparmor_profile);
        process.selinux_label = self.process_label.clone().or(process.selinux_label);
        process.no_new_privileges |= self.no_new_privs;
        bundle::validate::process(&process)?;
        Ok(process)
    }
}

fn set_user(user: &mut User, text: &str) -> Result<()> {
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (text, None),
    };
    let field = || format!("--user {text}");
    user.uid = parse_id(uid).context(field)?;
    if let Some(gid) = gid {
        user.gid = parse_id(gid).context(field)?;
    }
    Ok(())
}

/// An id is a number of 32 bits, never a name or something that becomes another number: CVE-2026-30892.
fn parse_id(text: &str) -> Result<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // The largest number means "no change" to the kernel, setresuid(2).
    let id = text.parse().ok().filter(|id| digits && *id != u32::MAX);
    id.ok_or_else(|| Error::new(format!("{text:?} is not a number from 0 to 4294967294")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_of_32_bits() {
        assert_eq!(parse_id("1000").unwrap(), 1000);
        for bad in ["", "-1", "+1", " 1", "4294967295", "4294967296", "0x1", "root", "1 "] {
            assert!(parse_id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_user_may_have_a_group() {
        let mut user = User { gid: 7, ..User::default() };
        set_user(&mut user, "5").unwrap();
        assert_eq!((user.uid, user.gid), (5, 7));
        set_user(&mut user, "5:6").unwrap();
        assert_eq!((user.uid, user.gid), (5, 6));
        for bad in [":", "5:", ":6", "5:6:7"] {
            assert!(set_user(&mut user, bad).is_err(), "{bad}");
        }
    }
}
