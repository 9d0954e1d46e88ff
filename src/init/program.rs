//! The last steps: labels, identity, the wait for `start`, the system call filter, `execve`.

use super::Inherited;
use super::channel::{Channel, Message};
use super::identity;
use super::listener;
use super::procfs::ProcFs;
use crate::bundle::config::Hook;
use crate::error::{Context, During, Error, Result};
use crate::hooks;
use crate::plan::process::Process;
use crate::security::labels;
use crate::security::seccomp::Filter;
use crate::sys::caps::Held;
use crate::sys::fs::{open, open_in_root};
use crate::sys::{process as sys, seccomp};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, ResolveFlag};
use nix::unistd::{AccessFlags, execve, faccessat, fchdir, getcwd};
use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A program that is ready to be executed.
#[derive(Debug)]
pub struct Program<'plan> {
    path: CString,
    process: &'plan Process,
    env: Vec<Cow<'plan, CStr>>,
    filter: Option<&'plan Filter>,
    hooks: &'plan [Hook],
    /// Needed for labels and for the wait at the door.
    procfs: Option<ProcFs>,
    /// The sets to have after the filter was loaded, when loading it needs more.
    last_capabilities: Option<Held>,
}

/// The container's root directory, for a process that is in it.
///
/// # Errors
/// When it may not be searched.
pub fn open_root() -> Result<OwnedFd> {
    open("/", OFlag::O_PATH | OFlag::O_DIRECTORY).during(|| "open /")
}

impl<'plan> Program<'plan> {
    /// Becomes the program's user, in its directory, and finds the program.
    ///
    /// # Errors
    /// Names the field.
    pub fn prepare(
        process: &'plan Process,
        filter: Option<&'plan Filter>,
        procfs: Option<ProcFs>,
        root: &OwnedFd,
        hooks: &'plan [Hook],
    ) -> Result<Self> {
        let env = with_home(process, root.as_fd());
        labels::apply(process, procfs.as_ref())?;
        if process.no_new_privileges {
            sys::set_no_new_privileges().during(|| "prctl(PR_SET_NO_NEW_PRIVS)")?;
        }
        // Root may enter directories that the user may not, and the other way round on NFS: either will do.
        let entered = enter_cwd(process, root.as_fd());
        let last_capabilities = identity::assume(process, needs_privilege(process, filter))?;
        if entered.is_err() {
            enter_cwd(process, root.as_fd()).during(|| "chdir").context(|| cwd_field(process))?;
        }
        verify_cwd(process)?;
        let path = find(process)?;
        Ok(Self { path, process, env, filter, hooks, procfs, last_capabilities })
    }

    /// Waits for `start` if there is a door, and becomes the program. Comes back only to end.
    pub fn start(self, state: &[u8], inherited: Inherited) -> ! {
        let Inherited { channel, exec_fifo, agent, .. } = inherited;
        let mut parent: Box<dyn Report> = Box::new(channel);
        if let Some(fifo) = exec_fifo {
            // Blocks until `start` opens the other end.
            let missing = || Err(Error::new("no procfs was opened to wait for start"));
            match self.procfs.as_ref().map_or_else(missing, |procfs| procfs.reopen(fifo.as_fd(), OFlag::O_WRONLY)) {
                Ok(door) => parent = Box::new(File::from(door)),
                Err(error) => {
                    parent.report(&error);
                    sys::exit_now(1);
                }
            }
        }
        let error = self.execute(state, agent);
        parent.report(&error);
        sys::exit_now(1)
    }

    /// Only returns when it failed.
    fn execute(self, state: &[u8], agent: Option<OwnedFd>) -> Error {
        match self.last_steps(state, agent) {
            Ok(errno) => explain(&self.path, self.process, errno),
            Err(error) => error,
        }
    }

    fn last_steps(&self, state: &[u8], agent: Option<OwnedFd>) -> Result<Errno> {
        let first = 3 + self.process.preserve_fds;
        sys::close_on_exec_from(first).during(|| "close_range")?;
        sys::reset_signals(self.process.ignored_signals);
        sys::unblock_signals().during(|| "sigprocmask")?;
        // The hooks of the program's side are found in the image: its restrictions are theirs.
        self.load_filter(state, agent)?;
        hooks::run_all("startContainer", self.hooks, state)?;
        let Err(errno) = execve(&self.path, &self.process.args, &self.env);
        Ok(errno)
    }

