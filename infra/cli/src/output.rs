//! Everything that is printed. A reader that has gone away (`| head`) ends the program quietly.

use std::io::{self, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// Prints one line.
pub fn line(text: &str) {
    if writeln!(io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Prints a failure.
pub fn error(text: &str) {
    // Nowhere left to say it.
    let _ = writeln!(io::stderr(), "error: {text}");
}

/// Prints rows under their headings.
pub fn table(headings: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(headings.iter().map(|h| h.to_uppercase()));
    table.add_rows(rows);
    for row in table.lines() {
        line(row.trim_end());
    }
}

/// A value for a table; a dash when there is none.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Prints the fields that have a value.
pub fn fields(fields: impl IntoIterator<Item = (&'static str, Option<String>)>) {
    let rows = fields.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
    table(&["field", "value"], rows.collect());
}

/// Prints the cursor of the next page, when there is one.
pub fn more(next_cursor: Option<&str>) {
    if let Some(next) = next_cursor {
        line(&format!("more: --cursor {next}"));
    }
}

/// Prints a value as JSON.
pub fn json(value: &serde_json::Value) {
    line(&format!("{value:#}"));
}
