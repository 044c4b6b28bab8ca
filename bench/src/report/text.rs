//! A summary drawn for a terminal or a pipe, [`COLUMNS`] wide at most.

use comfy_table::{CellAlignment, Table as Drawing, presets};

use super::document::{Document, Section, Table};
use super::paint::Paint;

/// Columns of the text; commands and paths are never broken and may be longer.
pub(super) const COLUMNS: usize = 100;

/// Columns of the names of facts, with the space behind them.
const NAME_COLUMNS: usize = 18;

/// Columns of a table up to which they stand three apart; more of them stand two apart.
const COLUMNS_SPACED_MAX: usize = 7;

/// Columns left of everything but headings.
const INDENT: usize = 2;

pub(super) fn draw(document: &Document, paint: Paint) -> String {
    let mut text = format!(
        "{}: {}\n",
        paint.bold(&document.name),
        paint.toned(document.tone, &document.outcome)
    );
    if !document.question.is_empty() {
        text.push_str(&paragraph(&document.question, 0, ""));
    }
    draw_sections(&mut text, &document.sections, paint);
    text
}

/// A sentence, and what stands behind it.
pub(crate) fn page(opening: &str, sections: &[Section], paint: Paint) -> String {
    let mut text = paragraph(opening, 0, "");
    draw_sections(&mut text, sections, paint);
    text
}

fn draw_sections(text: &mut String, sections: &[Section], paint: Paint) {
    for section in sections {
        text.push('\n');
        draw_section(text, section, paint);
    }
}

fn draw_section(text: &mut String, section: &Section, paint: Paint) {
    if !section.heading.is_empty() {
        text.push_str(&paint.toned(section.tone, section.heading));
        if !section.remark.is_empty() {
            text.push_str("  ");
            text.push_str(&paint.dim(&section.remark));
        }
        text.push('\n');
    }
    for (name, value) in &section.facts {
        let label = format!(
            "{:INDENT$}{name:<width$}",
            "",
            width = NAME_COLUMNS - INDENT
        );
        text.push_str(&paragraph(value, NAME_COLUMNS, &label));
    }
    for item in &section.items {
        let label = format!("{:INDENT$}- ", "");
        text.push_str(&paragraph(item, label.len(), &label));
    }
    if let Some(table) = &section.table {
        text.push_str(&table_lines(table, paint));
    }
    if let Some(command) = &section.command {
        text.push_str(&format!("{:INDENT$}{command}\n", ""));
    }
}

fn table_lines(table: &Table, paint: Paint) -> String {
    let figures: Vec<usize> = (1..table.header.len()).collect();
    columns(table, &figures, paint)
}

/// A table whose columns `figures` stand at the right and all others at the left.
pub(crate) fn columns(table: &Table, figures: &[usize], paint: Paint) -> String {
    let fill = if paint.unicode { '─' } else { '-' };
    let style =
        presets::NOTHING.header_separator(comfy_table::LineStyle::none().fill(fill).junction(fill));
    let mut drawing = Drawing::new();
    drawing.load_style(style).force_no_tty();
    drawing.set_header(table.header.iter().copied());
    for row in &table.rows {
        drawing.add_row(row);
    }
    let narrow = table.header.len() > COLUMNS_SPACED_MAX;
    for (index, column) in drawing.column_iter_mut().enumerate() {
        if figures.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if narrow && index > 0 {
            column.set_padding((0, 1));
        }
    }
    let lines = drawing.lines();
    lines
        .map(|line| format!(" {}\n", line.trim_end()))
        .collect()
}

/// Words broken into lines: the first behind `label`, the others below its end.
fn paragraph(words: &str, indent: usize, label: &str) -> String {
    let mut text = String::new();
    let mut line = label.to_owned();
    let mut empty = true;
    for word in words.split_whitespace() {
        let needed = line.chars().count() + usize::from(!empty) + word.chars().count();
        if !empty && needed > COLUMNS {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_continue_below_their_beginning() {
        let words = "word ".repeat(40);
        let text = paragraph(&words, 6, "  ab: ");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= COLUMNS));
        assert!(lines[0].starts_with("  ab: word") && lines[1].starts_with("      word"));
        assert_eq!(paragraph("", 6, "  ab: "), "  ab:\n");
    }
}
