//! `exec`

use super::Global;
use super::create::check_terminal;
use crate::bundle::config::{Config, Process, User};
use crate::bundle::{self, parse_process};
use crate::container::create::Reports;
use crate::container::exec::{Request, Started, configured_process, exec};
use crate::container::foreground::Foreground;
use crate::container::{Container, notify};
use crate::error::{Context, During, Error, Result};
use crate::plan::Options;
use crate::sys::process;
use std::path::PathBuf;

/// `exec`
#[derive(Debug, clap::Args)]
pub struct Exec {
    /// Unix socket that gets the other end of the process's terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Unix socket that gets a pidfd of the process
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// Working directory
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Environment variable; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    /// User, and perhaps group, in numbers
    #[arg(short, long, value_name = "UID[:GID]", allow_hyphen_values = true)]
    user: Option<String>,
    /// Supplementary group; may be repeated
    #[arg(short = 'g', long, value_name = "GID", allow_hyphen_values = true)]
    additional_gids: Vec<String>,
    /// File with the process as JSON (config.json's process)
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Do not wait for the process's end
    #[arg(short, long)]
    detach: bool,
    /// File to write the pid of the process to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// SELinux context
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// Set no_new_privs
    #[arg(long)]
    no_new_privs: bool,
    /// Capability to add; may be repeated
    #[arg(short, long, value_name = "NAME")]
    cap: Vec<String>,
    /// How many file descriptors from 3 on the process inherits
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// Cgroup below the container's to run in (PATH, or CONTROLLERS:PATH)
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<String>,
    /// Wait for a paused container to be resumed instead of failing
    #[arg(long)]
    ignore_paused: bool,
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
    /// Program and arguments, unless --process has them
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Exec {
    /// Runs the process; returns its exit status unless it is detached.
    pub fn run(self, global: &Global) -> Result<u8> {
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
