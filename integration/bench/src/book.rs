//! The measured values, in the order in which they came.

/// All samples of one row and one subject.
#[derive(Default)]
pub struct Cell {
    /// The samples, in the section's unit.
    pub samples: Vec<f64>,
}

/// Middle and spread of some samples.
#[derive(Clone, Copy)]
pub struct Spread {
    /// The 25th percentile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The 75th percentile.
    pub high: f64,
}

impl Cell {
    /// The value at a fraction of the sorted samples.
    pub fn at(&self, fraction: f64) -> Option<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        sorted.get((last as f64 * fraction).round() as usize).copied()
    }

    /// Median and quartiles.
    pub fn spread(&self) -> Option<Spread> {
        Some(Spread { low: self.at(0.25)?, median: self.at(0.5)?, high: self.at(0.75)? })
    }
}

/// One line of a table.
pub struct Row {
    /// What was measured.
    pub name: String,
    /// The cells by the subject's name.
    pub cells: Vec<(String, Cell)>,
}

/// One table.
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What a reader must know of how it was measured.
    pub note: String,
    /// The unit of all values: `ms`, `KiB` …
    pub unit: &'static str,
    /// Whether the table shows quartiles.
    pub has_spread: bool,
    /// The lines.
    pub rows: Vec<Row>,
    /// Who dropped out, and why.
    pub failures: Vec<(String, String)>,
}

impl Section {
    /// An empty table.
    pub fn new(title: &str, unit: &'static str, note: &str) -> Self {
        let has_spread = unit == "ms";
        Section {
            title: title.to_owned(),
            note: note.to_owned(),
            unit,
            has_spread,
            rows: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// The cell of a row and a subject, made if it is not there.
    pub fn cell(&mut self, row: &str, subject: &str) -> &mut Cell {
        let at = self.rows.iter().position(|known| known.name == row).unwrap_or_else(|| {
            self.rows.push(Row { name: row.to_owned(), cells: Vec::new() });
            self.rows.len() - 1
        });
        let cells = &mut self.rows[at].cells;
        let at = cells.iter().position(|(known, _)| known == subject).unwrap_or_else(|| {
            cells.push((subject.to_owned(), Cell::default()));
            cells.len() - 1
        });
        &mut cells[at].1
    }

    /// Take a sample down.
    pub fn add(&mut self, row: &str, subject: &str, value: f64) {
        self.cell(row, subject).samples.push(value);
    }
}
