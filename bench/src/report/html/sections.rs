//! The sections of a summary on a page.

use maud::{Markup, html};

use super::body::grid;
use super::class;
use crate::report::document::Section;
use crate::report::figure::Grid;

/// Sections one below the other.
pub(in crate::report) fn sections<'s>(sections: impl IntoIterator<Item = &'s Section>) -> Markup {
    html! { @for section in sections { (one(section)) } }
}

fn one(section: &Section) -> Markup {
    let Section {
        heading,
        tone,
        remark,
        facts,
        table,
        items,
        command,
    } = section;
    html! {
        section .text .(class(*tone)) {
            @if !heading.is_empty() { h3 { (heading) } }
            @if !remark.is_empty() { p .remark { (remark) } }
            @if !facts.is_empty() {
                dl { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
            }
            @if !items.is_empty() { ul { @for item in items { li { (item) } } } }
            @if let Some(table) = table {
                (grid(&Grid {
                    header: table.header.iter().map(|cell| (*cell).to_owned()).collect(),
                    rows: table.rows.clone(),
                }))
            }
            @if let Some(command) = command { pre tabindex="0" { code { (command) } } }
        }
    }
}
