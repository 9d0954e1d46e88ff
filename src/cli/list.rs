//! `list`

use super::{Global, print};
use crate::container::Container;
use crate::error::Result;
use clap::ValueEnum;
use serde_json::json;

/// Shape of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// `list`
#[derive(Debug, clap::Args)]
pub struct List {
    /// Shape of the list
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: Format,
    /// Print the names alone
    #[arg(short, long)]
    quiet: bool,
}

impl List {
    /// Prints all containers.
    pub fn run(self, global: &Global) -> Result<()> {
        let store = global.store()?;
        let ids = store.ids()?;
        if self.quiet {
            return print(&ids.iter().map(|id| format!("{id}\n")).collect::<String>());
        }
        // One that is deleted meanwhile, or that berth was killed in the first steps of, is not shown.
        let containers: Vec<_> = ids.iter().filter_map(|id| Container::open(&store, id).ok()).collect();
        let rows = containers.iter().map(|container| container.state.shown(container.status()));
        match self.format {
            Format::Json => {
                let rows: Vec<_> = rows.collect();
                // runc prints null for none.
                print(&format!("{}\n", if rows.is_empty() { json!(null) } else { json!(rows) }))
            }
            Format::Table => {
                let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned).to_vec();
                let row = |row: serde_json::Value| {
                    let text = |key: &str| row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned);
                    ["id", "pid", "status", "bundle", "created", "owner"].map(text).to_vec()
                };
                print(&table(std::iter::once(header).chain(rows.map(row)).collect()))
            }
        }
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
