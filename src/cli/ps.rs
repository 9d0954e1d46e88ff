//! `ps`

use super::arguments::{Argument, Arguments};
use super::list::Format;
use super::{Command, Global, print};
use crate::container::Container;
use crate::error::{During, Error, Result};
use std::process;

/// `ps`
#[derive(Debug, Default)]
pub struct Ps {
    format: Format,
    id: String,
    options: Vec<String>,
}

impl Arguments for Ps {
    const NAME: &'static str = "ps";
    const ABOUT: &'static str = "List the processes of a container";
    const ARGUMENTS: &'static [Argument<Self>] = &[
        Argument::default("-f, --format <FORMAT>", "table", |it| &mut it.format, "Shape of the list"),
        Argument::id(|it| &mut it.id),
        Argument::rest("[PS-OPTION]...", |it| &mut it.options, "Options for ps(1)"),
    ];
}

impl Command for Ps {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        let container = Container::open(&global.store()?, &self.id)?;
        let pids: Vec<i32> = container.cgroup()?.pids()?.into_iter().map(nix::unistd::Pid::as_raw).collect();
        if self.format == Format::Json {
            print(&format!("{}\n", serde_json::json!(pids)))?;
            return Ok(0);
        }
        let options = if self.options.is_empty() { vec!["-ef".to_owned()] } else { self.options };
        let output = process::Command::new("ps").args(&options).output().during(|| "execute ps")?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(Error::new(format!("ps {}: {}", options.join(" "), words.trim())));
        }
        print(&filter(&String::from_utf8_lossy(&output.stdout), &pids)?)?;
        Ok(0)
    }
}

/// The header and the lines whose column PID is one of `pids`.
fn filter(text: &str, pids: &[i32]) -> Result<String> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_ascii_whitespace().position(|name| name == "PID");
    let column =
        column.ok_or_else(|| Error::new("the output of ps has no column PID").hint("Choose other ps options."))?;
    let ours = |line: &&str| {
        let pid = line.split_ascii_whitespace().nth(column).and_then(|field| field.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    Ok(std::iter::once(header).chain(lines.filter(ours)).map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_processes_are_shown() {
        let text = "UID   PID CMD\nroot   1 init\nroot  77 sh 1\n";
        assert_eq!(filter(text, &[77]).unwrap(), "UID   PID CMD\nroot  77 sh 1\n");
        assert!(filter("CMD\nx\n", &[1]).is_err());
    }
}
