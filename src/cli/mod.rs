//! The command line: one file per command, each its arguments and the one call that it makes.
//!
//! Commands, flags and exit statuses are runc's, so that engines need no change.

mod arguments;
mod create;
mod delete;
mod events;
mod exec;
pub mod features;
mod help;
mod kill;
mod list;
mod pause;
mod plan;
mod ps;
#[cfg(test)]
mod recorded;
pub mod spec;
mod start;
mod state;
mod update;

use crate::cgroup::Driver;
use crate::container::seal;
use crate::container::store::Store;
use crate::error::{Error, FAILURE, Result};
use crate::log;
use crate::plan::Options;
use crate::sys::entry;
use arguments::{Argument, Arguments, Choice, Stop, Table};
use help::Row;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A command with its arguments.
trait Command: Table + Debug {
    /// Does it; the exit status of berth unless it fails.
    fn run(self: Box<Self>, global: &Global) -> Result<u8>;
}

/// What is known of a command before its arguments are read.
struct Entry {
    name: &'static str,
    about: &'static str,
    new: fn() -> Box<dyn Command>,
}

const fn entry<C: Command + Arguments>() -> Entry {
    Entry { name: C::NAME, about: C::ABOUT, new: || Box::new(C::default()) }
}

static COMMANDS: [Entry; 16] = [
    entry::<create::Create>(),
    entry::<delete::Delete>(),
    entry::<events::Events>(),
    entry::<exec::Exec>(),
    entry::<features::Features>(),
    entry::<kill::Kill>(),
    entry::<list::List>(),
    entry::<pause::Pause>(),
    entry::<plan::Plan>(),
    entry::<ps::Ps>(),
    entry::<pause::Resume>(),
    entry::<create::Run>(),
    entry::<spec::Spec>(),
    entry::<start::Start>(),
    entry::<state::State>(),
    entry::<update::Update>(),
];

/// What the caller can tell from the exit status.
const EXIT_STATUS: &str = "\
Exit status: that of the program for run and exec, 128 and the signal's number if a signal ended it.
Failures of berth itself are 1, in exec 255.";

/// Options that come before the command, and the command.
#[derive(Debug, Default)]
struct Global {
    root: Option<PathBuf>,
    log: OsString,
    log_format: log::Format,
    debug: bool,
    systemd_cgroup: bool,
    cgroup_manager: Option<Driver>,
    rootless: Rootless,
    criu: Option<PathBuf>,
    version: bool,
    command: Vec<OsString>,
}

impl Arguments for Global {
    const NAME: &'static str = "";
    const ABOUT: &'static str = "An OCI container runtime";
    const ARGUMENTS: &'static [Argument<Self>] = &[
        Argument::option(
            "--root <DIR>",
            |it| &mut it.root,
            "Directory of the containers' state [default: /run/berth; $XDG_RUNTIME_DIR/berth unless root]",
        ),
        Argument::option("--log <FILE>", |it| &mut it.log, "Write log messages to this file instead of standard error"),
        Argument::default("--log-format <FORMAT>", "text", |it| &mut it.log_format, "Shape of log messages"),
        Argument::option("--debug", |it| &mut it.debug, "Log more, for finding a fault"),
        Argument::option(
            "--systemd-cgroup",
            |it| &mut it.systemd_cgroup,
            "Let systemd make the cgroups (linux.cgroupsPath is then slice:prefix:name)",
        ),
        Argument::option(
            "--cgroup-manager <MANAGER>",
            |it| &mut it.cgroup_manager,
            "Who makes the cgroups; crun's option, which Podman uses",
        ),
        Argument::default(
            "--rootless <WHEN>",
            "auto",
            |it| &mut it.rootless,
            "Whether a container may run without a cgroup of its own",
        ),
        Argument::hidden("--criu <PATH>", |it| &mut it.criu, "Accepted for old callers, without effect"),
        Argument::option("-v, --version", |it| &mut it.version, "Print the versions of berth and of the specification"),
        Argument::rest("<COMMAND>", |it| &mut it.command, "What to do, with its arguments"),
    ];

    fn contradiction(&self) -> Option<&'static str> {
        let both = self.systemd_cgroup && self.cgroup_manager.is_some();
        both.then_some("'--systemd-cgroup' and '--cgroup-manager' exclude each other")
    }

    fn page(&self) -> String {
        let help = Row::new("help", "Print this, or the help of a command");
        let row = |command: &Entry| Row::new(command.name, command.about.lines().next().unwrap_or_default());
        let commands = help::section("Commands", COMMANDS.iter().map(row).chain([help]).collect());
        format!("{}\n\n{}{commands}{}\n{EXIT_STATUS}\n", Self::ABOUT, help::usage(self), help::options(self))
    }
}

