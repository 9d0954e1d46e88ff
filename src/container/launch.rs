//! Making the one process: which namespaces it is born into, which it joins, and when a helper must go first.
//!
//! | user namespace | others joined | made by |
//! |---|---|---|
//! | inherited | any | one `clone3`, then init joins |
//! | new | only pid, time | one `clone3` |
//! | new | others | an intermediate joins them (they belong to the outside), then `clone3(CLONE_PARENT)` |
//! | joined | any | an intermediate joins all, then `clone3(CLONE_PARENT)`: new ones belong to the joined one |
//!
//! A pid or time namespace only ever concerns children: berth itself joins or makes it before `clone3`.
//!
//! A new network namespace takes the kernel as long as all of a container's mounts. On the host, where no user namespace
//! has to own it, berth makes it while init mounts, and init joins it ([`Joins::network_aside`]).

use crate::caller;
use crate::error::{Context, During, Error, Result};
use crate::init::channel::{Channel, Message};
use crate::plan::namespaces::{CLONE_NEWTIME, Kind, Namespaces};
use crate::sys::clone::{Child, clone3};
use crate::sys::fs::open;
use crate::sys::process;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::fstat;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Namespaces that are joined, opened and verified on the host.
#[derive(Debug)]
pub struct Joins {
    files: Vec<(Kind, OwnedFd)>,
    intermediate: bool,
}

impl Joins {
    /// Opens what the plan joins.
    ///
    /// # Errors
    /// When a path is missing or is not a namespace of its kind.
    pub fn open(plan: &Namespaces) -> Result<Self> {
        let mut files = Vec::new();
        for kind in Kind::ALL {
            let Some(path) = plan.joined(kind) else { continue };
            files.push((kind, open_namespace(path, kind)?));
        }
        let outside = |kind: Kind| !matches!(kind, Kind::User | Kind::Pid | Kind::Time);
        let intermediate = plan.joined(Kind::User).is_some()
            || plan.is_new(Kind::User) && files.iter().any(|(kind, _)| outside(*kind));
        Ok(Self { files, intermediate })
    }

    /// Whether init makes its time namespace itself and enters it with execve: an unprivileged berth may not make one
    /// outside of the new user namespace, and for an intermediate it would come too early.
    pub fn late_time_namespace(&self, plan: &Namespaces) -> bool {
        plan.is_new(Kind::Time) && (self.intermediate || !nix::unistd::geteuid().is_root())
    }

    /// Whether init is to be born without its new network namespace, and gets it by [`make_network`]. In a user namespace
    /// of its caller's, berth could not return to its own, which belongs to an outer one.
    pub fn network_aside(&self, plan: &Namespaces) -> bool {
        plan.is_new(Kind::Network) && plan.is_inherited(Kind::User) && caller::in_initial_user_namespace()
    }

    fn get(&self, kind: Kind) -> Option<BorrowedFd<'_>> {
        self.files.iter().find(|(other, _)| *other == kind).map(|(_, fd)| fd.as_fd())
    }

    /// Joins all of `kinds`: those that the joined user namespace owns after it, the others before.
    fn enter(&self, kinds: impl Fn(Kind) -> bool) -> Result<()> {
        let user = self.get(Kind::User).filter(|_| kinds(Kind::User));
        let inside = |fd: BorrowedFd| -> Result<bool> {
            let Some(user) = user else { return Ok(false) };
            // The kernel refuses to name an owner outside of our own user namespace's descendants.
            let Ok(owner) = process::namespace_owner(fd) else { return Ok(false) };
            let (user, owner) = (fstat(user).during(|| "fstat")?, fstat(owner).during(|| "fstat")?);
            Ok((user.st_dev, user.st_ino) == (owner.st_dev, owner.st_ino))
        };
        let others = || self.files.iter().filter(|(kind, _)| *kind != Kind::User && kinds(*kind));
        for (kind, fd) in others() {
            if !inside(fd.as_fd())? {
                join(*kind, fd.as_fd())?;
            }
        }
        if let Some(user) = user {
            join(Kind::User, user)?;
            for (kind, fd) in others() {
                if inside(fd.as_fd())? {
                    join(*kind, fd.as_fd())?;
                }
            }
        }
        Ok(())
    }
}

fn join(kind: Kind, fd: BorrowedFd) -> Result<()> {
    setns(fd, CloneFlags::from_bits_retain(kind.flag()))
        .during(|| "setns")
        .context(|| format!("linux.namespaces: joining the {} namespace", kind.name()))
}

