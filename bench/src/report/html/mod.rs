//! Reports as pages: one file that opens from disk, without a network, in light and dark, on paper and on a phone.
//!
//! A page carries plotly.js, compressed (docs/adr/0006), and its figures as JSON. Both of its scripts are named by their hashes in a content
//! security policy that allows nothing else: no word of a scenario can become a script, and nothing is fetched from anywhere.

mod body;
mod sections;
mod tiles;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Map, Value};

pub(super) use body::{brief, groups, opening};
pub(super) use sections::sections;
pub(super) use tiles::{Tile, tiles};

use super::document::Tone;
use super::figure::{Figure, plotly};

/// plotly.js as the crate `plotly` carries it, gzip, base64.
const PLOTS: &str = include_str!(concat!(env!("OUT_DIR"), "/plotly.js.gz.base64"));
const PLOTS_HASH: &str = include_str!(concat!(env!("OUT_DIR"), "/plotly.js.hash"));
const SCRIPT: &str = include_str!("page.js");
const SCRIPT_HASH: &str = include_str!(concat!(env!("OUT_DIR"), "/page.js.hash"));
const STYLE: &str = include_str!("page.css");

/// A page around some content; `figures` are those that the content has places for.
pub(super) fn page(title: &str, content: &Markup, figures: &[&Figure]) -> String {
    let policy = format!(
        "default-src 'none'; script-src '{SCRIPT_HASH}' '{PLOTS_HASH}'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    );
    let drawn = figures.iter().any(|figure| figure.body.is_ok());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="generator" content={ "Quintet bench " (env!("CARGO_PKG_VERSION")) };
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (content)
                @if drawn {
                    script type="application/json" id="figures" { (PreEscaped(inert(&data(figures)))) }
                    script type="text/plain" id="plots" { (PreEscaped(PLOTS)) }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        }
    };
    page.into_string()
}

/// Figures that can be drawn, by their names.
fn data(figures: &[&Figure]) -> Value {
    let each = figures.iter().filter_map(|figure| {
        let drawing = figure.body.as_ref().ok()?;
        Some((figure.id.to_owned(), plotly(drawing)))
    });
    Value::Object(each.collect::<Map<_, _>>())
}

/// JSON inside an element `script`: nothing in it can end the element or begin another one.
fn inert(value: &Value) -> String {
    value
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// The style of something good or bad.
const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Neutral => "neutral",
        Tone::Good => "good",
        Tone::Doubtful => "doubtful",
        Tone::Bad => "bad",
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
