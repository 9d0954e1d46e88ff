//! `events`

use super::arguments::{self, Argument, Arguments};
use super::{Command, Global};
use crate::cgroup::oom::Event;
use crate::container::Container;
use crate::container::state::Status;
use crate::error::{Error, Result};
use crate::log;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// `events`
#[derive(Debug, Default)]
pub struct Events {
    interval: Duration,
    stats: bool,
    follow: bool,
    id: String,
}

impl Arguments for Events {
    const NAME: &'static str = "events";
    const ABOUT: &'static str = "Print what a container uses, and when memory runs out in it";
    const ARGUMENTS: &'static [Argument<Self>] = &[
        Argument::default(
            "--interval <DURATION>",
            "5s",
            |it| &mut it.interval,
            "Time between two reports, in Go's form (5s, 1m30s, 500ms)",
        ),
        Argument::option("--stats", |it| &mut it.stats, "Print one report and end"),
        Argument::option("--follow", |it| &mut it.follow, "Print reports until the container ends (the default)"),
        Argument::id(|it| &mut it.id),
    ];

    fn contradiction(&self) -> Option<&'static str> {
        (self.stats && self.follow).then_some("'--stats' and '--follow' exclude each other")
    }
}

impl Command for Events {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        self.watch(global)?;
        Ok(0)
    }
}

impl Events {
    /// Prints reports until the container ends.
    fn watch(&self, global: &Global) -> Result<()> {
        let container = Container::open(&global.store()?, &self.id)?;
        container.require(&[Status::Running, Status::Paused, Status::Created], "watch")?;
        let cgroup = container.cgroup()?;
        let report = || emit(&json!({"type": "stats", "id": self.id, "data": cgroup.stats()?}));
        if self.stats {
            return report().map(drop);
        }
        let init = container.init()?;
        let mut watch = match cgroup.oom_watch() {
            Ok(watch) => Some(watch),
            Err(error) => {
                log::warn(format!("{}: the end of its memory will not be reported: {error}", self.id));
                None
            }
        };
        let mut next = Instant::now();
        loop {
            if Instant::now() >= next {
                if !report()? {
                    return Ok(());
                }
                next = Instant::now() + self.interval;
            }
            let left = next.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            let mut fds = vec![PollFd::new(init.as_fd(), PollFlags::POLLIN)];
            fds.extend(watch.as_ref().map(|watch| PollFd::new(watch.as_fd(), PollFlags::POLLIN)));
            match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::sys("poll", errno)),
            }
            let ended = fds.first().and_then(PollFd::any).unwrap_or(false);
            // The kernel may tell of the end before it tells of its cause.
            let noticed = ended || fds.get(1).and_then(PollFd::any).unwrap_or(false);
            if noticed && let Some(events) = &mut watch {
                match events.read()? {
                    Event::Oom if !emit(&json!({"type": "oom", "id": self.id}))? => return Ok(()),
                    Event::Oom | Event::Nothing => {}
                    Event::Gone => watch = None,
                }
            }
            if ended {
                return Ok(());
            }
        }
    }
}

/// Prints an event on a line of its own; `false` when nobody reads any more.
fn emit(event: &Value) -> Result<bool> {
    match std::io::stdout().write_all(format!("{event}\n").as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::io("write to standard output", &error)),
    }
}

impl arguments::Value for Duration {
    fn set(&mut self, word: &OsStr) -> Result<(), String> {
        *self = word.to_str().and_then(parse_duration).ok_or("a duration such as 5s, 1m30s or 500ms, at least 1ms")?;
        Ok(())
    }
}

/// Go's duration: numbers with units.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = tail;
    }
    Duration::try_from_secs_f64(total).ok().filter(|duration| *duration >= Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(parse_duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        for bad in ["", "5", "s", "0s", "-5s", "5x", "1..5s"] {
            assert!(parse_duration(bad).is_none(), "{bad}");
        }
    }
}
