//! `plan`: what `create` would do.

use super::arguments::{Argument, Arguments, Choice};
use super::{Command, Global, print, print_json};
use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::plan::{self, Options};
use serde_json::Value;
use std::fmt::Write;
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Text,
    Json,
}

impl Choice for Format {
    const ALL: &'static [(Self, &'static str, &'static str)] =
        &[(Self::Text, "text", "For people"), (Self::Json, "json", "For programs")];
}

/// `plan`
#[derive(Debug, Default)]
pub struct Plan {
    bundle: PathBuf,
    format: Format,
    no_pivot: bool,
    id: String,
}

impl Arguments for Plan {
    const NAME: &'static str = "plan";
    const ABOUT: &'static str = "Print what `create` would do with a bundle on this host, and do nothing";
    const ARGUMENTS: &'static [Argument<Self>] = &[
        Argument::default("-b, --bundle <DIR>", ".", |it| &mut it.bundle, "Directory with config.json"),
        Argument::default("-f, --format <FORMAT>", "text", |it| &mut it.format, "Shape of the plan"),
        Argument::option("--no-pivot", |it| &mut it.no_pivot, "Do not use pivot_root"),
        Argument::optional("[ID]", "plan", |it| &mut it.id, "Name that the container would have"),
    ];
}

impl Command for Plan {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        let bundle = Bundle::load(&self.bundle, "config.json")?;
        let options = Options { no_pivot: self.no_pivot, seccomp_cache: None, ..global.options(&global.store()?) };
        let plan = plan::Plan::new(&self.id, &bundle, &options)?;
        let value = serde_json::to_value(&plan).map_err(|error| Error::new(error.to_string()))?;
        match self.format {
            Format::Json => print_json(&value)?,
            Format::Text => print(&text(&value))?,
        }
        Ok(0)
    }
}

/// An outline: one line per value, lists of plain values on one line.
fn text(value: &Value) -> String {
    let mut out = String::new();
    outline(&mut out, value, 0);
    out
}

fn outline(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let mut entry = |name: &str, value: &Value| match plain(value) {
        Some(text) => {
            let _ = writeln!(out, "{}", format!("{indent}{name} {text}").trim_end());
        }
        None => {
            let _ = writeln!(out, "{indent}{name}");
            outline(out, value, depth + 1);
        }
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| entry(&format!("{name}:"), value)),
        Value::Array(items) => items.iter().for_each(|item| entry("-", item)),
        other => entry("", other),
    }
}

/// A value that fits on a line.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Object(members) if members.is_empty() => Some("none".into()),
        Value::Object(members) => {
            let short = members.len() <= 4 && members.values().all(|value| !value.is_object() && !value.is_array());
            let field = |(name, value): (&String, &Value)| Some(format!("{name}={}", plain(value)?));
            let text = members.iter().map(field).collect::<Option<Vec<_>>>()?.join(" ");
            (short && text.len() <= 100).then_some(text)
        }
        Value::Array(items) if items.is_empty() => Some("none".into()),
        Value::Array(items) => {
            let words: Vec<_> =
                items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
            let text = words.join(" ");
            (items.iter().all(|item| !item.is_object() && !item.is_array()) && text.len() <= 100).then_some(text)
        }
        Value::String(text) => Some(text.clone()),
        Value::Null => Some("-".into()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_outline_has_a_line_for_every_value() {
        let value = json!({"id": "c", "mounts": [{"type": "proc", "flags": ["ro"]}], "none": []});
        assert_eq!(text(&value), "id: c\nmounts:\n  -\n    type: proc\n    flags: ro\nnone: none\n");
    }
}
