//! Staying with a process until it ends: its signals, its terminal, its exit status (`run`, `exec` without --detach).

use crate::error::{During, Error, Result};
use crate::sys::{clone::Child, process, tty};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, read, write};
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Signals from now on wait until [`Foreground::wait`] passes them on; to be called before the process is made, so
/// that none gets lost. The process itself unblocks them.
#[derive(Debug)]
pub struct Foreground {
    signals: SignalFd,
}

impl Foreground {
    /// Begins to collect signals.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub fn begin() -> Result<Self> {
        let mut set = SigSet::all();
        // Faults are our own, and these two cannot be passed on.
        for signal in
            [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGABRT, Signal::SIGTRAP]
        {
            set.remove(signal);
        }
        // Under nohup(1) it stays ignored: blocked, it would arrive here all the same.
        if process::is_ignored(libc::SIGHUP) {
            set.remove(Signal::SIGHUP);
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&set), None).during(|| "sigprocmask")?;
        let signals =
            SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).during(|| "signalfd")?;
        Ok(Self { signals })
    }

    /// Passes signals to the process and copies between its terminal and ours until it ends. Returns its exit status,
    /// 128 and the number for a signal.
    ///
    /// # Errors
    /// When the kernel refuses; the terminal is restored in any case.
    pub fn wait(self, child: &Child, terminal: Option<OwnedFd>) -> Result<u8> {
        let mut relay = terminal.map(Relay::new).transpose()?;
        loop {
            if let Some(status) = reap(child.pid)? {
                if let Some(relay) = relay {
                    relay.drain();
                }
                return Ok(status);
            }
            let mut fds = vec![
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN),
            ];
            fds.extend(relay.iter().flat_map(Relay::interests));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::sys("poll", errno)),
            }
            drop(fds);
            self.pass_signals(child, relay.as_ref());
            if let Some(relay) = &mut relay {
                relay.copy();
            }
        }
    }

    fn pass_signals(&self, child: &Child, relay: Option<&Relay>) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = info.ssi_signo as i32;
            match (signal, relay) {
                // Reaped in the loop.
                (libc::SIGCHLD, _) => {}
                (libc::SIGWINCH, Some(relay)) => relay.resize(),
                // The kernel's own notices about our terminal are no messages to the container.
                (libc::SIGPIPE | libc::SIGTTIN | libc::SIGTTOU | libc::SIGURG, _) => {}
                _ => {
                    // It may have ended just now; then the next turn finds that.
                    let _ = process::pidfd_send_signal(child.pidfd.as_fd(), signal);
                }
            }
        }
    }
}

/// Reaps children that ended (with --no-subreaper unset, orphans of the container come to us) up to the one that
/// matters, and gives its status. What is left then is inherited by whoever reaps our orphans.
fn reap(main: Pid) -> Result<Option<u8>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == main => return Ok(Some(code as u8)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => return Ok(Some(128 + signal as i32 as u8)),
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::sys("waitpid", errno)),
        }
    }
}

/// Gives a terminal that this process will show the caller's size and line ends; before the program runs.
///
/// # Errors
/// When the kernel refuses.
pub fn prepare(master: &OwnedFd) -> Result<()> {
    // As runc: the program's line ends reach the caller as it wrote them.
    if let Ok(mut settings) = tcgetattr(master) {
        settings.output_flags.remove(OutputFlags::ONLCR);
        tcsetattr(master, SetArg::TCSANOW, &settings).during(|| "tcsetattr of the pty")?;
    }
    copy_size(master.as_fd());
    Ok(())
}

/// A caller without a terminal has no size to give.
fn copy_size(master: BorrowedFd) {
    if let Ok(size) = tty::size(std::io::stdin().as_fd()) {
        let _ = tty::set_size(master, size);
    }
}

/// Copies between the caller's streams and the container's terminal. Nothing here waits: a full pipe on one side must
/// not stop the other.
struct Relay {
    master: OwnedFd,
    restore: Option<Termios>,
    to_master: VecDeque<u8>,
    to_output: VecDeque<u8>,
    input_open: bool,
    master_open: bool,
}

/// Bytes in flight per direction.
const CAPACITY: usize = 32 << 10;

