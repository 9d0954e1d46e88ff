//! Runs commands and takes their time, from before `fork` to after `wait`.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

/// What a failed command said, in one line.
pub type Failure = String;

/// Which time a clock takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// From before `fork` to after `wait`.
    Wall,
    /// The processor time of the command and of what it waited for: for a machine that is not quiet.
    Processor,
}

/// A stopwatch, with a watchdog for commands that hang.
pub struct Clock {
    takes: Takes,
    limit: Duration,
    messages: PathBuf,
    watched: Arc<Mutex<Option<(Pid, Instant)>>>,
}

impl Clock {
    /// `directory` holds the file that the commands' standard error goes to. No command may take longer than `limit`:
    /// youki, for one, can miss the end of its container and wait for ever.
    pub fn new(directory: &Path, takes: Takes, limit: Duration) -> Self {
        let watched = Arc::new(Mutex::new(None::<(Pid, Instant)>));
        let seen = Arc::clone(&watched);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(500));
                if let Ok(watched) = seen.lock()
                    && let Some((pid, since)) = *watched
                    && since.elapsed() > limit
                {
                    // It may have ended just now, which is as good.
                    let _ = kill(pid, Signal::SIGKILL);
                }
            }
        });
        Clock { takes, limit, messages: directory.join("messages"), watched }
    }

    /// Run a command to its end; the milliseconds that it took.
    pub fn time(&self, command: &mut Command) -> Result<f64, Failure> {
        self.time_to(command, Stdio::null())
    }

    /// As `time`, with standard output to a file or to nowhere.
    pub fn time_to(&self, command: &mut Command, output: Stdio) -> Result<f64, Failure> {
        let messages = File::create(&self.messages).map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(output).stderr(messages);

        let used = processor_time();
        let start = Instant::now();
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", name(command)))?;
        self.watch(Some((Pid::from_raw(child.id() as i32), start)));
        let status = child.wait().map_err(|error| error.to_string());
        let taken = start.elapsed();
        self.watch(None);

        let status = status?;
        if status.success() {
            return Ok(match self.takes {
                Takes::Wall => taken.as_secs_f64() * 1e3,
                Takes::Processor => processor_time() - used,
            });
        }
        if status.signal() == Some(Signal::SIGKILL as i32) && taken > self.limit {
            return Err(format!("{} hung", name(command)));
        }
        let messages = std::fs::read_to_string(&self.messages).unwrap_or_default();
        let last = messages.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        Err(format!("{}: {status}: {last}", name(command)))
    }

    fn watch(&self, what: Option<(Pid, Instant)>) {
        if let Ok(mut watched) = self.watched.lock() {
            *watched = what;
        }
    }
}

/// Milliseconds that all children so far have used.
fn processor_time() -> f64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0.0, |usage| {
        (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e3
    })
}

/// The command's words without its options' values that say nothing.
fn name(command: &Command) -> String {
    let mut words = vec![Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy()];
    let mut arguments = command.get_args();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--root" | "--bundle" | "--pid-file" | "--process") => drop(arguments.next()),
            _ => words.push(argument.to_string_lossy()),
        }
    }
    words.join(" ")
}