impl Choice for log::Format {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Text, "text", "time=\"…\" level=error msg=\"…\""),
        (Self::Json, "json", r#"{"level":"error","msg":"…","time":"…"}"#),
    ];
}

impl Choice for Driver {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Cgroupfs, "cgroupfs", "berth itself, by the files of the cgroup file systems"),
        (Self::Systemd, "systemd", "systemd, asked over the bus"),
        (Self::Disabled, "disabled", "Nobody: the container stays in its caller's cgroup and cannot be limited"),
    ];
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Rootless {
    True,
    False,
    #[default]
    Auto,
}

impl Choice for Rootless {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::True, "true", "It may"),
        (Self::False, "false", "It may not"),
        (Self::Auto, "auto", "It may unless root runs berth"),
    ];
}

impl Global {
    fn store(&self) -> Result<Store> {
        Store::new(self.root.clone())
    }

    fn options(&self, store: &Store) -> Options {
        let rootless = match self.rootless {
            Rootless::True => true,
            Rootless::False => false,
            Rootless::Auto => crate::caller::is_a_user(),
        };
        Options {
            driver: if self.systemd_cgroup { Driver::Systemd } else { self.cgroup_manager.unwrap_or_default() },
            rootless,
            seccomp_cache: Some(crate::container::seccomp_cache(store)),
            ..Options::default()
        }
    }
}

/// Runs the command of the command line and returns its exit status.
pub fn run() -> u8 {
    let words = entry::arguments();
    if words.iter().any(|word| word == "create" || word == "run" || word == "exec") {
        // Before anything else: what comes now may be seen from inside of a container.
        if let Err(error) = seal::ensure() {
            log::fatal(&error);
            return FAILURE;
        }
    }
    entry::set_signals();
    let (global, command) = match parse(words.into_iter().skip(1)) {
        Ok(parsed) => parsed,
        Err(Stop::Help(text)) => {
            let _ = print(&text);
            return 0;
        }
        Err(Stop::Wrong(text)) => {
            let _ = std::io::stderr().write_all(text.as_bytes());
            return FAILURE;
        }
    };
    let result = log::init(Some(Path::new(&global.log)), global.log_format, global.debug).and_then(|()| {
        log::debug(|| format!("called with {:?}", entry::arguments().get(1..).unwrap_or_default()));
        command.run(&global)
    });
    result.unwrap_or_else(|error| {
        log::fatal(&error);
        error.exit_code()
    })
}

fn parse(words: impl Iterator<Item = OsString>) -> Result<(Global, Box<dyn Command>), Stop> {
    let mut global = Global::default();
    arguments::parse(&mut global, words)?;
    if global.version {
        return Err(Stop::Help(format!("berth {VERSION}\n")));
    }
    let mut words = std::mem::take(&mut global.command).into_iter();
    match words.next() {
        None => Err(Stop::Wrong(format!("{}\nerror: a command is missing\n", global.help()))),
        Some(name) if name == "help" => Err(match words.next() {
            None => Stop::Help(global.help()),
            Some(name) => find(&name).map_or_else(|stop| stop, |command| Stop::Help((command.new)().help())),
        }),
        Some(name) => {
            let mut command = (find(&name)?.new)();
            arguments::parse(&mut *command, words)?;
            Ok((global, command))
        }
    }
}

fn find(name: &OsStr) -> Result<&'static Entry, Stop> {
    COMMANDS.iter().find(|command| name == command.name).ok_or_else(|| {
        let names = COMMANDS.iter().map(|command| command.name);
        let hint = help::did_you_mean("", &name.to_string_lossy(), names);
        help::wrong(&Global::default(), &format!("unknown command {name:?}{hint}"))
    })
}

/// What `--version` prints after the name: a line each for berth and the specification. Docker looks for the word
/// `version`, and calls what lacks it an unknown format.
const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0");

