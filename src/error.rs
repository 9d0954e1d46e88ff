//! The one error type: what was tried, on what, why it failed and what helps.
//!
//! An error is made where the failure happens, gets context on its way up and is printed once, at the top. The
//! container's init sends the very same value to its parent over a socket, so that a caller reads
//! `mounts[3] /sys: fsmount: EPERM …` and never "init exited with status 6".

use nix::errno::Errno;
use std::borrow::Cow;
use std::fmt;

/// Result of everything in berth that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit status of berth for its own failures, as runc's.
pub const FAILURE: u8 = 1;
/// Exit status of `exec` for failures of the runtime itself, as runc's.
pub const EXEC_FAILURE: u8 = 255;

/// A failed operation with its context.
///
/// Printed as `outer context: inner context: what: system error. Hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Field of `config.json`, path or step, innermost first.
    context: Vec<Cow<'static, str>>,
    what: Cow<'static, str>,
    errno: Option<Errno>,
    hint: Option<Cow<'static, str>>,
    code: u8,
}

impl Error {
    /// A failure that no system call reported.
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self { context: Vec::new(), what: what.into(), errno: None, hint: None, code: FAILURE }
    }

    /// A system call or other operation `what` that failed with `errno`.
    pub fn sys(what: impl Into<Cow<'static, str>>, errno: Errno) -> Self {
        Self { errno: Some(errno), ..Self::new(what) }
    }

    /// An operation `what` of the standard library that failed.
    pub fn io(what: impl Into<Cow<'static, str>>, error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::sys(what, Errno::from_raw(errno)),
            None => Self::new(format!("{}: {error}", what.into())),
        }
    }

    /// Names what the failed operation was part of: a field, a path, a step.
    #[must_use]
    pub fn context(mut self, context: impl Into<Cow<'static, str>>) -> Self {
        self.context.push(context.into());
        self
    }

    /// Says what the user can do about it; a sentence. The innermost hint, the most precise one, is kept.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Sets the exit status of the process when this error ends it.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The error number of the system call that failed, if one did.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// The exit status for this error.
    pub fn exit_code(&self) -> u8 {
        self.code
    }

    /// Bytes for a socket; see [`Error::decode`].
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.code];
        bytes.extend((self.errno.map_or(0, |errno| errno as i32)).to_le_bytes());
        let mut put = |text: &str| {
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend(text.as_bytes());
        };
        put(&self.what);
        put(self.hint.as_deref().unwrap_or_default());
        self.context.iter().for_each(|text| put(text));
        bytes
    }

    /// Reads what [`Error::encode`] wrote; a damaged message is an error of its own, never a panic.
    pub fn decode(bytes: &[u8]) -> Self {
        fn text(rest: &mut &[u8]) -> Option<String> {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let (text, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            *rest = tail;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        fn parse(bytes: &[u8]) -> Option<Error> {
            let (code, rest) = bytes.split_first()?;
            let (errno, mut rest) = rest.split_first_chunk::<4>()?;
            let errno = i32::from_le_bytes(*errno);
            let what = text(&mut rest)?;
            let hint = text(&mut rest)?;
            let mut error = Error::new(what).code(*code);
            error.errno = (errno != 0).then(|| Errno::from_raw(errno));
            error.hint = (!hint.is_empty()).then(|| hint.into());
            while !rest.is_empty() {
                error = error.context(text(&mut rest)?);
            }
            Some(error)
        }
        parse(bytes).unwrap_or_else(|| Error::new("the container's init sent a damaged error message"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for context in self.context.iter().rev() {
            write!(out, "{context}: ")?;
        }
        write!(out, "{}", self.what)?;
        if let Some(errno) = self.errno {
            // The words in lower case, as Go prints them: engines search for "no such file or directory".
            write!(out, ": {} ({})", errno.desc().to_lowercase(), name(errno))?;
        }
        match &self.hint {
            Some(hint) => write!(out, ". {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// The symbolic name of an error number, `ENOENT`.
fn name(errno: Errno) -> String {
    format!("{errno:?}")
}

/// Adds context to the error of a result.
pub trait Context<T> {
    /// Names what the failed operation was part of; the text is made only when it failed.
    fn context<C: Into<Cow<'static, str>>>(self, context: impl FnOnce() -> C) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn context<C: Into<Cow<'static, str>>>(self, context: impl FnOnce() -> C) -> Result<T> {
        self.map_err(|error| error.context(context()))
    }
}

/// Turns the error number of a system call into an [`Error`].
pub trait During<T> {
    /// Names the operation that failed; the text is made only when it failed.
    fn during<C: Into<Cow<'static, str>>>(self, what: impl FnOnce() -> C) -> Result<T>;
}

impl<T> During<T> for std::result::Result<T, Errno> {
    fn during<C: Into<Cow<'static, str>>>(self, what: impl FnOnce() -> C) -> Result<T> {
        self.map_err(|errno| Error::sys(what(), errno))
    }
}

impl<T> During<T> for std::io::Result<T> {
    fn during<C: Into<Cow<'static, str>>>(self, what: impl FnOnce() -> C) -> Result<T> {
        self.map_err(|error| Error::io(what(), &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Error {
        Error::sys("fsmount", Errno::EPERM)
            .context("mounts[3] /sys (sysfs)")
            .context("c1")
            .hint("Bind-mount it.")
            .code(7)
    }

    #[test]
    fn reads_from_the_outside_to_the_inside() {
        assert_eq!(
            sample().to_string(),
            "c1: mounts[3] /sys (sysfs): fsmount: operation not permitted (EPERM). Bind-mount it."
        );
    }

    #[test]
    fn travels_over_a_socket_unchanged() {
        assert_eq!(Error::decode(&sample().encode()), sample());
    }

    #[test]
    fn a_damaged_message_is_an_error() {
        let bytes = sample().encode();
        for length in 0..bytes.len() {
            assert!(!Error::decode(&bytes[..length]).to_string().is_empty());
        }
    }
}
