//! Another process in a container that exists: what `exec`'s child does until its program.

use super::channel::Channel;
use super::procfs::ProcFs;
use super::program::{self, Program};
use super::{Inherited, identity, limits, terminal};
use crate::error::{Context, During, Result};
use crate::plan::process::Process;
use crate::security::seccomp::Filter;
use crate::sys::process as sys;
use nix::sched::{CloneFlags, setns};
use std::os::fd::OwnedFd;

/// What `exec` has decided and opened.
#[derive(Debug)]
pub struct Entrance {
    /// The program.
    pub process: Process,
    /// Its filter.
    pub filter: Option<Filter>,
    /// The container's init, whose namespaces are joined.
    pub init: OwnedFd,
    /// `CLONE_NEW*` of the namespaces to join; the PID and time namespaces were joined by the parent.
    pub namespaces: CloneFlags,
    /// Whether the process is in the container's user namespace already.
    pub in_user_namespace: bool,
    /// The root directory to change to, where the container's is not its mount namespace's.
    pub chroot: Option<OwnedFd>,
    /// Name of the container's session keyring.
    pub keyring: Option<String>,
}

/// Runs the child of `exec` to its program; comes back only to end it.
pub fn run(entrance: &Entrance, inherited: Inherited) -> ! {
    let program = set_up(entrance, &inherited.channel, inherited.waits);
    super::finish(program, inherited)
}

fn set_up<'plan>(entrance: &'plan Entrance, channel: &Channel, waits: bool) -> Result<Program<'plan>> {
    let process = &entrance.process;
    let user_namespace = entrance.in_user_namespace || entrance.namespaces.contains(CloneFlags::CLONE_NEWUSER);
    if waits {
        channel.wait_to_proceed()?; // the cgroup and limits come from outside
    }
    // The container's processes must not look into this one: CVE-2016-9962.
    sys::set_dumpable(false).during(|| "prctl(PR_SET_DUMPABLE)")?;
    setns(&entrance.init, entrance.namespaces).during(|| "setns").context(|| "joining the container's namespaces")?;
    if let Some(root) = &entrance.chroot {
        nix::unistd::fchdir(root).and_then(|()| nix::unistd::chroot(".")).during(|| "chroot")?;
    }
    nix::unistd::chdir("/").during(|| "chdir /")?;
    if user_namespace {
        identity::become_root()?;
        // A change of ids in a user namespace may have made us dumpable again, prctl(2).
        sys::set_dumpable(false).during(|| "prctl(PR_SET_DUMPABLE)")?;
    }
    if let Some(name) = &entrance.keyring {
        limits::join_keyring(name)?;
    }
    let root = program::open_root()?;
    let procfs = ProcFs::open()?;
    let terminal = terminal::open(&root, process, channel)?;
    if !user_namespace {
        limits::apply_rlimits(&process.rlimits, None)?;
        limits::set_oom_score(&procfs, process)?;
    }
    limits::apply(process)?;
    terminal::take_streams(&root, terminal, process)?;
    Program::prepare(process, entrance.filter.as_ref(), procfs, &root, &[])
}
