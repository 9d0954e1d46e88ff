//! The life of a container from its first instruction to its program: the new process, step by step.
//!
//! Nothing is decided here; the [`Plan`] says what to do. Nothing panics here; every failure travels to the parent.

mod cgroups;
pub mod channel;
mod copyup;
mod devices;
pub mod exec;
pub mod identity;
pub mod limits;
pub mod listener;
mod masks;
mod mounts;
pub mod procfs;
pub mod program;
pub mod rootfs;
pub mod sources;
pub mod terminal;

use crate::container::{launch, seal};
use crate::error::{Context, During, Result};
use crate::hooks;
use crate::plan::Plan;
use crate::plan::namespaces::Kind;
use crate::sys::process as sys;
use channel::{Channel, Message};
use nix::sched::{CloneFlags, setns, unshare};
use program::Program;
use rootfs::Rootfs;
use sources::Sources;
use std::os::fd::{AsFd, OwnedFd};

/// What the parent has prepared; the new process inherits it with its memory.
#[derive(Debug)]
pub struct Inherited {
    /// The way to the parent.
    pub channel: Channel,
    /// Mount sources that only the parent could open.
    pub sources: Sources,
    /// Where to wait for `start`; `run` does not.
    pub exec_fifo: Option<OwnedFd>,
    /// The connection to the agent of notified system calls.
    pub agent: Option<OwnedFd>,
    /// Whether to wait until the parent has given ids and moved us to our cgroup.
    pub waits: bool,
    /// Whether the parent has something to do before the program runs.
    pub asks: bool,
    /// Whether the cgroup namespace is still to be made, after that wait.
    pub late_cgroup_namespace: bool,
    /// Whether the parent makes the network namespace meanwhile.
    pub network_aside: bool,
    /// Whether the time namespace is still to be made.
    pub late_time_namespace: bool,
}

/// The container's network namespace, which the parent may still be making.
struct Network<'a> {
    channel: &'a Channel,
    aside: bool,
    is_new: bool,
}

impl Network<'_> {
    /// Enters the namespace, unless that has been done, and makes its loopback interface usable.
    fn enter(&mut self) -> Result<()> {
        if std::mem::take(&mut self.aside) {
            let namespace = self.channel.wait_for_network()?;
            setns(namespace, CloneFlags::CLONE_NEWNET).during(|| "setns (network)").context(|| "linux.namespaces")?;
        }
        if std::mem::take(&mut self.is_new) {
            sys::bring_up(c"lo").during(|| "bring up the loopback interface")?;
        }
        Ok(())
    }
}

/// Runs the new process to its program; comes back only to end it.
pub fn run(plan: &Plan, mut inherited: Inherited) -> ! {
    let sources = std::mem::take(&mut inherited.sources);
    let closed = close_the_parents(plan, &inherited, &sources);
    let program = closed.and_then(|()| set_up(plan, &inherited, sources));
    finish(program, inherited)
}

/// What only the parent needs (the state directory, the cgroup, its own end of the channel) is closed before a process
/// of a joined PID namespace can look at it.
fn close_the_parents(plan: &Plan, inherited: &Inherited, sources: &Sources) -> Result<()> {
    seal::let_go();
    let Inherited { channel, exec_fifo, agent, .. } = inherited;
    let own = [Some(channel.as_fd()), exec_fifo.as_ref().map(AsFd::as_fd), agent.as_ref().map(AsFd::as_fd)];
    let keep: Vec<_> = own.into_iter().flatten().chain(crate::log::descriptor()).chain(sources.descriptors()).collect();
    sys::close_all_but(3 + plan.process.preserve_fds, keep.iter()).during(|| "close_range")
}