fn open_namespace(path: &Path, kind: Kind) -> Result<OwnedFd> {
    let name = || format!("linux.namespaces: {} namespace {}", kind.name(), path.display());
    let fd = open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK).during(|| "open").context(name)?;
    match process::namespace_type(fd.as_fd()) {
        Ok(found) if found == kind.flag() => Ok(fd),
        Ok(found) => {
            let found = Kind::ALL.into_iter().find(|kind| kind.flag() == found).map_or("another", Kind::name);
            Err(Error::new(format!("is a {found} namespace")).context(name()))
        }
        Err(_) => Err(Error::new("is not a namespace").context(name()).hint("Use a file such as /proc/<pid>/ns/net.")),
    }
}

/// How to make the process.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The container's namespaces.
    pub namespaces: &'a Namespaces,
    /// Those that are joined.
    pub joins: &'a Joins,
    /// The cgroup to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Whether init makes its cgroup namespace itself, after it was moved.
    pub late_cgroup_namespace: bool,
    /// Whether init gets its network namespace later.
    pub network_aside: bool,
    /// See [`sets_own_oom_score`].
    pub oom_score: Option<i32>,
}

impl Launch<'_> {
    /// Makes the process that becomes the container. Returns `None` in it, with every namespace but a late one.
    ///
    /// # Errors
    /// Names the namespace that cannot be made or joined.
    pub fn start(&self, channel: &Channel, inits: &Channel) -> Result<Option<Child>> {
        let restore = self.enter_for_children()?;
        let child = match self.joins.intermediate {
            false => self.clone(0, self.cgroup),
            true => self.clone_by_intermediate(channel, inits),
        };
        match child {
            Ok(None) if self.joins.intermediate => {}
            Ok(None) => self.join_rest(inits),
            _ => restore.run()?,
        }
        child
    }

    fn new_flags(&self) -> i32 {
        let new = |kind: &Kind| {
            self.namespaces.is_new(*kind)
                && *kind != Kind::Time
                && !(*kind == Kind::Network && self.network_aside)
                && !(*kind == Kind::Cgroup && self.late_cgroup_namespace)
        };
        Kind::ALL.into_iter().filter(new).fold(0, |flags, kind| flags | kind.flag())
    }

    /// In the new process: what fails here must not go on as if this were the parent.
    fn join_rest(&self, inits: &Channel) {
        if let Err(error) = self.joins.enter(|kind| !matches!(kind, Kind::Pid | Kind::Time)) {
            let _ = inits.send(&Message::Failed(error));
            process::exit_now(1);
        }
    }

    fn clone(&self, extra: i32, cgroup: Option<BorrowedFd>) -> Result<Option<Child>> {
        let flags = self.new_flags();
        clone3(u64::from((flags | extra) as u32), cgroup).map_err(|errno| {
            let names: Vec<_> = Kind::ALL.into_iter().filter(|kind| flags & kind.flag() != 0).map(Kind::name).collect();
            let operation = format!("clone3 with new namespaces ({})", names.join(", "));
            explain(operation, errno, self.namespaces.is_new(Kind::User))
        })
    }

    fn clone_by_intermediate(&self, channel: &Channel, inits: &Channel) -> Result<Option<Child>> {
        by_intermediate(self.cgroup, channel, inits, || {
            // Processes in a joined user namespace may have every capability over one that enters it: they must not
            // look into it, who still holds the host's file descriptors (CVE-2016-9962).
            if self.joins.get(Kind::User).is_some() {
                if sets_own_oom_score() {
                    set_oom_score(nix::unistd::getpid(), self.oom_score)?;
                }
                process::set_dumpable(false).during(|| "prctl(PR_SET_DUMPABLE)")?;
            }
            self.joins.enter(|_| true)?;
            self.clone(nix::libc::CLONE_PARENT, None)
        })
    }

    /// Makes children be born in the pid and time namespaces that they shall have.
    fn enter_for_children(&self) -> Result<Restore> {
        let mut restore = Restore::default();
        if self.joins.intermediate {
            return Ok(restore);
        }
        if let Some(pid) = self.joins.get(Kind::Pid) {
            restore.keep(Kind::Pid)?;
            join(Kind::Pid, pid)?;
        }
        if let Some(time) = self.joins.get(Kind::Time) {
            restore.keep(Kind::Time)?;
            join(Kind::Time, time)?;
        } else if self.namespaces.is_new(Kind::Time) && !self.joins.late_time_namespace(self.namespaces) {
            restore.keep(Kind::Time)?;
            make_time_namespace(&self.namespaces.time_offsets)?;
        }
        Ok(restore)
    }
}

/// Why there are no new namespaces.
fn explain(operation: String, errno: Errno, new_user_namespace: bool) -> Error {
    let error = Error::sys(operation, errno).context("linux.namespaces");
    match errno {
        Errno::EAGAIN => no_more_processes(errno).context("linux.namespaces"),
        Errno::EPERM if !new_user_namespace => error.hint("Without CAP_SYS_ADMIN a new user namespace is needed too."),
        Errno::EPERM => error.hint("Unprivileged user namespaces may be switched off on this host."),
        Errno::ENOSPC => error.hint("A limit of /proc/sys/user/max_*_namespaces is reached."),
        _ => error,
    }
}

