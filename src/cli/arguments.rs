//! The words of a command line, read by the tables that also make `--help`.
//!
//! A table has a row for each option and positional argument: its name, the field of the command that it fills, and what
//! it is for. The tables are constants: clap, which builds its description anew for every call, took 100 µs for that,
//! a quarter of a `state`.

use super::help;
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What a command can be told.
pub trait Arguments: Default + fmt::Debug + 'static {
    /// The command as it is called.
    const NAME: &'static str;
    /// What it does: a line, perhaps with more below it.
    const ABOUT: &'static str;
    /// Options in the order of `--help`, then the others in the order of the command line.
    const ARGUMENTS: &'static [Argument<Self>] = &[];

    /// Says which arguments exclude each other, if they do.
    fn contradiction(&self) -> Option<&'static str> {
        None
    }

    /// What `--help` prints.
    fn page(&self) -> String {
        help::page(self)
    }
}

/// An argument: what it is called, and the field for its value.
pub struct Argument<T> {
    text: Text,
    field: fn(&mut T) -> &mut dyn Value,
}

/// An argument without the type of its command.
pub struct Text {
    /// As in `--help`: `--root <DIR>`, `-f, --force`, `<ID>`, `[COMMAND]...`
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The value that it has without being given.
    pub default: Option<&'static str>,
    /// Where it belongs.
    pub kind: Kind,
}

/// How an argument is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By its name.
    Option,
    /// By its name, which `--help` leaves out.
    Hidden,
    /// By its place, where one must be.
    Required,
    /// By its place.
    Optional,
    /// All words from its place on, none of which is an option of this command.
    Rest,
}

type Field<T> = fn(&mut T) -> &mut dyn Value;

impl<T> Argument<T> {
    const fn new(kind: Kind, name: &'static str, field: Field<T>, about: &'static str) -> Self {
        Self { text: Text { name, about, default: None, kind }, field }
    }

    /// An option. Given twice, the last one counts, as with runc.
    pub const fn option(name: &'static str, field: Field<T>, about: &'static str) -> Self {
        Self::new(Kind::Option, name, field, about)
    }

    /// An option that has a value without being given.
    pub const fn default(name: &'static str, default: &'static str, field: Field<T>, about: &'static str) -> Self {
        Self { text: Text { name, about, default: Some(default), kind: Kind::Option }, field }
    }

    /// An option for old callers.
    pub const fn hidden(name: &'static str, field: Field<T>, about: &'static str) -> Self {
        Self::new(Kind::Hidden, name, field, about)
    }

    /// The container that a command is about.
    pub const fn id(field: Field<T>) -> Self {
        Self::new(Kind::Required, "<ID>", field, "Name of the container")
    }

    /// A word that may be left out.
    pub const fn optional(name: &'static str, default: &'static str, field: Field<T>, about: &'static str) -> Self {
        Self { text: Text { name, about, default: Some(default), kind: Kind::Optional }, field }
    }

    /// All words that are left.
    pub const fn rest(name: &'static str, field: Field<T>, about: &'static str) -> Self {
        Self::new(Kind::Rest, name, field, about)
    }
}

impl Text {
    /// Whether it is found by its name.
    pub fn is_option(&self) -> bool {
        matches!(self.kind, Kind::Option | Kind::Hidden)
    }

    /// Whether it has a value, which is a word of its own or joined to its name.
    pub fn has_value(&self) -> bool {
        self.name.ends_with('>')
    }

    /// The `f` of `-f, --format <FORMAT>`.
    pub fn letter(&self) -> Option<char> {
        self.name.strip_prefix('-')?.chars().next().filter(|letter| *letter != '-')
    }

    /// The `format` of `-f, --format <FORMAT>`.
    pub fn long(&self) -> Option<&'static str> {
        self.long_form().strip_prefix("--")?.split(' ').next()
    }

    /// The `--format <FORMAT>` of `-f, --format <FORMAT>`; all of what has no letter.
    fn long_form(&self) -> &'static str {
        self.letter().and_then(|_| self.name.get("-f, ".len()..)).unwrap_or(self.name)
    }
}

/// A command for code that is the same for all of them: made once for each type, it would be 130 KB.
pub trait Table {
    /// [`Arguments::NAME`]
    fn name(&self) -> &'static str;
    /// [`Arguments::ABOUT`]
    fn about(&self) -> &'static str;
    /// [`Arguments::ARGUMENTS`]
    fn texts(&self) -> Vec<&'static Text>;
    /// Gives an argument its value.
    fn set(&mut self, index: usize, word: &OsStr) -> Result<(), String>;
    /// The possible values of an argument.
    fn choices(&self, index: usize) -> Vec<(&'static str, &'static str)>;
    /// [`Arguments::contradiction`]
    fn check(&self) -> Option<&'static str>;
    /// [`Arguments::page`]
    fn help(&self) -> String;
}

