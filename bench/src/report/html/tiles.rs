//! The strip of verdict and headline figures.

use maud::{Markup, html};

use super::class;
use crate::report::document::Tone;

/// One headline figure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::report) struct Tile {
    /// What it is.
    pub(in crate::report) name: &'static str,
    /// How much, with its unit.
    pub(in crate::report) value: String,
    /// What it rests on; may be empty.
    pub(in crate::report) remark: String,
    /// How good that is.
    pub(in crate::report) tone: Tone,
}

/// Tiles beside each other.
pub(in crate::report) fn tiles(tiles: &[Tile]) -> Markup {
    html! {
        dl .tiles {
            @for tile in tiles {
                div .tile .(class(tile.tone)) {
                    dt { (tile.name) }
                    dd { (tile.value) }
                    @if !tile.remark.is_empty() { dd .remark { (tile.remark) } }
                }
            }
        }
    }
}
