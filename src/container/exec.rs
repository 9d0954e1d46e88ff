//! `exec`: another process in a container that runs.

use super::create::{Progress, Reports, until_ready, wait_for_program};
use super::launch::{by_intermediate, no_more_processes, set_oom_score};
use super::state::Status;
use super::{Container, seal, sockets};
use crate::bundle::config::{Config, ExecCpuAffinity};
use crate::cgroup::Cgroup;
use crate::error::{Context, During, Error, Result};
use crate::init::channel::{Channel, Message};
use crate::init::exec::Entrance;
use crate::init::sources::Sources;
use crate::init::{self, Inherited, limits, listener};
use crate::log;
use crate::plan::namespaces::{CLONE_NEWTIME, Kind, Namespaces};
use crate::plan::process::Process;
use crate::plan::{self, Options, scheduling};
use crate::security::labels;
use crate::sys::clone::{Child, clone3};
use crate::sys::fs::open;
use crate::sys::process;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::stat;
use nix::unistd::Pid;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What `exec` was asked for.
#[derive(Debug)]
pub struct Request {
    /// The process, complete.
    pub process: crate::bundle::config::Process,
    /// `--cap`: more capabilities.
    pub capabilities: Vec<String>,
    /// Cgroups below the container's to run in: a path, or `controllers:path`.
    pub cgroups: Vec<String>,
    /// Whether to wait for a paused container instead of refusing it.
    pub ignore_paused: bool,
}

/// A process that has been started in a container; a child of this process.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub child: Child,
    /// The other end of its terminal, when nobody else got it.
    pub terminal: Option<OwnedFd>,
}

/// Starts a process in a container.
///
/// # Errors
/// When the container does not run, or the program cannot be executed.
pub fn exec(
    container: &Container,
    config: &Config,
    request: Request,
    options: &Options,
    reports: &Reports,
) -> Result<Started> {
    let init = check_status(container, request.ignore_paused)?;
    let namespaces = Namespaces::plan(config)?;
    let user_namespace = !namespaces.is_inherited(Kind::User);
    let (mut process, mut notes) =
        Process::plan(&request.process, &config.linux, user_namespace, options.preserve_fds)?;
    notes.extend(process.capabilities.add(&request.capabilities)?);
    let (filter, agent) = plan::filter(config, options, &mut notes)?;
    labels::check(&process)?;
    notes.iter().for_each(log::warn);
    let connection = agent.as_ref().map(listener::connect_agent).transpose()?;
    let pid = container.state.init_process_pid;
    let entrance = Entrance {
        process,
        filter,
        namespaces: to_join(&namespaces, pid)?,
        entered: false,
        chroot: container.state.no_pivot.then(|| open_root(pid)).transpose()?,
        init,
        keyring: (!options.no_new_keyring).then(|| format!("_ses.{}", container.state.id)),
    };
    let affinity = request.process.exec_cpu_affinity.or_else(|| config.process.as_ref()?.exec_cpu_affinity.clone());
    let cgroup = request.cgroups.iter().try_fold(container.cgroup()?, |cgroup, path| cgroup.sub(path))?;
    let mut starting = Starting { container, entrance, cgroup, affinity: affinity.unwrap_or_default(), child: None };
    // Who has nothing to do between the last step and the program lets the process go on by itself.
    let asks = agent.is_some() || starting.entrance.has_user_namespace() || reports.before_program();
    let started = starting.make(&namespaces, connection, asks).and_then(|channel| {
        seal::let_go();
        let ready = until_ready(&channel, reports, || Err(Error::new("exec has no hooks")))?;
        match ready {
            Progress::Ready(terminal) => starting.complete(&channel, reports, agent.as_ref()).map(|()| terminal),
            Progress::Running(terminal) => Ok(terminal),
        }
    });
    match (started, starting.child.take()) {
        (Ok(terminal), Some(child)) => Ok(Started { child, terminal }),
        (Err(error), Some(child)) => {
            // Reaped before we go: the container's init may be slow to reap orphans.
            let _ = process::pidfd_send_signal(child.pidfd.as_fd(), nix::libc::SIGKILL);
            super::reap(child.pid);
            Err(error)
        }
        (Err(error), None) => Err(error),
        (Ok(_), None) => Err(Error::new("exec made no process")),
    }
}