/// Tells the parent how it went, and starts the program when the parent agrees.
fn finish(program: Result<Program>, inherited: Inherited) -> ! {
    let channel = &inherited.channel;
    let ready = program.and_then(|program| {
        if !inherited.asks {
            return Ok((program, Vec::new()));
        }
        channel.send(&Message::Ready)?;
        Ok((program, channel.wait_to_proceed()?))
    });
    match ready {
        Ok((program, state)) => program.start(&state, inherited),
        Err(error) => {
            // When the parent is gone, nobody asks.
            let _ = channel.send(&Message::Failed(error));
            sys::exit_now(1)
        }
    }
}

/// Everything that can be done before `start`.
fn set_up<'plan>(plan: &'plan Plan, inherited: &Inherited, sources: Sources) -> Result<Program<'plan>> {
    let (process, channel) = (&plan.process, &inherited.channel);
    let user_namespace = !plan.namespaces.is_inherited(Kind::User);
    if inherited.waits {
        channel.wait_to_proceed()?; // ids, cgroup and limits come from outside
    }
    if user_namespace {
        identity::become_root()?; // of the user namespace: the new mounts belong to it
    }
    make_late_namespaces(plan, inherited)?;
    sys::set_dumpable(false).during(|| "prctl(PR_SET_DUMPABLE)")?; // from here on the image is near: CVE-2016-9962
    if let Some(name) = &plan.keyring {
        limits::join_keyring(name)?; // the caller's keys stay outside
    }
    let is_new = plan.namespaces.is_new(Kind::Network);
    let mut network = Network { channel, aside: inherited.network_aside, is_new };
    let mut rootfs = Rootfs::prepare(&plan.filesystem, sources)?;
    rootfs.mount_all(|| network.enter())?; // the network is needed by the first mount that shows it
    network.enter()?;
    rootfs.make_devices()?;
    run_hooks_before_pivot(plan, channel)?;
    let procfs = rootfs.procfs()?;
    limits::write_sysctls(&procfs, &plan.sysctl)?; // while /proc/sys can still be written
    rootfs.mask()?;
    rootfs.ensure_cwd(process.cwd())?; // engines expect it to be made
    rootfs.enter()?; // pivot_root: the host's files are gone
    let root = program::open_root()?;
    let terminal = terminal::open(&root, process, channel)?;
    if let Some(terminal) = &terminal {
        rootfs.bind_console(terminal.as_fd())?;
    }
    rootfs.finish()?; // read-only at last

    limits::set_names(plan)?;
    if !user_namespace {
        // Raising a hard limit needs the host's CAP_SYS_RESOURCE; in a user namespace the parent has done it.
        limits::apply_rlimits(&process.rlimits, None)?;
        limits::set_oom_score(&procfs, process)?;
    }
    limits::apply(process)?;
    terminal::take_streams(&root, terminal, process)?; // a session of its own, its terminal, its /dev/null
    Program::prepare(process, plan.seccomp.as_ref(), Some(procfs), &root, &plan.hooks.start_container)
}

fn make_late_namespaces(plan: &Plan, inherited: &Inherited) -> Result<()> {
    if inherited.late_cgroup_namespace {
        // Its root is the cgroup that we are in now.
        unshare(CloneFlags::CLONE_NEWCGROUP).during(|| "unshare(CLONE_NEWCGROUP)").context(|| "linux.namespaces")?;
    }
    if inherited.late_time_namespace {
        launch::make_time_namespace(&plan.namespaces.time_offsets)?;
    }
    Ok(())
}

/// prestart and createRuntime hooks run outside, createContainer hooks in here: all see the finished mounts, and the
/// programs of all are looked up on the host (config.md "POSIX-platform Hooks").
fn run_hooks_before_pivot(plan: &Plan, channel: &Channel) -> Result<()> {
    let hooks = &plan.hooks;
    if hooks.prestart.is_empty() && hooks.create_runtime.is_empty() && hooks.create_container.is_empty() {
        return Ok(());
    }
    channel.send(&Message::BeforePivot)?;
    let state = channel.wait_to_proceed()?;
    hooks::run_all("createContainer", &hooks.create_container, &state)
}
