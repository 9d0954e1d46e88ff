//! Every form of command line that engines were seen to use (`tests/data/calls`) is understood.

use super::{Cli, arguments};
use clap::{ArgMatches, CommandFactory};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// The callers and what they called, by file.
fn recordings() -> Vec<(String, Vec<String>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/calls");
    let read = |entry: fs::DirEntry| {
        let lines = fs::read_to_string(entry.path()).unwrap().lines().map(str::to_owned).collect();
        (entry.file_name().into_string().unwrap(), lines)
    };
    fs::read_dir(directory).unwrap().map(|entry| read(entry.unwrap())).collect()
}

fn parse(line: &str) -> Result<ArgMatches, clap::Error> {
    let args = ["berth"].into_iter().chain(line.split(' ')).map(OsString::from);
    Cli::command().try_get_matches_from(arguments::normalize(args))
}

/// The container that a command is about.
fn container(matches: &ArgMatches) -> Option<&String> {
    matches.subcommand().and_then(|(_, command)| command.try_get_one("id").ok().flatten())
}

#[test]
fn every_recorded_command_line_is_understood() {
    let mut count = 0;
    for (caller, lines) in recordings() {
        for line in lines {
            count += 1;
            match parse(&line) {
                // An option that was not known would have been taken for the container or for its program.
                Ok(matches) => {
                    let id = line.contains("@ID@").then_some("@ID@");
                    assert_eq!(container(&matches).map(String::as_str), id, "{caller}: {line}");
                }
                Err(error) => assert!(!error.use_stderr(), "{caller}: {line}: {error}"),
            }
        }
    }
    assert!(count >= 30, "{count} command lines");
}

#[test]
fn the_check_can_fail() {
    assert!(parse("--nonsense create @ID@").is_err());
    assert!(parse("create --nonsense @ID@").is_err());
    assert!(parse("kill @ID@ 9 9").is_err());
}