    /// Nothing of ours but one capset (only without no_new_privileges) and execve comes after the filter: a profile
    /// may forbid anything else.
    fn load_filter(&self, state: &[u8], agent: Option<OwnedFd>) -> Result<()> {
        let Some(filter) = self.filter else { return Ok(()) };
        let loaded = match agent {
            Some(agent) if filter.notify => listener::load(filter, agent, state),
            _ => seccomp::load(&filter.program, filter.flags).map(drop).during(|| "seccomp"),
        };
        loaded.context(|| "linux.seccomp")?;
        if let Some(sets) = &self.last_capabilities {
            crate::sys::caps::set(sets)
                .during(|| "capset")
                .map_err(|error| error.context("linux.seccomp").hint("The profile must allow capset."))?;
        }
        Ok(())
    }
}

/// Without no_new_privileges the kernel wants CAP_SYS_ADMIN of who loads a filter, seccomp(2).
fn needs_privilege(process: &Process, filter: Option<&Filter>) -> bool {
    filter.is_some() && !process.no_new_privileges && !process.capabilities.has_sys_admin()
}

/// Where an error goes to before this process ends.
trait Report {
    fn report(&mut self, error: &Error);
}

impl Report for Channel {
    fn report(&mut self, error: &Error) {
        let _ = self.send(&Message::Failed(error.clone()));
    }
}

impl Report for File {
    fn report(&mut self, error: &Error) {
        let _ = self.write_all(&error.encode());
    }
}

/// `HOME` from the image's passwd when the configuration has none, as every engine's users expect.
fn with_home<'plan>(process: &'plan Process, root: BorrowedFd) -> Vec<Cow<'plan, CStr>> {
    let mut env: Vec<_> = process.env.iter().map(|entry| Cow::Borrowed(entry.as_c_str())).collect();
    if process.variable("HOME").is_none_or(<[u8]>::is_empty) {
        let home = identity::home(root, process.uid).unwrap_or_else(|| "/".into());
        env.retain(|entry| !entry.to_bytes().starts_with(b"HOME="));
        env.extend(CString::new(format!("HOME={home}")).map(Cow::Owned).ok());
    }
    env
}

fn cwd_field(process: &Process) -> String {
    format!("process.cwd {}", process.cwd.to_string_lossy())
}

/// No link to an open descriptor leads anywhere: CVE-2024-21626.
fn enter_cwd(process: &Process, root: BorrowedFd) -> nix::Result<()> {
    if process.cwd() == Path::new("/") {
        return fchdir(root);
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    fchdir(open_in_root(root, process.cwd(), flags, ResolveFlag::empty())?)
}

/// A directory outside of the container's root is named "(unreachable)" by the kernel: CVE-2024-21626.
fn verify_cwd(process: &Process) -> Result<()> {
    match getcwd() {
        Ok(path) if path.is_absolute() => Ok(()),
        Ok(_) | Err(Errno::ENOENT) => Err(Error::new("is outside of the container's root file system")
            .context(cwd_field(process))
            .hint("It must be a directory of the container, not a /proc/self/fd link.")),
        // The path may be longer than any buffer, or its parents unreadable: it is inside.
        Err(Errno::ERANGE | Errno::ENAMETOOLONG | Errno::EACCES) => Ok(()),
        Err(errno) => Err(Error::sys("getcwd", errno).context(cwd_field(process))),
    }
}

/// The program's path, as execvp(3) looks for it.
fn find(process: &Process) -> Result<CString> {
    let Some(name) = process.args.first() else { return Err(Error::new("process.args is empty")) };
    let shown = name.to_string_lossy();
    if name.to_bytes().contains(&b'/') {
        return match check_executable(name) {
            Ok(()) => Ok(name.clone()),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {
                Err(Error::sys(format!("stat {shown}"), Errno::ENOENT).context(format!("exec: {shown:?}")))
            }
            Err(errno) => Err(explain(name, process, errno)),
        };
    }
    let mut denied = None;
    for directory in process.variable("PATH").unwrap_or_default().split(|&byte| byte == b':') {
        let directory = if directory.is_empty() { b"." } else { directory };
        let path = Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(name.to_bytes()));
        let Ok(path) = CString::new(path.into_os_string().into_encoded_bytes()) else { continue };
        match check_executable(&path) {
            Ok(()) => return Ok(path),
            Err(Errno::EACCES) => denied = Some(path),
            Err(_) => {}
        }
    }
    match denied {
        Some(path) => Err(explain(&path, process, Errno::EACCES)),
        None => Err(Error::new("executable file not found in $PATH")
            .context(format!("exec: {shown:?}"))
            .hint("process.args[0] is looked up in the PATH of process.env.")),
    }
}

