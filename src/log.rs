//! `--log`, `--log-format`, `--debug`: one line per event, in logrus' shapes, which engines parse.
//!
//! Errors also go to standard error as plain text, unless the log itself is standard error.

use crate::error::{Error, Result};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Shape of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=error msg="…"`
    #[default]
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`
    Json,
}

struct Log {
    file: Option<File>,
    format: Format,
    debug: bool,
}

static LOG: OnceLock<Log> = OnceLock::new();
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Opens the log; later calls have no effect.
///
/// # Errors
/// When `path` cannot be opened for appending.
pub fn init(path: Option<&Path>, format: Format, debug: bool) -> Result<()> {
    let open = |path: &Path| {
        // O_NONBLOCK: a FIFO without a reader is an error, not a wait without end.
        let flags = nix::libc::O_CLOEXEC | nix::libc::O_NONBLOCK;
        File::options()
            .append(true)
            .create(true)
            .mode(0o644)
            .custom_flags(flags)
            .open(path)
            .map_err(|error| Error::io("open", &error).context(format!("--log {}", path.display())))
    };
    let file = path.filter(|path| !path.as_os_str().is_empty()).map(open).transpose()?;
    let _ = LOG.set(Log { file, format, debug });
    Ok(())
}

/// The descriptor of the log file, for a process that closes all others.
pub fn descriptor() -> Option<BorrowedFd<'static>> {
    LOG.get().and_then(|log| log.file.as_ref()).map(AsFd::as_fd)
}

/// Ends logging in this process, which is about to close the descriptor.
pub fn close() {
    CLOSED.store(true, Ordering::Relaxed);
}

/// Whether `--debug` was given.
pub fn debug_enabled() -> bool {
    LOG.get().is_some_and(|log| log.debug)
}

/// Logs what helps a developer, with `--debug`; the message is made only then.
pub fn debug<M: fmt::Display>(message: impl FnOnce() -> M) {
    if debug_enabled() {
        write("debug", &message().to_string());
    }
}

/// Logs something that a user should know and that does not fail the operation.
pub fn warn(message: impl fmt::Display) {
    write("warning", &message.to_string());
}

/// Reports the error that ends this process: to the log, and in plain words to standard error.
pub fn fatal(error: &Error) {
    let message = error.to_string();
    write("error", &message);
    if LOG.get().is_some_and(|log| log.file.is_some()) {
        let _ = writeln!(std::io::stderr(), "{message}");
    }
}

fn write(level: &str, message: &str) {
    if CLOSED.load(Ordering::Relaxed) {
        return;
    }
    let fallback = Log { file: None, format: Format::Text, debug: false };
    let log = LOG.get().unwrap_or(&fallback);
    let line = line(log.format, level, message, SystemTime::now());
    // Nobody is left to tell when the log itself cannot be written. One write per line keeps lines whole.
    let _ = match &log.file {
        Some(file) => (&mut &*file).write_all(line.as_bytes()),
        None => std::io::stderr().write_all(line.as_bytes()),
    };
}

fn line(format: Format, level: &str, message: &str, time: SystemTime) -> String {
    let time = rfc3339(time);
    match format {
        Format::Json => {
            let message = serde_json::Value::from(message);
            format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"}}\n")
        }
        Format::Text => format!("time=\"{time}\" level={level} msg={}\n", serde_json::Value::from(message)),
    }
}

/// A point in time as RFC 3339 in UTC with seconds, `2026-11-21T12:30:00Z`.
pub fn rfc3339(time: SystemTime) -> String {
    let (date, clock) = civil(time);
    format!("{date}T{clock}Z")
}

/// A point in time as RFC 3339 in UTC with nanoseconds, as Go prints a container's time of creation.
pub fn rfc3339_nanos(time: SystemTime) -> String {
    let (date, clock) = civil(time);
    let nanos = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).subsec_nanos();
    format!("{date}T{clock}.{nanos:09}Z")
}

fn civil(time: SystemTime) -> (String, String) {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a civil date: Howard Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let date = format!("{year:04}-{month:02}-{day:02}");
    (date, format!("{:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, 5)
    }

    #[test]
    fn time_is_rfc3339() {
        assert_eq!(rfc3339(at(0)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(at(951_782_400)), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339_nanos(at(1_795_264_496)), "2026-11-21T12:34:56.000000005Z");
    }

    #[test]
    fn json_lines_are_json_whatever_the_message() {
        let line = line(Format::Json, "error", "a \"b\"\n\u{1}", at(0));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "error");
        assert_eq!(value["msg"], "a \"b\"\n\u{1}");
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn text_lines_are_logrus_lines() {
        assert_eq!(
            line(Format::Text, "warning", "m", at(0)),
            "time=\"1970-01-01T00:00:00Z\" level=warning msg=\"m\"\n"
        );
    }
}
