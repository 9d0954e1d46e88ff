//! `create` and `run`.

use super::arguments::{Argument, Arguments};
use super::{Command, Global};
use crate::bundle::Bundle;
use crate::container::create::{Created, Reports, Then, create};
use crate::container::delete;
use crate::container::foreground::Foreground;
use crate::container::{Container, load_bundle, notify, reap, start};
use crate::error::{Context, During, Error, Result};
use crate::plan::{Options, Plan};
use crate::sys::process;
use std::path::PathBuf;

/// What `create` and `run` have in common.
#[derive(Debug, Default)]
pub struct Making {
    bundle: PathBuf,
    console_socket: Option<PathBuf>,
    pidfd_socket: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    no_pivot: bool,
    no_new_keyring: bool,
    preserve_fds: u32,
    id: String,
}

/// The arguments for it, and what other options there are.
macro_rules! arguments {
    ($($more:expr),*) => {
        &[
            Argument::default("-b, --bundle <DIR>", ".", |it| &mut it.making.bundle, "Directory with config.json"),
            Argument::option(
                "--console-socket <SOCKET>",
                |it| &mut it.making.console_socket,
                "Unix socket that gets the other end of the container's terminal",
            ),
            Argument::option(
                "--pidfd-socket <SOCKET>",
                |it| &mut it.making.pidfd_socket,
                "Unix socket that gets a pidfd of the container's first process",
            ),
            Argument::option(
                "--pid-file <FILE>",
                |it| &mut it.making.pid_file,
                "File to write the pid of the container's first process to",
            ),
            Argument::option(
                "--no-pivot",
                |it| &mut it.making.no_pivot,
                "Do not use pivot_root; for hosts whose root is an initramfs, less safe",
            ),
            Argument::option(
                "--no-new-keyring",
                |it| &mut it.making.no_new_keyring,
                "Leave the container in the caller's session keyring",
            ),
            Argument::default(
                "--preserve-fds <N>",
                "0",
                |it| &mut it.making.preserve_fds,
                "How many file descriptors from 3 on the container inherits",
            ),
            $($more,)*
            Argument::id(|it| &mut it.making.id),
        ]
    };
}

/// `create`
#[derive(Debug, Default)]
pub struct Create {
    making: Making,
}

impl Arguments for Create {
    const NAME: &'static str = "create";
    const ABOUT: &'static str = "Make a container whose program waits for `start`";
    const ARGUMENTS: &'static [Argument<Self>] = arguments![];
}

/// `run`
#[derive(Debug, Default)]
pub struct Run {
    making: Making,
    detach: bool,
    keep: bool,
    no_subreaper: bool,
}

impl Arguments for Run {
    const NAME: &'static str = "run";
    const ABOUT: &'static str = "Make a container and run its program";
    const ARGUMENTS: &'static [Argument<Self>] = arguments![
        Argument::option("-d, --detach", |it| &mut it.detach, "Do not wait for the container's end"),
        Argument::option("--keep", |it| &mut it.keep, "Do not delete the container when it ends"),
        Argument::option(
            "--no-subreaper",
            |it| &mut it.no_subreaper,
            "Leave orphans of the container to the caller's reaper"
        )
    ];
}

impl Making {
    fn make(&self, global: &Global, then: Then, detached: bool) -> Result<(Created, Bundle)> {
        let store = global.store()?;
        let mut bundle = load_bundle(&self.bundle)?;
        let terminal = bundle.config.process.as_ref().is_some_and(|process| process.terminal);
        check_terminal(terminal, detached, self.console_socket.is_some())?;
        let process = bundle.config.process.as_mut().ok_or_else(|| Error::new("is missing").context("process"))?;
        let preserve_fds = notify::pass_listen_fds(process, self.preserve_fds)?;
        crate::container::store::check_id(&self.id)?;
        notify::add_to(&mut bundle.config, &store.root().join(&self.id));
        process::close_on_exec_from(3 + preserve_fds).during(|| "close_range")?;
        let options = Options {
            no_pivot: self.no_pivot,
            no_new_keyring: self.no_new_keyring,
            preserve_fds,
            ..global.options(&store)
        };
        let plan = Plan::new(&self.id, &bundle, &options)?;
        let reports = Reports {
            pid_file: self.pid_file.clone(),
            console_socket: self.console_socket.clone(),
            pidfd_socket: self.pidfd_socket.clone(),
        };
        let created = create(&store, &bundle, plan, &reports, then)
            .context(|| "unable to start container process")
            .context(|| self.id.clone())?;
        Ok((created, bundle))
    }
}

/// A terminal needs somebody who reads it.
pub fn check_terminal(terminal: bool, detached: bool, console_socket: bool) -> Result<()> {
    match (terminal, detached, console_socket) {
        (true, true, false) => Err(Error::new("cannot allocate tty if the runtime detaches without a console socket")
            .context("process.terminal")
            .hint("Give --console-socket, or set process.terminal to false.")),
        (false, _, true) => Err(Error::new("cannot use a console socket if the process has no terminal")
            .context("--console-socket")
            .hint("Set process.terminal to true, or leave the option out.")),
        (true, false, true) => Err(Error::new("cannot use a console socket if the runtime does not detach")
            .context("--console-socket")
            .hint("Give --detach too, or leave the option out.")),
        _ => Ok(()),
    }
}

impl Command for Create {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        self.making.make(global, Then::Wait, true)?;
        Ok(0)
    }
}

impl Command for Run {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        let foreground = match self.detach {
            true => None,
            false => Some(Foreground::begin()?),
        };
        if !self.detach && !self.no_subreaper {
            process::set_child_subreaper().during(|| "prctl(PR_SET_CHILD_SUBREAPER)")?;
        }
        let (created, bundle) = self.making.make(global, Then::Run, self.detach)?;
        let Created { entry, state, init, terminal, notify } = created;
        let mut container = Container { entry, state };
        // Others may work on the container from here on, hooks among them.
        container.entry.unlock();
        if let Err(error) = start::run_poststart(&container, &bundle.config.hooks.poststart) {
            reap(init.pid);
            delete::remove_stopped(&mut container, &bundle.config.hooks.poststop)?;
            return Err(error);
        }
        let pid = init.pid.as_raw();
        let Some(foreground) = foreground else {
            return notify.map_or(Ok(()), |notify| notify.forward(&init.pidfd, pid)).map(|()| 0);
        };
        if let Some(notify) = notify {
            let init = init.pidfd.try_clone().during(|| "dup")?;
            std::thread::spawn(move || notify.forward(&init, pid).unwrap_or_else(crate::log::warn));
        }
        let status = foreground.wait(&init, terminal);
        container.report_oom_kills();
        if !self.keep
            && let Err(error) = delete::remove_stopped(&mut container, &bundle.config.hooks.poststop)
        {
            // How the program ended is what the caller asked for.
            crate::log::warn(error);
        }
        status
    }
}
