//! The command line: one file per command, each its arguments and the one call that it makes.

pub mod features;
pub mod spec;

use std::process::ExitCode;

/// Parses the command line, runs the command and returns its exit status.
pub fn run() -> ExitCode {
    ExitCode::FAILURE
}