/// The init of a container in which processes can be run.
fn check_status(container: &Container, ignore_paused: bool) -> Result<OwnedFd> {
    let refused = |what: &'static str| Err(Error::new(what).context(container.state.id.clone()));
    let init = container.init();
    let status = if init.is_ok() { container.living_status() } else { container.status() };
    match status {
        Status::Created | Status::Running => init,
        Status::Paused if ignore_paused => init,
        Status::Paused => refused("cannot exec in a paused container (use --ignore-paused to override)"),
        Status::Stopped => refused("cannot exec in a stopped container: container not running"),
        Status::Creating => refused("cannot exec in a container that is being created"),
    }
}

/// The namespaces that the child joins; a PID or time namespace only ever concerns children.
fn to_join(namespaces: &Namespaces, init: i32) -> Result<CloneFlags> {
    let mut flags = CloneFlags::empty();
    for kind in namespaces.own().filter(|kind| !matches!(kind, Kind::Pid | Kind::Time)) {
        // Joining the user namespace that one is in is an error, setns(2).
        if kind == Kind::User && is_own(kind, init)? {
            continue;
        }
        flags |= CloneFlags::from_bits_retain(kind.flag());
    }
    Ok(flags)
}

fn is_own(kind: Kind, pid: i32) -> Result<bool> {
    let identity = |process: &str| {
        let path = format!("/proc/{process}/ns/{}", kind.file());
        stat(path.as_str()).map(|stat| (stat.st_dev, stat.st_ino)).during(|| format!("stat {path}"))
    };
    Ok(identity("self")? == identity(&pid.to_string())?)
}

fn open_root(pid: i32) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/root");
    open(path.as_str(), OFlag::O_PATH | OFlag::O_DIRECTORY).during(|| format!("open {path}"))
}

/// An exec that is under way.
struct Starting<'a> {
    container: &'a Container,
    entrance: Entrance,
    cgroup: Box<dyn Cgroup>,
    affinity: ExecCpuAffinity,
    child: Option<Child>,
}