impl<T: Arguments> Table for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn about(&self) -> &'static str {
        T::ABOUT
    }

    fn texts(&self) -> Vec<&'static Text> {
        T::ARGUMENTS.iter().map(|argument| &argument.text).collect()
    }

    fn set(&mut self, index: usize, word: &OsStr) -> Result<(), String> {
        T::ARGUMENTS.get(index).map_or(Ok(()), |argument| (argument.field)(self).set(word))
    }

    fn choices(&self, index: usize) -> Vec<(&'static str, &'static str)> {
        T::ARGUMENTS.get(index).map_or_else(Vec::new, |argument| (argument.field)(&mut T::default()).choices())
    }

    fn check(&self) -> Option<&'static str> {
        self.contradiction()
    }

    fn help(&self) -> String {
        self.page()
    }
}

/// The value of an argument, read from a word.
pub trait Value {
    /// Takes the word, or says what is expected instead.
    fn set(&mut self, word: &OsStr) -> Result<(), String>;

    /// The possible values and what they mean, if they are few.
    fn choices(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }
}

/// An option without a value.
impl Value for bool {
    fn set(&mut self, word: &OsStr) -> Result<(), String> {
        *self = true;
        if word.is_empty() { Ok(()) } else { Err("no value".into()) }
    }
}

impl Value for OsString {
    fn set(&mut self, word: &OsStr) -> Result<(), String> {
        word.clone_into(self);
        Ok(())
    }
}

impl Value for String {
    fn set(&mut self, word: &OsStr) -> Result<(), String> {
        word.to_str().ok_or("text in UTF-8")?.clone_into(self);
        Ok(())
    }
}

impl Value for PathBuf {
    fn set(&mut self, word: &OsStr) -> Result<(), String> {
        *self = word.into();
        if word.is_empty() { Err("a path".into()) } else { Ok(()) }
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {
        $(impl Value for $number {
            fn set(&mut self, word: &OsStr) -> Result<(), String> {
                let number = word.to_str().and_then(|text| text.parse().ok());
                *self = number.ok_or_else(|| format!("a number from {} to {}", Self::MIN, Self::MAX))?;
                Ok(())
            }
        })*
    };
}

numbers!(u16 u32 u64 i64);

impl<V: Value + Default> Value for Option<V> {
    fn set(&mut self, word: &OsStr) -> Result<(), String> {
        self.insert(V::default()).set(word)
    }

    fn choices(&self) -> Vec<(&'static str, &'static str)> {
        V::default().choices()
    }
}

/// For what may be repeated.
impl<V: Value + Default> Value for Vec<V> {
    fn set(&mut self, word: &OsStr) -> Result<(), String> {
        self.push(V::default());
        self.last_mut().map_or(Ok(()), |last| last.set(word))
    }
}

/// One of a few values that have names.
pub trait Choice: Copy + 'static {
    /// Each with its name and what it means.
    const ALL: &'static [(Self, &'static str, &'static str)];
}

impl<C: Choice> Value for C {
    fn set(&mut self, word: &OsStr) -> Result<(), String> {
        let names = || C::ALL.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ");
        let (value, ..) =
            C::ALL.iter().find(|(_, name, _)| word == *name).ok_or_else(|| format!("one of {}", names()))?;
        *self = *value;
        Ok(())
    }

    fn choices(&self) -> Vec<(&'static str, &'static str)> {
        C::ALL.iter().map(|(_, name, about)| (*name, *about)).collect()
    }
}

/// Why a command does not run.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The text that was asked for.
    Help(String),
    /// What is wrong with the command line.
    Wrong(String),
}

/// Fills a command with the words after its name.
pub fn parse(command: &mut dyn Table, words: impl Iterator<Item = OsString>) -> Result<(), Stop> {
    match read(command, Parser::from_args(words)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Stop::Help(command.help())),
        Err(wrong) => Err(help::wrong(command, &wrong)),
    }
}

/// An argument in its table.
#[derive(Clone, Copy)]
struct Place {
    index: usize,
    text: &'static Text,
}

