//! The figures of a page, and what stands above them.

use maud::{Markup, html};

use super::class;
use crate::report::document::Tone;
use crate::report::figure::{Drawing, Figure, Grid};
use crate::report::figures::Group;

/// What stands above everything: name, outcome, question, and what it is about in plain words.
pub(in crate::report) fn opening(
    name: &str,
    outcome: &str,
    tone: Tone,
    question: &str,
    story: &str,
) -> Markup {
    html! {
        header {
            h1 { (name) " " span .outcome .(class(tone)) { (outcome) } }
            @if !question.is_empty() { p .question { (question) } }
            @if !story.is_empty() { p .story { (story) } }
        }
    }
}

/// The same for one of several runs.
pub(in crate::report) fn brief(
    name: &str,
    outcome: &str,
    tone: Tone,
    question: &str,
    story: &str,
) -> Markup {
    html! {
        h3 { (name) " " span .outcome .(class(tone)) { (outcome) } }
        @if !question.is_empty() { p .caption { (question) } }
        p .story { (story) }
    }
}

/// Groups of figures, with a list of them in front.
pub(in crate::report) fn groups(groups: &[Group]) -> Markup {
    html! {
        @if groups.len() > 1 {
            nav aria-label="Figures" {
                @for group in groups { a href={ "#" (anchor(group.title)) } { (group.title) } " " }
            }
        }
        @for group in groups { (one(group)) }
    }
}

fn one(group: &Group) -> Markup {
    let absent: Vec<(&Figure, &String)> = group
        .figures
        .iter()
        .filter_map(|figure| Some((figure, figure.body.as_ref().err()?)))
        .collect();
    html! {
        section .group id=(anchor(group.title)) {
            h2 { (group.title) }
            @if !group.remark.is_empty() { p .remark { (group.remark) } }
            div .figures {
                @for figure in &group.figures {
                    @if let Ok(drawing) = &figure.body { (drawn(figure, drawing)) }
                }
            }
            @if !absent.is_empty() {
                ul .absent {
                    @for (figure, why) in absent {
                        li id=(figure.id) { b { (figure.title) } " is not shown. " (why) }
                    }
                }
            }
        }
    }
}

fn drawn(figure: &Figure, drawing: &Drawing) -> Markup {
    let width = if drawing.wide {
        "figure wide"
    } else {
        "figure"
    };
    html! {
        article class=(width) id=(figure.id) {
            h3 { (figure.title) }
            p .caption { (figure.caption) }
            div .plot data-figure=(figure.id) role="img" aria-label={ (figure.title) ". The table below has the numbers." } {
                noscript { p { "Plots need JavaScript; the table has the numbers." } }
            }
            @if !drawing.table.rows.is_empty() {
                details { summary { "The numbers" } (grid(&drawing.table)) }
            }
        }
    }
}

/// A table that scrolls where it is too wide.
pub(super) fn grid(table: &Grid) -> Markup {
    html! {
        div .scroll tabindex="0" {
            table {
                thead { tr { @for cell in &table.header { th scope="col" { (cell) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 { th scope="row" { (cell) } }
                                @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn anchor(title: &str) -> String {
    format!("group-{}", title.to_lowercase().replace(' ', "-"))
}
