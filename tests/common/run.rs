//! Commands with a time limit, their output in files, so that what a container keeps open holds nobody up.

use super::host;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What a finished command left.
#[derive(Debug)]
pub struct Output {
    /// Exit status, or 128+n when signal n ended it.
    pub status: i32,
    /// Standard output at the time when the command ended.
    pub stdout: String,
    /// Standard error at the time when the command ended.
    pub stderr: String,
    command: String,
    files: [PathBuf; 2],
}

impl Output {
    /// Demands exit status 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Demands an exit status.
    #[track_caller]
    pub fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, status, "exit status of {self:#}");
        self
    }

    /// Demands failure of berth itself: status 1, and words on standard error, in any case of letters.
    #[track_caller]
    pub fn fails(self, words: &str) -> Self {
        self.exits(1).complains(words)
    }

    /// Demands words on standard error, in any case of letters; `a|b` is either.
    #[track_caller]
    pub fn complains(self, words: &str) -> Self {
        let text = self.stderr.to_lowercase();
        let found = words.split('|').any(|word| text.contains(&word.to_lowercase()));
        assert!(found, "standard error lacks {words:?}: {self:#}");
        self
    }

    /// Demands words on standard output.
    #[track_caller]
    pub fn prints(self, words: &str) -> Self {
        assert!(self.stdout.contains(words), "standard output lacks {words:?}: {self:#}");
        self
    }

    /// Standard output without white space around it.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:#}"))
    }

    /// Standard output as it is now: a detached container goes on writing.
    pub fn stdout_now(&self) -> String {
        read(&self.files[0])
    }

    /// Standard error as it is now.
    pub fn stderr_now(&self) -> String {
        read(&self.files[1])
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, status, .. } = self;
        write!(out, "{command}\nstatus {status}\nstdout: {}\nstderr: {}", self.stdout_now(), self.stderr_now())
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// A command about to be run.
pub struct Cmd {
    command: Command,
    text: String,
    scratch: PathBuf,
    stdio: [Option<Stdio>; 3],
}

impl Cmd {
    /// A command whose output goes to files in `scratch`; its standard input is `/dev/null`.
    pub fn new<A: Into<OsString>>(scratch: &Path, words: impl IntoIterator<Item = A>) -> Self {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let text = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "XDG_RUNTIME_DIR"] {
            command.env_remove(name);
        }
        Self { command, text, scratch: scratch.into(), stdio: [None, None, None] }
    }

    /// Sets an environment variable of the command itself.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Sets the working directory of the command itself.
    pub fn cwd(mut self, path: impl AsRef<Path>) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Gives the command a standard input.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdio[0] = Some(stdin.into());
        self
    }

    /// Gives the command a standard output instead of the file.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdio[1] = Some(stdout.into());
        self
    }

    /// Gives the command a standard error instead of the file.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stdio[2] = Some(stderr.into());
        self
    }

    /// Starts it.
    #[track_caller]
    pub fn spawn(mut self) -> Running {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let files = ["out", "err"].map(|name| self.scratch.join(format!("{name}-{number}")));
        let [stdin, stdout, stderr] = self.stdio;
        let open = |path: &Path| Stdio::from(File::create(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        self.command.stdin(stdin.unwrap_or_else(Stdio::null));
        self.command.stdout(stdout.unwrap_or_else(|| open(&files[0])));
        self.command.stderr(stderr.unwrap_or_else(|| open(&files[1])));
        let child = self.command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.text));
        Running { child: Some(child), command: self.text, files }
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn output(self) -> Output {
        self.spawn().wait()
    }
}

/// A command that runs; killed when it is dropped.
pub struct Running {
    child: Option<Child>,
    command: String,
    files: [PathBuf; 2],
}

impl Running {
    /// Its process number.
    pub fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, |child| child.id() as i32)
    }

    /// Standard output so far.
    pub fn stdout_now(&self) -> String {
        read(&self.files[0])
    }

    /// Standard error so far.
    pub fn stderr_now(&self) -> String {
        read(&self.files[1])
    }

    /// Waits until its standard output holds `words`.
    #[track_caller]
    pub fn until_prints(&self, words: &str) {
        let what = format!("{words:?} from {}", self.command);
        host::eventually(&what, || self.stdout_now().contains(words).then_some(()));
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        host::signal(self.pid(), signal);
    }

    /// Waits for its end; after the time limit it is killed and the test fails with all that it said.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let Some(mut child) = self.child.take() else { unreachable!("a command is waited for once") };
        let deadline = Instant::now() + host::limit();
        let mut pause = Duration::from_micros(500);
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(10));
                }
                other => {
                    let pid = child.id() as i32;
                    let place = format!("{} in {}", host::proc_status(pid, "State"), host::proc(pid, "wchan"));
                    let _ = child.kill();
                    let _ = child.wait();
                    let [stdout, stderr] = [self.stdout_now(), self.stderr_now()];
                    panic!("{} hangs ({other:?}, {place})\nstdout: {stdout}\nstderr: {stderr}", self.command);
                }
            }
        };
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        Output {
            status,
            stdout: self.stdout_now(),
            stderr: self.stderr_now(),
            command: std::mem::take(&mut self.command),
            files: self.files.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
