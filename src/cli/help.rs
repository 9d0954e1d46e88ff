//! What `--help` and a wrong command line print, made of the tables of the arguments.

use super::Global;
use super::arguments::{Kind, Stop, Table, Text};

/// Columns of a line, unless what stands at its left is long.
const WIDTH: usize = 100;

/// A space that stays within its line.
const NO_BREAK: char = '\u{a0}';

/// A line of a section: what to write, what it means, and the possible values with their meanings.
pub struct Row {
    left: String,
    about: String,
    choices: Vec<(&'static str, &'static str)>,
}

impl Row {
    /// A row without a choice of values.
    pub fn new(left: impl Into<String>, about: impl Into<String>) -> Self {
        Self { left: left.into(), about: about.into(), choices: Vec::new() }
    }

    fn of(command: &dyn Table, index: usize, text: &Text) -> Self {
        let indent = if text.is_option() && text.letter().is_none() { "    " } else { "" };
        let default = text.default.map(|default| format!(" [default:{NO_BREAK}{default}]"));
        Self {
            left: format!("{indent}{}", text.name),
            about: format!("{}{}", text.about, default.unwrap_or_default()),
            choices: command.choices(index),
        }
    }
}

/// The help of a command.
pub fn page(command: &dyn Table) -> String {
    let about: Vec<_> = command.about().lines().flat_map(|line| wrap(line, WIDTH)).collect();
    let arguments = section("Arguments", rows(command, &[Kind::Required, Kind::Optional, Kind::Rest]));
    format!("{}\n\n{}{arguments}{}", about.join("\n"), usage(command), options(command))
}

/// How the command is written.
pub fn usage(command: &dyn Table) -> String {
    let texts = command.texts();
    let options = if texts.iter().any(|text| text.is_option()) { " [OPTIONS]" } else { "" };
    let places = texts.iter().filter(|text| !text.is_option()).map(|text| format!(" {}", text.name));
    format!("Usage: {}{options}{}\n", full_name(command), places.collect::<String>())
}

/// The options of a command, with `--help` at their end.
pub fn options(command: &dyn Table) -> String {
    let mut rows = rows(command, &[Kind::Option]);
    rows.push(Row::new("-h, --help", "Print help"));
    section("Options", rows)
}

fn rows(command: &dyn Table, kinds: &[Kind]) -> Vec<Row> {
    let texts = command.texts().into_iter().enumerate();
    let shown = texts.filter(|(_, text)| kinds.contains(&text.kind));
    shown.map(|(index, text)| Row::of(command, index, text)).collect()
}

/// A section of a page, in two columns; nothing when it is empty.
pub fn section(title: &str, rows: Vec<Row>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let column = 4 + rows.iter().map(|row| row.left.chars().count()).max().unwrap_or(0);
    let mut text = format!("\n{title}:\n");
    for row in rows {
        let width = WIDTH.saturating_sub(column);
        let names = "- : ".len() + row.choices.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let choice = |(name, about): &(&str, &str)| {
            beside(&format!("- {name}:"), names, wrap(about, width.saturating_sub(names)))
        };
        let right = wrap(&row.about, width).into_iter().chain(row.choices.iter().flat_map(choice)).collect();
        text += &beside(&format!("  {}", row.left), column, right).join("\n");
        text.push('\n');
    }
    text
}

/// What to print about a wrong command line.
pub fn wrong(command: &dyn Table, what: &str) -> Stop {
    let (name, usage) = (full_name(command), usage(command));
    Stop::Wrong(format!("error: {what}\n\n{usage}\nFor more information, try '{name} --help'.\n"))
}

/// Says that an option is not one of the command's, and which is meant perhaps.
pub fn unknown_option(command: &dyn Table, name: &str) -> String {
    if Global::default().texts().iter().any(|text| text.long() == Some(name)) {
        return format!("the option '--{name}' belongs before the command: berth --{name} … {}", command.name());
    }
    let shown = command.texts().into_iter().filter(|text| text.kind == Kind::Option);
    format!("unknown option '--{name}'{}", did_you_mean("--", name, shown.filter_map(Text::long)))
}

/// A question that names what is written nearly like `word`, if anything is.
pub fn did_you_mean(prefix: &str, word: &str, names: impl Iterator<Item = &'static str>) -> String {
    let near =
        |name: &'static str| Some((distance(word, name), name)).filter(|(steps, _)| *steps <= (name.len() + 1) / 3);
    let near: Vec<_> = names.filter_map(near).collect();
    let best = near.iter().map(|(steps, _)| *steps).min();
    let names = near.iter().filter(|(steps, _)| Some(*steps) == best).map(|(_, name)| format!("'{prefix}{name}'"));
    let names = names.collect::<Vec<_>>().join(" or ");
    if names.is_empty() { names } else { format!(". Did you mean {names}?") }
}

/// How many letters must be changed, put in or taken out (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut costs: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.bytes().enumerate() {
        let mut diagonal = row;
        let mut left = row + 1;
        for (cost, wanted) in costs.iter_mut().skip(1).zip(other.bytes()) {
            let changed = diagonal + usize::from(letter != wanted);
            diagonal = *cost;
            *cost = changed.min(diagonal + 1).min(left + 1);
            left = *cost;
        }
        if let Some(first) = costs.first_mut() {
            *first = row + 1;
        }
    }
    costs.last().copied().unwrap_or_default()
}

fn full_name(command: &dyn Table) -> String {
    format!("berth {}", command.name()).trim_end().to_owned()
}

/// Lines with a word at the left of the first.
fn beside(left: &str, column: usize, right: Vec<String>) -> Vec<String> {
    let lines = right.into_iter().enumerate();
    lines.map(|(number, line)| format!("{:<column$}{line}", if number == 0 { left } else { "" })).collect()
}

/// Breaks a line between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter().map(|line| line.replace(NO_BREAK, " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_right_is_suggested() {
        let ask = |word| did_you_mean("--", word, ["format", "force", "quiet"].into_iter());
        assert_eq!(ask("formt"), ". Did you mean '--format'?");
        assert_eq!(ask("froce"), ". Did you mean '--force'?");
        assert_eq!(ask("nonsense"), "");
        assert_eq!(ask(""), "");
        let stat = did_you_mean("", "stat", ["start", "state", "spec"].into_iter());
        assert_eq!(stat, ". Did you mean 'start' or 'state'?");
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible", 5), ["incomprehensible"]);
    }
}