fn check_executable(path: &CStr) -> Result<(), Errno> {
    let stat = nix::sys::stat::stat(path)?;
    if stat.st_mode & nix::libc::S_IFMT == nix::libc::S_IFDIR {
        return Err(Errno::EISDIR);
    }
    faccessat(AT_FDCWD, path, AccessFlags::X_OK, nix::fcntl::AtFlags::AT_EACCESS)
}

/// Why the kernel did not execute the file: it only says ENOENT, EACCES or ENOEXEC.
fn explain(path: &CStr, process: &Process, errno: Errno) -> Error {
    let shown = path.to_string_lossy();
    // execve(2) says EACCES for a directory too, and engines make exit status 126 of these words.
    let said = if errno == Errno::EISDIR { Errno::EACCES } else { errno };
    let error = Error::sys("execve", said).context(format!("exec: {shown:?}"));
    let start = beginning(path);
    match errno {
        Errno::ENOENT => match interpreter(&start) {
            Some(interpreter) if interpreter.ends_with('\r') => {
                error.hint("The script's first line ends with CR LF; save it with Unix line ends.")
            }
            Some(interpreter) => error.hint(format!("Its interpreter {interpreter} is missing in the image.")),
            None => error,
        },
        Errno::ENOEXEC if start.is_empty() => error.hint("The file is empty."),
        Errno::ENOEXEC if start.starts_with(b"\x7fELF") => {
            error.hint(format!("It is a program for another architecture; this host is {}.", std::env::consts::ARCH))
        }
        Errno::ENOEXEC => error.hint("It is neither a program nor a script that begins with #! and its interpreter."),
        Errno::EACCES => error.hint(format!(
            "User {} needs execute permission on the file and search permission on its directories, on a mount \
             without noexec.",
            process.uid
        )),
        Errno::EISDIR => error.hint("It is a directory."),
        Errno::E2BIG => error.hint("process.args and process.env together are too large."),
        _ => error,
    }
}

fn beginning(path: &CStr) -> Vec<u8> {
    let mut start = Vec::new();
    let file = open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK);
    if let Ok(file) = file {
        let _ = File::from(file).take(4096).read_to_end(&mut start);
    }
    start
}

/// The interpreter that a script's first line or a dynamic program's header names.
fn interpreter(start: &[u8]) -> Option<String> {
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next()?;
        let text = String::from_utf8_lossy(line);
        // A carriage return is no white space to the kernel.
        return text.trim_start_matches([' ', '\t']).split([' ', '\t']).next().map(str::to_owned);
    }
    if start.starts_with(b"\x7fELF") {
        let loader = start.windows(4).position(|window| window == b"/ld-" || window == b"/lib")?;
        let text = start.get(loader..)?.split(|&byte| byte == 0).next()?;
        return Some(String::from_utf8_lossy(text).into_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_of_a_script_is_found() {
        assert_eq!(interpreter(b"#! /bin/sh -e\nexit").as_deref(), Some("/bin/sh"));
        assert_eq!(interpreter(b"#!/bin/sh\r\nexit").as_deref(), Some("/bin/sh\r"));
        assert_eq!(interpreter(b"echo"), None);
    }
}