impl Starting<'_> {
    fn make(&mut self, namespaces: &Namespaces, agent: Option<OwnedFd>, asks: bool) -> Result<Channel> {
        if let Some(cpus) = self.affinity.initial.as_deref().filter(|cpus| !cpus.is_empty()) {
            let mask = scheduling::mask(cpus).context(|| "process.execCPUAffinity.initial")?;
            process::set_affinity(Pid::from_raw(0), &mask)
                .during(|| "sched_setaffinity")
                .context(|| "process.execCPUAffinity.initial")?;
        }
        let (channel, inits) = Channel::pair()?;
        let entry = self.cgroup.entry()?;
        let born_there = entry.is_some() && self.container.state.cgroup.paths.keys().eq([""]);
        let waits = !born_there || self.entrance.oom_score_from_outside() || self.affinity.last.is_some();
        let Some(child) =
            self.clone_into_cgroup(namespaces, entry, agent.as_ref().map(AsFd::as_fd), &channel, &inits)?
        else {
            let inherited = Inherited {
                channel: inits,
                sources: Sources::default(),
                exec_fifo: None,
                agent,
                waits,
                asks,
                late_cgroup_namespace: false,
                network_aside: false,
                late_time_namespace: false,
            };
            init::exec::run(&self.entrance, inherited);
        };
        let pid = child.pid;
        self.child = Some(child);
        if self.entrance.oom_score_from_outside() {
            set_oom_score(pid, self.entrance.process.oom_score_adj)?;
        }
        if !born_there {
            self.enter_cgroup(pid)?;
        }
        self.set_affinity(pid)?;
        if waits {
            channel.send(&Message::Proceed(Vec::new()))?;
        }
        Ok(channel)
    }

    fn clone_into_cgroup(
        &mut self,
        namespaces: &Namespaces,
        entry: Option<OwnedFd>,
        agent: Option<BorrowedFd>,
        channel: &Channel,
        inits: &Channel,
    ) -> Result<Option<Child>> {
        match self.clone(namespaces, entry, agent, channel, inits) {
            // An init such as systemd has moved itself below, and given the controllers to its children.
            Err(error) if error.errno() == Some(Errno::EBUSY) => {
                self.cgroup = self.cgroup.beside(Pid::from_raw(self.container.state.init_process_pid))?;
                self.clone(namespaces, self.cgroup.entry()?, agent, channel, inits)
            }
            result => result,
        }
    }

    /// Where `clone` did not, because the cgroup can only be entered later.
    fn enter_cgroup(&mut self, pid: Pid) -> Result<()> {
        let Err(error) = self.cgroup.enter(pid) else { return Ok(()) };
        // As for `clone_into_cgroup`, but systemd, where it has to move the process, does not say what hindered it.
        let beside = self.cgroup.beside(Pid::from_raw(self.container.state.init_process_pid));
        beside.and_then(|mut cgroup| cgroup.enter(pid)).map_err(|_| error)
    }

    fn clone(
        &mut self,
        namespaces: &Namespaces,
        cgroup: Option<OwnedFd>,
        agent: Option<BorrowedFd>,
        channel: &Channel,
        inits: &Channel,
    ) -> Result<Option<Child>> {
        let mut for_children = CloneFlags::empty();
        let state = &self.container.state;
        for (kind, flag) in [(Kind::Pid, nix::libc::CLONE_NEWPID), (Kind::Time, CLONE_NEWTIME)] {
            let made = kind == Kind::Pid && state.own_pid_namespace;
            let own = made || !namespaces.is_inherited(kind) && !is_own(kind, state.init_process_pid)?;
            for_children.set(CloneFlags::from_bits_retain(flag), own);
        }
        if !for_children.contains(CloneFlags::CLONE_NEWPID) {
            // Everybody in this PID namespace sees the process, whatever it does: one process is enough.
            if !for_children.is_empty() {
                setns(&self.entrance.init, for_children).during(|| "setns").context(|| "joining the time namespace")?;
            }
            return clone3(0, cgroup.as_ref().map(AsFd::as_fd)).map_err(no_more_processes);
        }
        // What is in the container's PID namespace must have nothing of the host any more, neither root directory nor
        // file descriptors: a container with CAP_SYS_PTRACE looks into every process that it sees (CVE-2016-9962).
        let keep = [Some(inits.as_fd()), agent];
        let entrance = &self.entrance;
        let child = by_intermediate(cgroup.as_ref().map(AsFd::as_fd), channel, inits, || {
            entrance.enter(for_children)?;
            log::close();
            seal::let_go();
            process::close_all_but(3 + entrance.process.preserve_fds, keep.iter().flatten())
                .during(|| "close_range")?;
            clone3(nix::libc::CLONE_PARENT as u64, None).map_err(no_more_processes)
        });
        if matches!(child, Ok(None)) {
            self.entrance.entered = true;
            // Closed with the others.
            std::mem::forget(cgroup);
        }
        child
    }

    fn set_affinity(&self, pid: Pid) -> Result<()> {
        let Some(cpus) = self.affinity.last.as_deref().filter(|cpus| !cpus.is_empty()) else {
            if self.affinity.initial.is_none() {
                process::reset_affinity(pid);
            }
            return Ok(());
        };
        let mask = scheduling::mask(cpus).context(|| "process.execCPUAffinity.final")?;
        process::set_affinity(pid, &mask).during(|| "sched_setaffinity").context(|| "process.execCPUAffinity.final")
    }

    fn complete(&self, channel: &Channel, reports: &Reports, agent: Option<&plan::Listener>) -> Result<()> {
        let Some(child) = &self.child else { return Err(Error::new("exec made no process")) };
        if self.entrance.has_user_namespace() {
            // Raising a hard limit needs the host's CAP_SYS_RESOURCE. Not before: a low limit would stop the steps so far.
            limits::apply_rlimits(&self.entrance.process.rlimits, Some(child.pid))?;
        }
        if let Some(path) = &reports.pidfd_socket {
            sockets::send_pidfd(path, &child.pidfd)?;
        }
        if let Some(path) = &reports.pid_file {
            sockets::write_pid_file(path, child.pid)?;
        }
        let message = agent.map_or_else(Vec::new, |agent| {
            listener::process_state(&self.container.state.specified(Status::Running), child.pid.as_raw(), agent)
        });
        channel.send(&Message::Proceed(message))?;
        wait_for_program(channel)
    }
}

/// The process that a container's configuration describes, for `exec` to change.
///
/// # Errors
/// When the configuration has none.
pub fn configured_process(config: &Config) -> Result<crate::bundle::config::Process> {
    config.process.clone().ok_or_else(|| Error::new("is missing in the container's configuration").context("process"))
}
