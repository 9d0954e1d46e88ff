//! `list`

use super::arguments::{Argument, Arguments, Choice};
use super::{Command, Global, print};
use crate::container::Container;
use crate::error::Result;
use serde_json::json;

/// Shape of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

impl Choice for Format {
    const ALL: &'static [(Self, &'static str, &'static str)] =
        &[(Self::Table, "table", "For people"), (Self::Json, "json", "For programs")];
}

/// `list`
#[derive(Debug, Default)]
pub struct List {
    format: Format,
    quiet: bool,
}

impl Arguments for List {
    const NAME: &'static str = "list";
    const ABOUT: &'static str = "List all containers";
    const ARGUMENTS: &'static [Argument<Self>] = &[
        Argument::default("-f, --format <FORMAT>", "table", |it| &mut it.format, "Shape of the list"),
        Argument::option("-q, --quiet", |it| &mut it.quiet, "Print the names alone"),
    ];
}

impl Command for List {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        let store = global.store()?;
        let ids = store.ids()?;
        if self.quiet {
            print(&ids.iter().map(|id| format!("{id}\n")).collect::<String>())?;
            return Ok(0);
        }
        // One that is deleted meanwhile, or that berth was killed in the first steps of, is not shown.
        let containers: Vec<_> = ids.iter().filter_map(|id| Container::open(&store, id).ok()).collect();
        let rows = containers.iter().map(|container| container.state.shown(container.status()));
        match self.format {
            Format::Json => {
                let rows: Vec<_> = rows.collect();
                // runc prints null for none.
                print(&format!("{}\n", if rows.is_empty() { json!(null) } else { json!(rows) }))?;
            }
            Format::Table => {
                let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned).to_vec();
                let row = |row: serde_json::Value| {
                    let text = |key: &str| row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned);
                    ["id", "pid", "status", "bundle", "created", "owner"].map(text).to_vec()
                };
                print(&table(std::iter::once(header).chain(rows.map(row)).collect()))?;
            }
        }
        Ok(0)
    }
}

/// Columns as wide as their widest field, three spaces between them, as Go's tabwriter aligns runc's list.
fn table(rows: Vec<Vec<String>>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(9);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let fields = row.iter().zip(&widths).map(|(field, width)| format!("{field:width$}"));
        fields.collect::<Vec<_>>().join("   ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["ID", "PID"], ["a-long-name", "1"]];
        let text = table(rows.iter().map(|row| row.iter().map(|field| (*field).to_owned()).collect()).collect());
        assert_eq!(text, "ID            PID\na-long-name   1\n");
    }
}
