//! Making a container: everything that surrounds the new process, in order, and undone when a step fails.

use super::launch::{self, Joins, Launch};
use super::notify::{self, NotifySocket};
use super::state::{Identity, State, Status};
use super::store::{Entry, Store};
use super::{foreground, idmap, seal, sockets};
use crate::bundle::Bundle;
use crate::cgroup::{self, Cgroup};
use crate::error::{Error, Result};
use crate::init::channel::{Channel, Message};
use crate::init::sources::open_sources;
use crate::init::{self, Inherited, limits, listener};
use crate::plan::Plan;
use crate::plan::namespaces::Kind;
use crate::security::labels;
use crate::sys::clone::Child;
use crate::sys::process;
use crate::{hooks, log};
use nix::unistd::Pid;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// Who wants to be told what about the new process.
#[derive(Debug, Default)]
pub struct Reports {
    /// `--pid-file`
    pub pid_file: Option<PathBuf>,
    /// `--console-socket`
    pub console_socket: Option<PathBuf>,
    /// `--pidfd-socket`
    pub pidfd_socket: Option<PathBuf>,
}

impl Reports {
    /// Whether somebody is to be told before the program runs.
    pub fn before_program(&self) -> bool {
        self.pid_file.is_some() || self.pidfd_socket.is_some()
    }
}

/// How far a new process has come, with the other end of its terminal unless `--console-socket` got it.
#[derive(Debug)]
pub enum Progress {
    /// All that can fail before the program's start has been done; it waits.
    Ready(Option<OwnedFd>),
    /// It did not ask, and runs its program.
    Running(Option<OwnedFd>),
}

/// What becomes of the new process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It waits for `start`.
    Wait,
    /// It executes its program at once.
    Run,
}

/// A container that has just been made; init is a child of this process.
#[derive(Debug)]
pub struct Created {
    /// Its directory, locked.
    pub entry: Entry,
    /// What is remembered of it.
    pub state: State,
    /// Its init.
    pub init: Child,
    /// The other end of its terminal, when nobody else got it.
    pub terminal: Option<OwnedFd>,
    /// Where it says that it is ready, when the caller wants to know.
    pub notify: Option<NotifySocket>,
}

/// Makes the container of a plan.
///
/// # Errors
/// Whatever fails; then nothing is left of the container.
pub fn create(store: &Store, bundle: &Bundle, plan: Plan, reports: &Reports, then: Then) -> Result<Created> {
    labels::check(&plan.process)?;
    for note in &plan.notes {
        log::warn(note);
    }
    let joins = Joins::open(&plan.namespaces)?;
    let agent = plan.listener.as_ref().map(listener::connect_agent).transpose()?;
    let cgroup = cgroup::prepare(plan.cgroup.clone())?;

    let entry = store.create(&plan.id)?;
    let mut state =
        State::new(&plan.id, bundle.path.clone(), plan.filesystem.root.clone(), &bundle.config, plan.cgroup.record());
    state.own_pid_namespace = plan.namespaces.is_new(Kind::Pid);
    state.no_pivot = plan.filesystem.enter != crate::plan::filesystem::Enter::Pivot;
    let mut making = Making { entry, state, cgroup, cgroup_made: false, init: None, hooks_ran: false, plan: &plan };
    let made = making.record(then).and_then(|(exec_fifo, notify)| {
        let sources = open_sources(&plan.filesystem)?;
        making.make_cgroup()?;
        let terminal =
            making.make_process(reports, then, &bundle.raw, Prepared { joins, agent, sources, exec_fifo })?;
        Ok((terminal, notify))
    });
    match made {
        Ok((terminal, notify)) => making.finish(terminal, notify),
        Err(error) => {
            let error = making.explain(error);
            making.undo();
            Err(error)
        }
    }
}

struct Prepared {
    joins: Joins,
    agent: Option<OwnedFd>,
    sources: crate::init::sources::Sources,
    exec_fifo: Option<OwnedFd>,
}

/// What init cannot do for itself.
#[derive(Clone, Copy)]
struct Needs {
    /// It waits until all but its network is done.
    waits: bool,
    needs_enter: bool,
    network_aside: bool,
}

/// A container that is being made.
struct Making<'plan> {
    entry: Entry,
    state: State,
    cgroup: Box<dyn Cgroup>,
    cgroup_made: bool,
    init: Option<Child>,
    hooks_ran: bool,
    plan: &'plan Plan,
}