impl Relay {
    fn new(master: OwnedFd) -> Result<Self> {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_RDWR)).during(|| "fcntl")?;
        let stdin = std::io::stdin();
        let mut restore = None;
        if stdin.is_terminal() {
            let old = tcgetattr(&stdin).during(|| "tcgetattr")?;
            let mut raw = old.clone();
            cfmakeraw(&mut raw);
            tcsetattr(&stdin, SetArg::TCSANOW, &raw).during(|| "tcsetattr")?;
            restore = Some(old);
        }
        let relay = Self {
            master,
            restore,
            to_master: VecDeque::new(),
            to_output: VecDeque::new(),
            input_open: true,
            master_open: true,
        };
        relay.resize();
        Ok(relay)
    }

    fn resize(&self) {
        if self.restore.is_some() {
            copy_size(self.master.as_fd());
        }
    }

    fn interests(&self) -> Vec<PollFd<'_>> {
        let mut fds = Vec::new();
        let mut master = PollFlags::empty();
        master.set(PollFlags::POLLIN, self.to_output.len() < CAPACITY);
        master.set(PollFlags::POLLOUT, !self.to_master.is_empty());
        if self.master_open && !master.is_empty() {
            fds.push(PollFd::new(self.master.as_fd(), master));
        }
        if self.input_open && self.to_master.len() < CAPACITY {
            fds.push(PollFd::new(standard(0), PollFlags::POLLIN));
        }
        if !self.to_output.is_empty() {
            fds.push(PollFd::new(standard(1), PollFlags::POLLOUT));
        }
        fds
    }

    /// Moves what can be moved without waiting.
    fn copy(&mut self) {
        if self.input_open && self.to_master.len() < CAPACITY && is_ready(standard(0), PollFlags::POLLIN) {
            self.input_open = fill(standard(0), &mut self.to_master);
            if !self.input_open {
                // The end of the caller's input is the terminal's end-of-file character.
                self.to_master.push_back(4);
            }
        }
        if self.master_open {
            empty(self.master.as_fd(), &mut self.to_master);
            if self.to_output.len() < CAPACITY {
                // EIO: the last process has closed the terminal.
                self.master_open = fill(self.master.as_fd(), &mut self.to_output);
            }
        }
        if !self.to_output.is_empty() && is_ready(standard(1), PollFlags::POLLOUT) {
            empty_once(standard(1), &mut self.to_output);
        }
    }

    /// Brings the program's last words out.
    fn drain(mut self) {
        while self.master_open && fill(self.master.as_fd(), &mut self.to_output) && !self.to_output.is_empty() {
            if !self.write_out() {
                return;
            }
            if !is_ready(self.master.as_fd(), PollFlags::POLLIN) {
                break;
            }
        }
        self.write_out();
    }

    fn write_out(&mut self) -> bool {
        while !self.to_output.is_empty() {
            // The program has ended: now we may wait for a slow reader, but not for one who has gone.
            let mut fds = [PollFd::new(standard(1), PollFlags::POLLOUT)];
            if poll(&mut fds, PollTimeout::from(10_000u16)).unwrap_or(0) == 0
                || !empty_once(standard(1), &mut self.to_output)
            {
                return false;
            }
        }
        true
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(settings) = &self.restore {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, settings);
        }
    }
}

fn standard<'fd>(number: i32) -> BorrowedFd<'fd> {
    process::standard_stream(number)
}

fn is_ready(fd: BorrowedFd, events: PollFlags) -> bool {
    poll(&mut [PollFd::new(fd, events)], PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

/// Reads once; returns whether more may come.
fn fill(fd: BorrowedFd, buffer: &mut VecDeque<u8>) -> bool {
    let mut chunk = [0; 4096];
    match read(fd, &mut chunk) {
        Ok(0) => false,
        Ok(count) => {
            buffer.extend(&chunk[..count]);
            true
        }
        Err(errno) => matches!(errno, Errno::EAGAIN | Errno::EINTR),
    }
}

fn empty(fd: BorrowedFd, buffer: &mut VecDeque<u8>) {
    while !buffer.is_empty() && empty_once(fd, buffer) {}
}

/// Writes once; returns whether something went out. What nobody reads any more is dropped.
fn empty_once(fd: BorrowedFd, buffer: &mut VecDeque<u8>) -> bool {
    let (first, _) = buffer.as_slices();
    // A pipe takes at most its free page without waiting.
    let part = &first[..first.len().min(4096)];
    match write(fd, part) {
        Ok(count) => {
            buffer.drain(..count);
            count > 0
        }
        Err(Errno::EAGAIN | Errno::EINTR) => false,
        Err(_) => {
            buffer.clear();
            false
        }
    }
}
