//! The command line: one file per command, each its arguments and the one call that it makes.
//!
//! Commands, flags and exit statuses are runc's, so that engines need no change.

mod arguments;
mod create;
mod delete;
mod events;
mod exec;
pub mod features;
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
use crate::error::{EXEC_FAILURE, Error, FAILURE, Result};
use crate::log;
use crate::plan::Options;
use crate::sys::entry;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, ArgMatches, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// An OCI container runtime.
#[derive(Debug, Parser)]
#[command(name = "berth", version = version(), max_term_width = 100, after_help = EXIT_STATUS, disable_version_flag = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What the caller can tell from the exit status.
const EXIT_STATUS: &str = "\
Exit status: that of the program for run and exec, 128 and the signal's number if a signal ended it.
Failures of berth itself are 1, in exec 255.";

/// Options that come before the command.
#[derive(Debug, clap::Args)]
struct Global {
    /// Directory of the containers' state [default: /run/berth; $XDG_RUNTIME_DIR/berth unless root]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Write log messages to this file instead of standard error
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    log: Option<PathBuf>,
    /// Shape of log messages
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: log::Format,
    /// Log more, for finding a fault
    #[arg(long)]
    debug: bool,
    /// Let systemd make the cgroups (linux.cgroupsPath is then slice:prefix:name)
    #[arg(long)]
    systemd_cgroup: bool,
    /// Who makes the cgroups; crun's option, which Podman uses
    #[arg(long, value_enum, value_name = "MANAGER", conflicts_with = "systemd_cgroup")]
    cgroup_manager: Option<Driver>,
    /// Whether a container may run without a cgroup of its own; auto: unless root runs berth
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    rootless: Rootless,
    /// Accepted for old callers, without effect
    #[arg(long, hide = true, value_name = "PATH")]
    criu: Option<PathBuf>,
    /// Print the versions of berth and of the specification
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: (),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Rootless {
    True,
    False,
    #[default]
    Auto,
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

/// The commands: a name, its arguments, a line for `--help`. The arguments of a command are described to clap when it is
/// called: those of all together cost as much time as the rest of a short command.
macro_rules! commands {
    ($($name:literal $variant:ident $arguments:path: $about:literal)*) => {
        #[derive(Debug)]
        enum Command {
            $($variant($arguments),)*
        }

        impl Subcommand for Command {
            fn augment_subcommands(parent: clap::Command) -> clap::Command {
                $(let parent = parent.subcommand(clap::Command::new($name).about($about).defer(|command| {
                    <$arguments as clap::Args>::augment_args(command).about($about)
                }));)*
                parent
            }

            fn augment_subcommands_for_update(parent: clap::Command) -> clap::Command {
                Self::augment_subcommands(parent)
            }

            fn has_subcommand(name: &str) -> bool {
                [$($name),*].contains(&name)
            }
        }

        impl FromArgMatches for Command {
            fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
                match matches.subcommand() {
                    $(Some(($name, matches)) => <$arguments>::from_arg_matches(matches).map(Self::$variant),)*
                    _ => Err(clap::Error::new(clap::error::ErrorKind::MissingSubcommand)),
                }
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }
    };
}

commands! {
    "create" Create create::Create: "Make a container whose program waits for `start`"
    "delete" Delete delete::Delete: "Remove a container and everything that was made for it"
    "events" Events events::Events: "Print what a container uses, and when memory runs out in it"
    "exec" Exec exec::Exec: "Run another process in a container"
    "features" Features features::Features: "Print what this runtime can do"
    "kill" Kill kill::Kill: "Send a signal to a container"
    "list" List list::List: "List all containers"
    "pause" Pause pause::Pause: "Stop all processes of a container until `resume`"
    "plan" Plan plan::Plan: "Print what `create` would do with a bundle on this host, and do nothing"
    "ps" Ps ps::Ps: "List the processes of a container"
    "resume" Resume pause::Resume: "Let the processes of a paused container continue"
    "run" Run create::Run: "Make a container and run its program"
    "spec" Spec spec::Spec: "Write a config.json to begin with"
    "start" Start start::Start: "Run the program of a container that was created"
    "state" State state::State: "Print the state of a container"
    "update" Update update::Update: "Change the resource limits of a container"
}

/// Parses the command line, runs the command and returns its exit status.
pub fn run() -> u8 {
    let args: Vec<OsString> = arguments::normalize(entry::arguments().into_iter());
    if args.iter().any(|arg| arg == "create" || arg == "run" || arg == "exec") {
        // Before anything else: what comes now may be seen from inside of a container.
        if let Err(error) = seal::ensure() {
            log::fatal(&error);
            return FAILURE;
        }
    }
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { FAILURE } else { 0 };
        }
    };
    let Global { log, log_format, debug, .. } = &cli.global;
    let result = log::init(log.as_deref(), *log_format, *debug).and_then(|()| {
        log::debug(|| format!("called with {:?}", entry::arguments().get(1..).unwrap_or_default()));
        dispatch(cli)
    });
    match result {
        Ok(status) => status,
        Err(error) => {
            log::fatal(&error);
            error.exit_code()
        }
    }
}

fn parse(args: Vec<OsString>) -> std::result::Result<Cli, clap::Error> {
    let mut command = <Cli as clap::CommandFactory>::command();
    let parsed = command.try_get_matches_from_mut(args).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        std::mem::forget(matches);
        Ok(cli)
    });
    // To take the description of all options apart would cost a third of the parsing; the process ends soon.
    std::mem::forget(command);
    parsed
}

fn dispatch(cli: Cli) -> Result<u8> {
    let global = &cli.global;
    let done = |result: Result<()>| result.map(|()| 0);
    match cli.command {
        Command::Create(command) => done(command.run(global)),
        Command::Delete(command) => done(command.run(global)),
        Command::Events(command) => done(command.run(global)),
        Command::Exec(command) => command.run(global).map_err(|error| error.code(EXEC_FAILURE)),
        Command::Features(command) => done(command.run()),
        Command::Kill(command) => done(command.run(global)),
        Command::List(command) => done(command.run(global)),
        Command::Pause(command) => done(command.run(global)),
        Command::Plan(command) => done(command.run(global)),
        Command::Ps(command) => done(command.run(global)),
        Command::Resume(command) => done(command.run(global)),
        Command::Run(command) => command.run(global),
        Command::Spec(command) => done(command.run()),
        Command::Start(command) => done(command.run(global)),
        Command::State(command) => done(command.run(global)),
        Command::Update(command) => done(command.run(global)),
    }
}

/// What `--version` prints after the name: a line each for berth and the specification. Docker looks for the word
/// `version`, and calls what lacks it an unknown format.
fn version() -> &'static str {
    concat!("version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0")
}

/// Prints to standard output; a reader who has gone is no failure.
fn print(text: &str) -> Result<()> {
    use std::io::Write;
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