/// Prints to standard output; a reader who has gone is no failure.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("write to standard output", &error))
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON with indents, as runc does.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::new(error.to_string()))?;
    print(&format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn words(line: &str) -> impl Iterator<Item = OsString> {
        line.split_whitespace().map(OsString::from)
    }

    fn complaint(line: &str) -> String {
        match parse(words(line)) {
            Err(Stop::Wrong(text)) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// Every row of a table fills a field of its own, under names of its own.
    fn check_table<C: Arguments>() {
        let texts = C::default().texts();
        let places = texts.iter().filter(|text| !text.is_option()).map(|_| "1".to_owned());
        let with = |option: Option<String>| {
            let mut command = C::default();
            let words = option.into_iter().chain(places.clone()).map(OsString::from);
            arguments::parse(&mut command, words).map(|()| command)
        };
        let mut outcomes = BTreeSet::from([format!("{:?}", with(None).unwrap())]);
        let mut names = BTreeSet::from(["help", "h"].map(str::to_owned));
        for option in texts.iter().filter(|text| text.is_option()) {
            let long = option.long().unwrap();
            let outcome = match option.has_value() {
                false => with(Some(format!("--{long}"))).ok(),
                true => {
                    let values = ["7", "1m", "json", "disabled", "true"];
                    values.iter().find_map(|value| with(Some(format!("--{long}={value}"))).ok())
                }
            };
            let outcome = outcome.unwrap_or_else(|| panic!("{} {} is never accepted", C::NAME, option.name));
            assert!(outcomes.insert(format!("{outcome:?}")), "{} {}: {outcome:?}", C::NAME, option.name);
            assert!(names.insert(long.into()), "{} {}", C::NAME, option.name);
            assert!(option.letter().is_none_or(|letter| names.insert(letter.into())), "{} {}", C::NAME, option.name);
        }
    }

    #[test]
    fn every_option_has_a_field_and_names_of_its_own() {
        check_table::<Global>();
        check_table::<create::Create>();
        check_table::<create::Run>();
        check_table::<delete::Delete>();
        check_table::<events::Events>();
        check_table::<exec::Exec>();
        check_table::<features::Features>();
        check_table::<kill::Kill>();
        check_table::<list::List>();
        check_table::<pause::Pause>();
        check_table::<pause::Resume>();
        check_table::<plan::Plan>();
        check_table::<ps::Ps>();
        check_table::<spec::Spec>();
        check_table::<start::Start>();
        check_table::<state::State>();
        check_table::<update::Update>();
    }

    #[test]
    fn global_options_come_before_the_command() {
        let (global, command) = parse(words("-root=/r --log= --log-format json --criu /c state c")).unwrap();
        assert_eq!((global.root, global.log_format), (Some("/r".into()), log::Format::Json));
        assert_eq!(format!("{command:?}"), "State { id: \"c\" }");
        assert!(complaint("state --debug c").contains("belongs before the command"));
        assert!(complaint("--systemd-cgroup --cgroup-manager systemd list").contains("exclude each other"));
    }

    #[test]
    fn a_signal_may_have_a_dash() {
        let (_, command) = parse(words("kill c -9 --all")).unwrap();
        assert_eq!(format!("{command:?}"), "Kill { all: true, id: \"c\", signal: \"-9\" }");
    }

    #[test]
    fn commands_that_do_not_exist_are_named() {
        assert!(complaint("stat c").starts_with("error: unknown command \"stat\". Did you mean 'start' or 'state'?\n"));
        assert!(complaint("help nonsense").starts_with("error: unknown command \"nonsense\"\n"));
        for line in ["", "--debug"] {
            assert_eq!(complaint(line), format!("{}\nerror: a command is missing\n", Global::default().help()));
        }
    }

    #[test]
    fn help_is_found_in_both_ways() {
        for (line, text) in [
            ("help", Global::default().help()),
            ("--debug -h", Global::default().help()),
            ("help kill", kill::Kill::default().help()),
            ("kill --help", kill::Kill::default().help()),
        ] {
            assert_eq!(parse(words(line)).err(), Some(Stop::Help(text)), "{line}");
        }
        for command in &COMMANDS {
            assert!(Global::default().help().contains(&format!("\n  {} ", command.name)), "{}", command.name);
        }
    }
}
