//! What stands in a plot: lines, points, bars.

/// A place and how much there is; `None` is a gap.
pub(crate) type Point = (f64, Option<f64>);

/// Values of one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trace {
    /// As the legend says it.
    pub(crate) name: String,
    /// How it is drawn.
    pub(crate) look: Look,
    /// Where, and how much; a gap is `None`.
    pub(crate) points: Vec<Point>,
    /// Where bars and spans begin, for each point, if not at 0.
    pub(crate) bases: Vec<f64>,
    /// What a point says when it is pointed at, besides its value.
    pub(crate) notes: Vec<String>,
    /// Words on bars and points.
    pub(crate) words: Vec<String>,
    /// Low and high ends of an interval, for each point.
    pub(crate) intervals: Vec<(f64, f64)>,
    /// Which colour.
    pub(crate) colour: Colour,
    /// A colour for each point, where they differ.
    pub(crate) colours: Vec<Colour>,
    /// How a line is broken.
    pub(crate) dash: Dash,
    /// Unit of its values, as it stands behind a number: `ms`, `/s`.
    pub(crate) unit: &'static str,
}

/// How values are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Look {
    /// A line through the points.
    #[default]
    Line,
    /// A thin, faint line behind others.
    Faint,
    /// A line with its points.
    Marked,
    /// The same, dashed.
    MarkedDash,
    /// Points.
    Points,
    /// Hollow points.
    Hollow,
    /// Diamonds.
    Diamonds,
    /// Bars upwards from the names below them.
    Bars,
    /// Bars to the right, from names beside them: `x` is the length, `y` the name's number.
    Spans,
}

impl Look {
    /// Whether points that are left out are missed by nobody.
    pub(crate) const fn is_line(self) -> bool {
        matches!(self, Self::Line | Self::Faint)
    }
}

/// Colours by what they stand for; the same ones in light and dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Colour {
    /// The first of many.
    #[default]
    Blue,
    /// Another.
    Orange,
    /// Another.
    Green,
    /// What is wrong.
    Red,
    /// Another.
    Violet,
    /// Another.
    Teal,
    /// Another.
    Pink,
    /// Another.
    Olive,
    /// What stands behind.
    Grey,
}

impl Colour {
    const MANY: [Self; 7] = [
        Self::Blue,
        Self::Orange,
        Self::Green,
        Self::Violet,
        Self::Teal,
        Self::Pink,
        Self::Olive,
    ];

    /// One of many; they come again after seven.
    pub(crate) const fn of(index: usize) -> Self {
        Self::MANY[index % Self::MANY.len()]
    }

    /// At least 3 to 1 on white, and on the dark page.
    pub(crate) const fn hex(self) -> &'static str {
        match self {
            Self::Blue => "#3b82d0",
            Self::Orange => "#cf7418",
            Self::Green => "#2f9e62",
            Self::Red => "#d64545",
            Self::Violet => "#9068c8",
            Self::Teal => "#1c98a6",
            Self::Pink => "#cc5c9c",
            Self::Olive => "#8d8a2a",
            Self::Grey => "#84898f",
        }
    }
}

/// How a line is broken, so that lines differ without colours, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dash {
    /// Not at all.
    #[default]
    Solid,
    /// Short dashes.
    Dashed,
    /// Dots.
    Dotted,
}

impl Dash {
    /// The next one after all colours were used.
    pub(crate) const fn of(index: usize) -> Self {
        match index / Colour::MANY.len() % 3 {
            0 => Self::Solid,
            1 => Self::Dashed,
            _ => Self::Dotted,
        }
    }
}
