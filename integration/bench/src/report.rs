//! The tables, in Markdown.

use std::fmt::Write;

use crate::book::{Cell, Section};

/// One section as Markdown, with berth's ratios.
pub fn section(section: &Section, subjects: &[String], hybrid: bool) -> String {
    let present: Vec<&String> = (subjects.iter())
        .filter(|subject| section.rows.iter().any(|row| row.cells.iter().any(|(name, _)| name == *subject)))
        .collect();
    let place = if hybrid { ", hybrid cgroups" } else { "" };
    let mut text = format!("## {}{place}\n\n{}\n\n", section.title, section.note);
    if !section.rows.is_empty() {
        let unit = if section.unit.is_empty() { String::new() } else { format!(" ({})", section.unit) };
        let _ = write!(text, "| {unit} |", unit = unit.trim());
        for subject in &present {
            let _ = write!(text, " {subject} |");
        }
        let _ = write!(text, "\n|---|{}\n", "---:|".repeat(present.len()));
        for row in &section.rows {
            let _ = write!(text, "| {} |", row.name);
            for subject in &present {
                let cell = row.cells.iter().find(|(name, _)| name == *subject).map(|(_, cell)| cell);
                let _ =
                    write!(text, " {} |", cell.map_or_else(|| "–".to_owned(), |cell| show(cell, section.has_spread)));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    for (subject, reason) in &section.failures {
        let _ = writeln!(text, "- {subject} dropped out: {reason}");
    }
    if !section.failures.is_empty() {
        text.push('\n');
    }
    if section.has_spread {
        for berth in present.iter().filter(|name| name.starts_with("berth")) {
            let others: Vec<&str> = present.iter().filter(|name| name != &berth).map(|name| name.as_str()).collect();
            text += &ratios(section, berth, &others);
        }
    }
    text
}

/// One line for each cell, tabs between: section, row, subject, unit, samples, quartiles, least and most.
pub fn lines(section: &Section) -> String {
    let mut text = String::new();
    for row in &section.rows {
        for (subject, cell) in &row.cells {
            let _ =
                write!(text, "{}\t{}\t{subject}\t{}\t{}", section.title, row.name, section.unit, cell.samples.len());
            for fraction in [0.25, 0.5, 0.75, 0.0, 1.0] {
                let _ = write!(text, "\t{:.4}", cell.at(fraction).unwrap_or_default());
            }
            text.push('\n');
        }
    }
    text
}

/// How berth compares, row by row.
fn ratios(section: &Section, berth: &str, others: &[&str]) -> String {
    let mut text = String::new();
    let median = |row: &crate::book::Row, name: &str| {
        row.cells
            .iter()
            .find(|(known, _)| known == name)
            .and_then(|(_, cell)| cell.spread())
            .map(|spread| spread.median)
    };
    let others: Vec<&&str> = (others.iter())
        .filter(|name| section.rows.iter().any(|row| median(row, berth).is_some() && median(row, name).is_some()))
        .collect();
    if others.is_empty() {
        return text;
    }
    let _ = write!(text, "| {berth} / |");
    for other in &others {
        let _ = write!(text, " {other} |");
    }
    let _ = write!(text, "\n|---|{}\n", "---:|".repeat(others.len()));
    for row in &section.rows {
        let Some(own) = median(row, berth) else { continue };
        let _ = write!(text, "| {} |", row.name);
        for other in &others {
            match median(row, other) {
                Some(value) if value > 0.0 => drop(write!(text, " {:.2} |", own / value)),
                _ => text.push_str(" – |"),
            }
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

fn show(cell: &Cell, has_spread: bool) -> String {
    match cell.spread() {
        None => "–".to_owned(),
        Some(spread) if has_spread => {
            format!("{} ({}–{})", number(spread.median), number(spread.low), number(spread.high))
        }
        Some(spread) => number(spread.median),
    }
}

/// Three significant digits, thousands separated.
fn number(value: f64) -> String {
    if value >= 1000.0 {
        let digits = format!("{value:.0}");
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                text.push(',');
            }
            text.push(digit);
        }
        text
    } else if value >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
