//! Tables of text: columns as wide as they must be, and nothing from outside that moves the cursor.

/// A table that is filled row by row.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these columns.
    pub(super) fn new(columns: &[&str]) -> Self {
        Self { rows: vec![columns.iter().map(|name| (*name).to_owned()).collect()] }
    }

    /// One more row, of as many cells as there are columns.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// Whether it has rows beside its head.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// As text; the last column is not padded.
    pub(super) fn text(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// `text` in one line, without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_escapes_its_cell() {
        let mut table = Table::new(&["STATE", "REASON"]);
        assert!(table.is_empty());
        table.row(["in_doubt".into(), "no\nanswer \u{1b}[2J".into()]);
        table.row(["é".into(), "x".into()]);
        assert_eq!(table.text(), "STATE     REASON\nin_doubt  no\\nanswer \\u{1b}[2J\né         x\n");
    }
}