/// `false` for `--help`.
fn read(command: &mut dyn Table, mut parser: Parser) -> Result<bool, String> {
    let texts = command.texts().into_iter().enumerate();
    let places: Vec<_> = texts.map(|(index, text)| Place { index, text }).collect();
    for place in &places {
        if let Some(default) = place.text.default {
            set(command, *place, default.as_ref())?;
        }
    }
    let mut positionals = places.iter().filter(|place| !place.text.is_option()).peekable();
    while let Some(item) = next(command, &places, &mut parser)? {
        match item {
            Item::Help => return Ok(false),
            Item::Option(place, Some(word)) if place.text.has_value() => set(command, place, &word)?,
            Item::Option(place, Some(word)) => return Err(needless(place.text.long_form(), &word)),
            Item::Option(place, None) if place.text.has_value() => {
                let word = value(command, place, &mut parser)?;
                set(command, place, &word)?;
            }
            Item::Option(place, None) => set(command, place, OsStr::new(""))?,
            Item::Word(word) => {
                let positional = positionals.next().ok_or_else(|| format!("unexpected argument {word:?}"))?;
                set(command, *positional, &word)?;
                let mut words = parser.raw_args().map_err(unexpected)?;
                let rest = match (positional.text.kind, positionals.peek()) {
                    (Kind::Rest, _) => positional,
                    (_, Some(next)) if next.text.kind == Kind::Rest => {
                        words.next_if(|word| word == "--");
                        next
                    }
                    _ => continue,
                };
                for word in words {
                    set(command, *rest, &word)?;
                }
            }
        }
    }
    if let Some(missing) = positionals.find(|place| place.text.kind == Kind::Required) {
        return Err(format!("the argument {} is missing", missing.text.name));
    }
    command.check().map_or(Ok(true), |contradiction| Err(contradiction.to_owned()))
}

fn set(command: &mut dyn Table, Place { index, text }: Place, word: &OsStr) -> Result<(), String> {
    let invalid = |expected| format!("invalid value {word:?} for '{}': expected {expected}", text.long_form());
    command.set(index, word).map_err(invalid)
}

enum Item {
    Help,
    /// With the value that is joined to its name, if that is known already.
    Option(Place, Option<OsString>),
    Word(OsString),
}

fn next(command: &dyn Table, places: &[Place], parser: &mut Parser) -> Result<Option<Item>, String> {
    let whole = parser.try_raw_args().and_then(|words| words.peek().map(OsStr::to_owned));
    let item = match parser.next().map_err(unexpected)? {
        None => return Ok(None),
        Some(Arg::Value(word)) => Item::Word(word),
        Some(Arg::Long("help") | Arg::Short('h')) => Item::Help,
        Some(Arg::Long(name)) => {
            Item::Option(by_name(name, places).ok_or_else(|| help::unknown_option(command, name))?, None)
        }
        // No option is a digit: a negative number.
        Some(Arg::Short('0'..='9')) if let Some(number) = whole => {
            parser.optional_value();
            Item::Word(number)
        }
        Some(Arg::Short(letter)) => match whole.as_deref().and_then(|word| one_dash(word, places)) {
            Some((place, value)) => {
                parser.optional_value();
                Item::Option(place, value)
            }
            None => {
                let place = places.iter().find(|place| place.text.letter() == Some(letter));
                Item::Option(*place.ok_or_else(|| format!("unknown option '-{letter}'"))?, None)
            }
        },
    };
    Ok(Some(item))
}

fn by_name(name: &str, places: &[Place]) -> Option<Place> {
    places.iter().find(|place| place.text.long() == Some(name)).copied()
}

/// A long option with one dash, as Go programs take it too, and go-runc writes it: `-no-subreaper`, `-root=/run`.
fn one_dash(word: &OsStr, places: &[Place]) -> Option<(Place, Option<OsString>)> {
    let word = word.as_bytes().strip_prefix(b"-")?;
    let name = word.split(|byte| *byte == b'=').next()?;
    let value = word.get(name.len() + 1..).map(|value| OsStr::from_bytes(value).to_owned());
    Some((by_name(str::from_utf8(name).ok()?, places)?, value))
}

/// The value of an option: joined to it, or the next word unless that looks like an option. A negative number does not.
fn value(command: &dyn Table, Place { index, text }: Place, parser: &mut Parser) -> Result<OsString, String> {
    if let Some(joined) = parser.optional_value() {
        return Ok(joined);
    }
    let is_option = |word: &OsStr| matches!(word.as_bytes(), [b'-', next, ..] if !next.is_ascii_digit());
    let mut words = parser.raw_args().map_err(unexpected)?;
    words.next_if(|word| !is_option(word)).ok_or_else(|| {
        let missing = format!("a value is missing for '{}'", text.long_form());
        let choices: Vec<_> = command.choices(index).into_iter().map(|(name, _)| name).collect();
        match (words.peek(), choices.as_slice()) {
            (Some(word), []) => {
                let name = text.long().unwrap_or_default();
                format!("{missing}. If {word:?} is the value, write --{name}={}", word.display())
            }
            (None, []) => missing,
            (_, choices) => format!("{missing}: expected one of {}", choices.join(", ")),
        }
    })
}