impl Making<'_> {
    /// Remembers what is about to be made, so that `delete --force` finds it if we die.
    fn record(&mut self, then: Then) -> Result<(Option<OwnedFd>, Option<NotifySocket>)> {
        self.entry.save(&self.state)?;
        notify::make_directory(self.entry.path())?;
        match then {
            Then::Wait => Ok((Some(self.entry.make_exec_fifo()?), None)),
            Then::Run => Ok((None, NotifySocket::of(self.entry.path())?)),
        }
    }

    fn make_cgroup(&mut self) -> Result<()> {
        self.cgroup.create()?;
        self.cgroup_made = true;
        Ok(())
    }

    fn make_process(
        &mut self,
        reports: &Reports,
        then: Then,
        config: &[u8],
        prepared: Prepared,
    ) -> Result<Option<OwnedFd>> {
        let plan = self.plan;
        let Prepared { joins, agent, sources, exec_fifo } = prepared;
        let entry = self.cgroup.entry()?;
        let needs_enter = plan.cgroup.needs_enter();
        let late_cgroup_namespace = needs_enter && plan.namespaces.is_new(Kind::Cgroup);
        let network_aside = joins.network_aside(&plan.namespaces);
        let late_time_namespace = joins.late_time_namespace(&plan.namespaces);
        let waits = needs_enter || plan.namespaces.is_new(Kind::User);
        let (channel, inits) = Channel::pair()?;
        let launch = Launch {
            namespaces: &plan.namespaces,
            joins: &joins,
            cgroup: entry.as_ref().map(AsFd::as_fd),
            late_cgroup_namespace,
            network_aside,
            oom_score: plan.process.oom_score_adj,
        };
        let Some(child) = launch.start(&channel, &inits)? else {
            let inherited = Inherited {
                channel: inits,
                sources,
                exec_fifo,
                agent,
                waits,
                asks: true,
                late_cgroup_namespace,
                network_aside,
                late_time_namespace,
            };
            init::run(plan, inherited);
        };
        drop((inits, sources, exec_fifo, agent));
        let pid = child.pid;
        self.init = Some(child);

        let made = self.settle(pid, &channel, Needs { waits, needs_enter, network_aside }).and_then(|()| {
            self.remember(pid, config)?;
            seal::let_go();
            let ready = until_ready(&channel, reports, || {
                self.hooks_ran = true;
                self.run_hooks()?;
                Ok(self.state.for_hooks(Status::Creating))
            })?;
            let Progress::Ready(terminal) = ready else { return Err(Error::new(DIED)) };
            self.complete(pid, &channel, reports, then)?;
            Ok(terminal)
        });
        made.map_err(|error| channel.last_words().unwrap_or(error))
    }

    /// What init cannot do for itself. Where it need not wait for that, it goes on meanwhile.
    fn settle(&mut self, pid: Pid, channel: &Channel, needs: Needs) -> Result<()> {
        let plan = self.plan;
        let give_network = || match needs.network_aside {
            true => channel.send(&Message::Network(launch::make_network()?)),
            false => Ok(()),
        };
        if !needs.waits {
            give_network()?;
        }
        if plan.namespaces.is_new(Kind::User) {
            idmap::write(pid, &plan.namespaces.uid_map, &plan.namespaces.gid_map)?;
        }
        let joins_user = plan.namespaces.joined(Kind::User).is_some();
        if plan.namespaces.is_new(Kind::User) || joins_user && !launch::sets_own_oom_score() {
            launch::set_oom_score(pid, plan.process.oom_score_adj)?;
        }
        process::reset_affinity(pid);
        if needs.needs_enter {
            self.cgroup.enter(pid)?;
        }
        self.cgroup.apply_limits()?;
        // On v1 the rules are in force one by one: until the last is there, init could not make its devices.
        self.cgroup.apply_devices()?;
        if !needs.waits {
            return Ok(());
        }
        channel.send(&Message::Proceed(Vec::new()))?;
        give_network()
    }

    /// Records what was made, while init is at work.
    fn remember(&mut self, pid: Pid, config: &[u8]) -> Result<()> {
        self.state.set_init(Identity::of(pid)?);
        self.state.namespace_paths = namespace_paths(pid);
        self.entry.save(&self.state)?;
        self.entry.prepare_config(config)
    }

    fn run_hooks(&self) -> Result<()> {
        let hooks = &self.plan.hooks;
        hooks::run_all("prestart", &hooks.prestart, &self.state.for_hooks(Status::Created))?;
        hooks::run_all("createRuntime", &hooks.create_runtime, &self.state.for_hooks(Status::Creating))
    }

    /// The point of no return: the container is there, and init goes on.
    fn complete(&mut self, pid: Pid, channel: &Channel, reports: &Reports, then: Then) -> Result<()> {
        if !self.plan.namespaces.is_inherited(Kind::User) {
            // Not before: mounts and devices need more than a program may be allowed.
            limits::apply_rlimits(&self.plan.process.rlimits, Some(pid))?;
        }
        self.entry.complete()?;
        if let (Some(path), Some(init)) = (&reports.pidfd_socket, &self.init) {
            sockets::send_pidfd(path, &init.pidfd)?;
        }
        if let Some(path) = &reports.pid_file {
            sockets::write_pid_file(path, pid)?;
        }
        let message = match &self.plan.listener {
            // As the specification's example has it: the program does not run yet.
            Some(agent) => listener::process_state(&self.state.specified(Status::Creating), pid.as_raw(), agent),
            None => self.state.for_hooks(Status::Created),
        };
        channel.send(&Message::Proceed(message))?;
        match then {
            Then::Wait => Ok(()),
            Then::Run => wait_for_program(channel),
        }
    }

    fn finish(self, terminal: Option<OwnedFd>, notify: Option<NotifySocket>) -> Result<Created> {
        let Making { entry, state, init, .. } = self;
        let init = init.ok_or_else(|| Error::new("the container has no init"))?;
        Ok(Created { entry, state, init, terminal, notify })
    }

    /// An init that the kernel killed says nothing itself.
    fn explain(&self, error: Error) -> Error {
        match self.cgroup.oom_kills() {
            Some(kills) if self.cgroup_made && kills > 0 => error
                .context("the container ran out of memory while it was made")
                .hint("Raise linux.resources.memory.limit."),
            _ => error,
        }
    }

    /// Takes back everything; what cannot be taken back is logged, the first error is the one that counts.
    fn undo(&mut self) {
        if let Some(init) = &self.init {
            let _ = process::pidfd_send_signal(init.pidfd.as_fd(), nix::libc::SIGKILL);
            super::reap(init.pid);
        }
        if self.cgroup_made
            && let Err(error) = self.cgroup.kill().and_then(|()| self.cgroup.destroy())
        {
            log::warn(error.context("removing the cgroup"));
        }
        if self.hooks_ran {
            hooks::run_each("poststop", &self.plan.hooks.poststop, &self.state.for_hooks(Status::Stopped));
        }
        if let Err(error) = self.entry.remove() {
            log::warn(error);
        }
    }
}

