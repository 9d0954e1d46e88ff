//! Another process in a container that exists: what `exec`'s child does until its program.

use super::channel::Channel;
use super::procfs::ProcFs;
use super::program::{self, Program};
use super::{Inherited, identity, limits, terminal};
use crate::container::{launch, seal};
use crate::error::{Context, During, Result};
use crate::plan::process::Process;
use crate::security::labels;
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
    /// `CLONE_NEW*` of the namespaces to join, but for PID and time namespaces: those only concern children.
    pub namespaces: CloneFlags,
    /// Whether [`Entrance::enter`] has been done.
    pub entered: bool,
    /// The root directory to change to, where the container's is not its mount namespace's.
    pub chroot: Option<OwnedFd>,
    /// Name of the container's session keyring.
    pub keyring: Option<String>,
}

/// Runs the child of `exec` to its program; comes back only to end it.
pub fn run(entrance: &Entrance, inherited: Inherited) -> ! {
    seal::let_go();
    let program = set_up(entrance, &inherited.channel, inherited.waits);
    super::finish(program, inherited)
}

impl Entrance {
    /// Joins the container's namespaces, `for_children` too, and changes to its root.
    ///
    /// # Errors
    /// When the container has ended, or the kernel refuses.
    pub fn enter(&self, for_children: CloneFlags) -> Result<()> {
        if self.has_user_namespace() && !self.oom_score_from_outside() {
            // As long as the file is ours: that of a process that is not dumpable belongs to root.
            launch::set_oom_score(nix::unistd::getpid(), self.process.oom_score_adj)?;
        }
        // The container's processes must not look into this one: CVE-2016-9962.
        sys::set_dumpable(false).during(|| "prctl(PR_SET_DUMPABLE)")?;
        setns(&self.init, self.namespaces | for_children)
            .during(|| "setns")
            .context(|| "joining the container's namespaces")?;
        if let Some(root) = &self.chroot {
            nix::unistd::fchdir(root).and_then(|()| nix::unistd::chroot(".")).during(|| "chroot")?;
        }
        nix::unistd::chdir("/").during(|| "chdir /")
    }

    /// Whether the process runs in a user namespace of the container's.
    pub fn has_user_namespace(&self) -> bool {
        self.namespaces.contains(CloneFlags::CLONE_NEWUSER)
    }

    /// Whether berth sets the OOM score, as root can: in a user namespace the process may not lower its own.
    pub fn oom_score_from_outside(&self) -> bool {
        self.has_user_namespace() && nix::unistd::geteuid().is_root()
    }
}

fn set_up<'plan>(entrance: &'plan Entrance, channel: &Channel, waits: bool) -> Result<Program<'plan>> {
    let process = &entrance.process;
    if waits {
        channel.wait_to_proceed()?; // the cgroup and limits come from outside
    }
    if !entrance.entered {
        entrance.enter(CloneFlags::empty())?;
    }
    if entrance.has_user_namespace() {
        identity::become_root()?;
        // A change of ids may have made us dumpable again, prctl(2).
        sys::set_dumpable(false).during(|| "prctl(PR_SET_DUMPABLE)")?;
    }
    if let Some(name) = &entrance.keyring {
        limits::join_keyring(name)?;
    }
    let root = program::open_root()?;
    // Not for nothing: to close a mount that was never attached, the kernel waits for all CPUs.
    let writes_score = process.oom_score_adj.is_some() && !entrance.has_user_namespace();
    let procfs = (writes_score || labels::are_wanted(process)).then(ProcFs::open).transpose()?;
    let terminal = terminal::open(&root, process, channel)?;
    if !entrance.has_user_namespace() {
        limits::apply_rlimits(&process.rlimits, None)?;
        procfs.as_ref().map_or(Ok(()), |procfs| limits::set_oom_score(procfs, process))?;
    }
    limits::apply(process)?;
    terminal::take_streams(&root, terminal, process)?;
    Program::prepare(process, entrance.filter.as_ref(), procfs, &root, &[])
}