fn needless(option: &str, value: &OsStr) -> String {
    format!("the option '{option}' has no value, but is given {value:?}")
}

fn unexpected(error: lexopt::Error) -> String {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => needless(&option, &value),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[derive(Debug, Default, PartialEq)]
    struct Sample {
        force: bool,
        tty: bool,
        bundle: PathBuf,
        user: Option<String>,
        env: Vec<String>,
        count: Option<i64>,
        shape: Shape,
        id: String,
        command: Vec<String>,
    }

    #[derive(Debug, Clone, Copy, Default, PartialEq)]
    enum Shape {
        #[default]
        Round,
        Flat,
    }

    impl Choice for Shape {
        const ALL: &'static [(Self, &'static str, &'static str)] =
            &[(Self::Round, "round", "A ball"), (Self::Flat, "flat", "A plate")];
    }

    impl Arguments for Sample {
        const NAME: &'static str = "sample";
        const ABOUT: &'static str = "Show how arguments are read";
        const ARGUMENTS: &'static [Argument<Self>] = &[
            Argument::option("-f, --force", |it| &mut it.force, "Do it"),
            Argument::option("-t, --tty", |it| &mut it.tty, "With a terminal"),
            Argument::default("-b, --bundle <DIR>", ".", |it| &mut it.bundle, "Where"),
            Argument::option("-u, --user <UID>", |it| &mut it.user, "Who"),
            Argument::option("-e, --env <NAME=VALUE>", |it| &mut it.env, "With what"),
            Argument::hidden("--count <N>", |it| &mut it.count, "How often"),
            Argument::default("--shape <SHAPE>", "round", |it| &mut it.shape, "How it looks"),
            Argument::id(|it| &mut it.id),
            Argument::rest("[COMMAND]...", |it| &mut it.command, "What"),
        ];

        fn contradiction(&self) -> Option<&'static str> {
            (self.force && self.tty).then_some("'--force' and '--tty' exclude each other")
        }
    }

    fn parse(words: impl Iterator<Item = OsString>) -> Result<Sample, Stop> {
        let mut sample = Sample::default();
        super::parse(&mut sample, words).map(|()| sample)
    }

    fn read(line: &str) -> Result<Sample, Stop> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn sample() -> Sample {
        Sample { bundle: ".".into(), id: "c".into(), ..Sample::default() }
    }

    /// The first line of the complaint.
    fn wrong(words: impl Iterator<Item = OsString>) -> String {
        match parse(words) {
            Err(Stop::Wrong(text)) => text.lines().next().unwrap().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn complaint(line: &str) -> String {
        wrong(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        assert_eq!(read("c"), Ok(sample()));
    }

    #[test]
    fn a_value_may_be_joined_or_follow() {
        for line in ["--bundle d c", "--bundle=d c", "-b d c", "-bd c", "-b=d c", "-bundle d c", "-bundle=d c"] {
            assert_eq!(read(line), Ok(Sample { bundle: "d".into(), ..sample() }), "{line}");
        }
        assert_eq!(read("-e=A=b -eC=d c").unwrap().env, ["A=b", "C=d"]);
        assert_eq!(read("--user= c").unwrap().user, Some(String::new()));
    }

    #[test]
    fn short_options_may_share_a_dash() {
        assert_eq!(read("-tu5 c"), Ok(Sample { tty: true, user: Some("5".into()), ..sample() }));
        assert_eq!(read("-tu 5 c"), read("-t -u 5 c"));
        assert_eq!(complaint("-tx c"), "error: unknown option '-x'");
    }

    #[test]
    fn the_last_one_counts() {
        assert_eq!(read("--bundle 1 -b 2 -f -f c"), Ok(Sample { bundle: "2".into(), force: true, ..sample() }));
        assert_eq!(read("-e 1 --env 2 c").unwrap().env, ["1", "2"]);
    }

    #[test]
    fn what_follows_the_container_is_the_programs() {
        let with = |words: &[&str]| Ok(Sample { command: words.iter().map(|&word| word.into()).collect(), ..sample() });
        assert_eq!(read("c ls -f --help -bundle"), with(&["ls", "-f", "--help", "-bundle"]));
        assert_eq!(read("c -t ls"), with(&["-t", "ls"]));
        assert_eq!(read("c -- ls -- x"), with(&["ls", "--", "x"]));
        assert_eq!(read("-- c ls"), with(&["ls"]));
        assert_eq!(read("-- -force").unwrap().id, "-force");
    }

    #[test]
    fn a_negative_number_is_a_value() {
        assert_eq!(read("--count -1 c").unwrap().count, Some(-1));
        assert_eq!(read("-u -1 c").unwrap().user.as_deref(), Some("-1"));
        assert_eq!(read("-5=x").unwrap().id, "-5=x");
        assert_eq!(read("-b - c").unwrap().bundle, PathBuf::from("-"));
    }

    #[test]
    fn an_option_is_not_taken_for_a_value() {
        assert_eq!(
            complaint("--bundle --force c"),
            "error: a value is missing for '--bundle <DIR>'. If \"--force\" is the value, write --bundle=--force"
        );
        assert_eq!(read("--bundle=--force c").unwrap().bundle, PathBuf::from("--force"));
        assert_eq!(complaint("c --bundle".trim_start_matches("c ")), "error: a value is missing for '--bundle <DIR>'");
        assert_eq!(
            complaint("--shape"),
            "error: a value is missing for '--shape <SHAPE>': expected one of round, flat"
        );
    }

    #[test]
    fn a_complaint_says_what_is_expected() {
        for (line, words) in [
            ("", "the argument <ID> is missing"),
            ("--forse c", "unknown option '--forse'. Did you mean '--force'?"),
            ("--nonsense c", "unknown option '--nonsense'"),
            ("--debug c", "the option '--debug' belongs before the command: berth --debug … sample"),
            ("--force=true c", "the option '--force' has no value, but is given \"true\""),
            ("-force=true c", "the option '--force' has no value, but is given \"true\""),
            ("-f=true c", "the option '-f' has no value, but is given \"true\""),
            ("--shape square c", "invalid value \"square\" for '--shape <SHAPE>': expected one of round, flat"),
            ("--bundle= c", "invalid value \"\" for '--bundle <DIR>': expected a path"),
            (
                "--count x c",
                "invalid value \"x\" for '--count <N>': expected a number from -9223372036854775808 to \
                9223372036854775807",
            ),
            ("-f -t c", "'--force' and '--tty' exclude each other"),
        ] {
            assert_eq!(complaint(line), format!("error: {words}"), "{line}");
        }
        let Err(Stop::Wrong(text)) = read("") else { panic!("it must be refused") };
        assert!(text.contains("\nUsage: berth sample [OPTIONS] <ID> [COMMAND]...\n"), "{text}");
        assert!(text.ends_with("\nFor more information, try 'berth sample --help'.\n"), "{text}");
    }

    #[test]
    fn paths_may_be_any_bytes_and_names_may_not() {
        let odd = || OsString::from_vec(b"\xff".to_vec());
        let sample = parse(["-b".into(), odd(), "c".into()].into_iter()).unwrap();
        assert_eq!(sample.bundle, PathBuf::from(odd()));
        let joined = OsString::from_vec(b"--bundle=\xff".to_vec());
        assert_eq!(parse([joined, "c".into()].into_iter()).unwrap().bundle, PathBuf::from(odd()));
        assert_eq!(wrong([odd()].into_iter()), "error: invalid value \"\\xFF\" for '<ID>': expected text in UTF-8");
        let option = OsString::from_vec(b"-\xff".to_vec());
        assert_eq!(wrong([option].into_iter()), "error: unknown option '-\u{fffd}'");
    }

    #[test]
    fn help_is_given_where_it_is_asked_for() {
        for line in ["--help", "-h", "-help", "-fh", "--force --help --nonsense"] {
            assert_eq!(read(line), Err(Stop::Help(sample().help())), "{line}");
        }
        assert_eq!(complaint("--nonsense --help"), "error: unknown option '--nonsense'");
    }

    #[test]
    fn help_shows_all_but_the_hidden() {
        let expected = "\
Show how arguments are read

Usage: berth sample [OPTIONS] <ID> [COMMAND]...

Arguments:
  <ID>          Name of the container
  [COMMAND]...  What

Options:
  -f, --force             Do it
  -t, --tty               With a terminal
  -b, --bundle <DIR>      Where [default: .]
  -u, --user <UID>        Who
  -e, --env <NAME=VALUE>  With what
      --shape <SHAPE>     How it looks [default: round]
                          - round: A ball
                          - flat:  A plate
  -h, --help              Print help
";
        assert_eq!(sample().help(), expected);
    }
}
