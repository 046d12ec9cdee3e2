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

/// Prints a value as JSON.
pub fn json(value: &serde_json::Value) {
    line(&format!("{value:#}"));
}
