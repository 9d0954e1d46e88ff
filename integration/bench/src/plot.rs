//! The plot: bars on a logarithmic scale, one group for each command.

use std::fmt::Write;

use crate::book::Section;

const COLOURS: [&str; 8] = ["#1b6ca8", "#e07b39", "#e9b872", "#7a7a7a", "#a05195", "#c9b1bd", "#b8c4bb", "#2f9e44"];
const LEFT: f64 = 185.0;
const WIDTH: f64 = 620.0;
const BAR: f64 = 13.0;
const LEAST: f64 = 0.1;
const MOST: f64 = 200.0;

/// One group of bars: a name, and each subject's median with its quartiles.
pub struct Group {
    /// The command.
    pub name: String,
    /// Subject, 25th percentile, median, 75th percentile.
    pub bars: Vec<(String, f64, f64, f64)>,
}

/// The groups of a section's rows.
pub fn groups(section: &Section, rows: &[&str], prefix: &str, subjects: &[String]) -> Vec<Group> {
    let rows = section.rows.iter().filter(|row| rows.contains(&row.name.as_str()));
    rows.map(|row| {
        let bars = subjects.iter().filter_map(|subject| {
            let spread = row.cells.iter().find(|(name, _)| name == subject)?.1.spread()?;
            Some((subject.clone(), spread.low, spread.median, spread.high))
        });
        Group { name: format!("{prefix}{}", row.name), bars: bars.collect() }
    })
    .collect()
}

/// The plot as SVG.
pub fn svg(title: &str, groups: &[Group], subjects: &[String]) -> String {
    let bars: usize = groups.iter().map(|group| group.bars.len()).sum();
    let top = 70.0;
    let height = top + bars as f64 * BAR + groups.len() as f64 * 12.0 + 40.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">{}</text>\n",
        LEFT + WIDTH + 80.0,
        escape(title),
    );
    let mut x = 10.0;
    for (at, subject) in subjects.iter().enumerate() {
        let _ = writeln!(
            text,
            "<rect x=\"{x:.0}\" y=\"33\" width=\"10\" height=\"10\" fill=\"{}\"/><text x=\"{:.0}\" y=\"42\">{}</text>",
            COLOURS[at % COLOURS.len()],
            x + 14.0,
            escape(subject),
        );
        x += 30.0 + subject.len() as f64 * 6.2;
    }
    let bottom = height - 30.0;
    for tick in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0] {
        let x = position(tick);
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.0}\" y2=\"{bottom:.0}\" stroke=\"#ddd\"/>\
             <text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{tick}</text>",
            top - 8.0,
            bottom + 14.0,
        );
    }
    let _ = writeln!(text, "<text x=\"{:.0}\" y=\"{:.0}\">ms</text>", LEFT + WIDTH + 30.0, bottom + 14.0);
    let mut y = top;
    for group in groups {
        let middle = y + group.bars.len() as f64 * BAR / 2.0 + 4.0;
        let _ = writeln!(
            text,
            "<text x=\"{:.0}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            escape(&group.name)
        );
        for (subject, low, median, high) in &group.bars {
            let colour =
                subjects.iter().position(|name| name == subject).map_or("black", |at| COLOURS[at % COLOURS.len()]);
            let (start, end, line) = (position(LEAST), position(*median), y + BAR / 2.0 - 1.0);
            let _ = writeln!(
                text,
                "<rect x=\"{start:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
                 <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{line:.1}\" y2=\"{line:.1}\" stroke=\"black\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\">{median:.2}</text>",
                (end - start).max(1.0),
                BAR - 2.0,
                position(*low),
                position(*high),
                position(*high).max(end) + 4.0,
                y + BAR - 3.5,
            );
            y += BAR;
        }
        y += 12.0;
    }
    text += "</svg>\n";
    text
}

fn position(value: f64) -> f64 {
    LEFT + WIDTH * (value.clamp(LEAST, MOST) / LEAST).log10() / (MOST / LEAST).log10()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
