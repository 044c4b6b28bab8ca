//! A summary as markdown: `summary.md`.

use super::document::{Document, Section, Table};
use super::figure::{Figure, Grid};

pub(super) fn draw(document: &Document) -> String {
    let mut text = format!(
        "# {}: {}\n",
        escaped(&document.name),
        escaped(&document.outcome)
    );
    if !document.question.is_empty() {
        text.push_str(&format!("\n{}\n", escaped(&document.question)));
    }
    for section in &document.sections {
        draw_section(&mut text, section);
    }
    text
}

/// A sentence, and what stands behind it.
pub(crate) fn page(opening: &str, sections: &[Section]) -> String {
    let mut text = format!("**{}**\n", escaped(opening));
    for section in sections {
        draw_section(&mut text, section);
    }
    text
}

/// The tables of figures, and in a line each why others are missing.
pub(super) fn draw_figures(text: &mut String, figures: &[&Figure]) {
    for figure in figures {
        text.push_str(&format!("\n## {}\n", figure.title));
        match &figure.body {
            Err(why) => text.push_str(&format!("\nNot shown. {}\n", escaped(why))),
            Ok(drawing) => {
                let Grid { header, rows } = &drawing.table;
                text.push_str(&format!("\n{}\n", escaped(&figure.caption)));
                draw_rows(text, header.iter().map(String::as_str), rows, "---:");
            }
        }
    }
}

fn draw_section(text: &mut String, section: &Section) {
    if !section.heading.is_empty() {
        text.push_str(&format!("\n## {}\n", section.heading));
    }
    if !section.remark.is_empty() {
        text.push_str(&format!("\n{}\n", escaped(&section.remark)));
    }
    if !section.facts.is_empty() {
        let rows = section
            .facts
            .iter()
            .map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
        draw_table(
            text,
            &Table {
                header: vec!["", ""],
                rows: rows.collect(),
            },
            "---",
        );
    }
    if !section.items.is_empty() {
        text.push('\n');
        for item in &section.items {
            text.push_str(&format!("- {}\n", escaped(item)));
        }
    }
    if let Some(table) = &section.table {
        draw_table(text, table, "---:");
    }
    if let Some(command) = &section.command {
        text.push_str(&format!("\n    {command}\n"));
    }
}

fn draw_table(text: &mut String, table: &Table, rule: &str) {
    draw_rows(text, table.header.iter().copied(), &table.rows, rule);
}

/// `rule` aligns every column but the first.
fn draw_rows<'h>(
    text: &mut String,
    header: impl Iterator<Item = &'h str> + Clone,
    rows: &[Vec<String>],
    rule: &str,
) {
    let line = |cells: &mut dyn Iterator<Item = String>| {
        cells.fold("|".to_owned(), |line, cell| line + " " + &cell + " |") + "\n"
    };
    text.push('\n');
    let columns = header.clone().count();
    text.push_str(&line(&mut header.map(str::to_owned)));
    let rules = (0..columns).map(|column| if column == 0 { "---" } else { rule });
    text.push_str(&line(&mut rules.map(str::to_owned)));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(|cell| escaped(cell))));
    }
}

/// Without the signs that markdown takes for its own in the texts of a summary.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        if matches!(sign, '\\' | '`' | '*' | '_' | '|' | '<' | '[' | ']') {
            safe.push('\\');
        }
        safe.push(sign);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_break_its_table() {
        let table = Table {
            header: vec!["name", "got"],
            rows: vec![vec!["a|b".to_owned(), "<c>_d_".to_owned()]],
        };
        let mut text = String::new();
        draw_table(&mut text, &table, "---:");
        assert_eq!(
            text,
            "\n| name | got |\n| --- | ---: |\n| a\\|b | \\<c>\\_d\\_ |\n"
        );
    }
}