/// An init that says nothing more.
const DIED: &str = "the new process died before its program was ready";

/// Answers a process until it is ready for its program: `before_pivot` runs hooks and gives the state for the others.
///
/// # Errors
/// What the process could not do.
pub fn until_ready(
    channel: &Channel,
    reports: &Reports,
    mut before_pivot: impl FnMut() -> Result<Vec<u8>>,
) -> Result<Progress> {
    let mut terminal = None;
    loop {
        match channel.receive()? {
            Some(Message::BeforePivot) => channel.send(&Message::Proceed(before_pivot()?))?,
            Some(Message::Terminal(master)) => match &reports.console_socket {
                Some(path) => {
                    let sent = sockets::send_terminal(path, &master);
                    if sent.is_err() {
                        // Stays open until we end: init would see its terminal die, and report that instead.
                        std::mem::forget(master);
                    }
                    sent?;
                }
                None => {
                    foreground::prepare(&master)?;
                    terminal = Some(master);
                }
            },
            Some(Message::Ready) => return Ok(Progress::Ready(terminal)),
            Some(Message::Failed(error)) => return Err(error),
            Some(message) => return Err(Error::new(format!("the new process sent {message:?} out of turn"))),
            None => return Ok(Progress::Running(terminal)),
        }
    }
}

/// The channel closes with execve: then the program runs.
///
/// # Errors
/// What init could not do, such as executing the program.
pub fn wait_for_program(channel: &Channel) -> Result<()> {
    match channel.receive()? {
        None => Ok(()),
        Some(Message::Failed(error)) => Err(error),
        Some(message) => Err(Error::new(format!("init sent {message:?} out of turn"))),
    }
}

fn namespace_paths(pid: Pid) -> std::collections::BTreeMap<String, String> {
    Kind::ALL.into_iter().map(|kind| (kind.runc_key().into(), format!("/proc/{pid}/ns/{}", kind.file()))).collect()
}
