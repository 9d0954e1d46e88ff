//! Every form of command line that engines were seen to use (`tests/data/calls`) is understood.

use super::Command;
use super::arguments::Stop;
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

fn parse(line: &str) -> Result<Box<dyn Command>, Stop> {
    super::parse(line.split(' ').map(OsString::from)).map(|(_, command)| command)
}

#[test]
fn every_recorded_command_line_is_understood() {
    let mut count = 0;
    for (caller, lines) in recordings() {
        for line in lines {
            count += 1;
            match parse(&line) {
                // An option that was not known would have been taken for the container or for its program.
                Ok(command) => {
                    let found = format!("{command:?}").contains("id: \"@ID@\"");
                    assert_eq!(found, line.contains("@ID@"), "{caller}: {line}: {command:?}");
                }
                Err(stop) => assert!(matches!(stop, Stop::Help(_)), "{caller}: {line}: {stop:?}"),
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
