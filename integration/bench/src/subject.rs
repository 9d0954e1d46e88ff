//! What is measured: runtimes and the floor.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A runtime under its name in the tables, or the floor.
#[derive(Clone, Debug)]
pub struct Subject {
    /// As in the tables: `berth`, `crun static` …
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// The floor takes no bundle and no `--root`.
    pub is_floor: bool,
    root: PathBuf,
}

impl Subject {
    /// A runtime, given as `NAME=PATH`; its `--root` is made in `work`.
    pub fn parse(argument: &str, work: &Path) -> Result<Self, String> {
        let (name, program) =
            argument.split_once('=').ok_or_else(|| format!("{argument}: a runtime is given as NAME=PATH"))?;
        let root = work.join("roots").join(name.replace(' ', "-"));
        std::fs::create_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        Ok(Subject { name: name.to_owned(), program: PathBuf::from(program), is_floor: name == "floor", root })
    }

    /// The program with `--root`, ready for a command's name.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare();
        command.arg("--root").arg(&self.root).args(arguments);
        command
    }

    /// The program alone, with the small environment that all subjects get.
    pub fn bare(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Whether the name is that of a berth.
    pub fn is_berth(&self) -> bool {
        self.name.starts_with("berth")
    }
}