/// Makes a network namespace, without staying in it.
///
/// # Errors
/// When the kernel refuses.
pub fn make_network() -> Result<OwnedFd> {
    let mut restore = Restore::default();
    restore.keep(Kind::Network)?;
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|errno| explain("unshare with a new network namespace".into(), errno, false))?;
    let path = own_namespace(Kind::Network);
    let made = open(path.as_str(), OFlag::O_RDONLY).during(|| format!("open {path}"));
    restore.run()?;
    made
}

/// Whether who enters a user namespace must set its score itself: the file of a process that is not dumpable belongs to
/// root. Root does it from outside.
pub fn sets_own_oom_score() -> bool {
    !nix::unistd::geteuid().is_root()
}

/// Sets how readily the kernel kills the process; from outside, because in a user namespace it may not lower it.
///
/// # Errors
/// When the kernel refuses.
pub fn set_oom_score(pid: Pid, score: Option<i32>) -> Result<()> {
    let Some(score) = score else { return Ok(()) };
    let path = format!("/proc/{pid}/oom_score_adj");
    std::fs::write(&path, score.to_string())
        .during(|| format!("write {score} to {path}"))
        .context(|| "process.oomScoreAdj")
        .map_err(|error| error.hint("Lowering it needs CAP_SYS_RESOURCE on the host."))
}

/// The error of a `clone3` that asked for nothing special.
pub fn no_more_processes(errno: Errno) -> Error {
    let error = Error::sys("clone3", errno);
    match errno {
        Errno::EAGAIN => error.hint("The limit of processes (RLIMIT_NPROC or pids.max) is reached."),
        _ => error,
    }
}

/// A process of ours enters namespaces, makes the wanted one as our child (`CLONE_PARENT`), tells its pid and ends.
/// Returns `None` in the wanted one.
///
/// # Errors
/// What the intermediate could not do.
pub fn by_intermediate(
    cgroup: Option<BorrowedFd>,
    channel: &Channel,
    inits: &Channel,
    enter_and_clone: impl FnOnce() -> Result<Option<Child>>,
) -> Result<Option<Child>> {
    let Some(intermediate) = clone3(0, cgroup).map_err(no_more_processes)? else {
        let message = match enter_and_clone() {
            Ok(None) => return Ok(None),
            Ok(Some(child)) => Message::Born(child.pid.as_raw()),
            Err(error) => Message::Failed(error),
        };
        // The parent sees our end when it cannot be told.
        let _ = inits.send(&message);
        process::exit_now(0);
    };
    let ended = waitpid(intermediate.pid, Some(WaitPidFlag::__WALL));
    let ended = ended.during(|| "wait for the intermediate process")?;
    let Some(pid) = channel.born()? else {
        let how = match ended {
            WaitStatus::Signaled(_, signal, _) => format!("was killed by {signal}"),
            _ => "ended".to_owned(),
        };
        let silent = || Error::new(format!("the intermediate process {how} before it made init"));
        return Err(channel.last_words().unwrap_or_else(silent));
    };
    let pid = Pid::from_raw(pid);
    // Our child, so the pid cannot have been given to another process.
    Ok(Some(Child { pid, pidfd: process::pidfd_open(pid).during(|| "pidfd_open")? }))
}

/// Makes a time namespace for children (and for the next program), with its offsets.
///
/// # Errors
/// When an offset is impossible.
pub fn make_time_namespace(offsets: &str) -> Result<()> {
    unshare(CloneFlags::from_bits_retain(CLONE_NEWTIME))
        .during(|| "unshare(CLONE_NEWTIME)")
        .context(|| "linux.namespaces")?;
    if offsets.is_empty() {
        return Ok(());
    }
    let path = "/proc/self/timens_offsets";
    std::fs::write(path, offsets)
        .map_err(|error| Error::io(format!("write {path}"), &error).context("linux.timeOffsets"))
        .map_err(|error| error.hint("The clock must not become negative."))
}

fn own_namespace(kind: Kind) -> String {
    format!("/proc/self/ns/{}", kind.file())
}

/// Takes back what concerned the one child.
#[derive(Debug, Default)]
struct Restore(Vec<(Kind, OwnedFd)>);

impl Restore {
    fn keep(&mut self, kind: Kind) -> Result<()> {
        let path = own_namespace(kind);
        let fd = open(path.as_str(), OFlag::O_RDONLY).during(|| format!("open {path}"))?;
        self.0.push((kind, fd));
        Ok(())
    }

    fn run(self) -> Result<()> {
        self.0.iter().try_for_each(|(kind, fd)| join(*kind, fd.as_fd()))
    }
}
