//! `ps`

use super::list::Format;
use super::{Global, print};
use crate::container::Container;
use crate::error::{During, Error, Result};
use std::process::Command;

/// `ps`
#[derive(Debug, clap::Args)]
pub struct Ps {
    /// Shape of the list
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: Format,
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
    /// Options for ps(1)
    #[arg(value_name = "PS-OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

impl Ps {
    /// Prints the container's processes.
    pub fn run(self, global: &Global) -> Result<()> {
        let container = Container::open(&global.store()?, &self.id)?;
        let pids: Vec<i32> = container.cgroup()?.pids()?.into_iter().map(nix::unistd::Pid::as_raw).collect();
        if self.format == Format::Json {
            return print(&format!("{}\n", serde_json::json!(pids)));
        }
        let options = if self.options.is_empty() { vec!["-ef".to_owned()] } else { self.options };
        let output = Command::new("ps").args(&options).output().during(|| "execute ps")?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(Error::new(format!("ps {}: {}", options.join(" "), words.trim())));
        }
        print(&filter(&String::from_utf8_lossy(&output.stdout), &pids)?)
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
