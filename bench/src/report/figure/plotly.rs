//! A drawing in the words of plotly.js: `{"data": [..], "layout": {..}}`.
//!
//! Colours of axes, grid and words are left to the page's style, which knows light from dark and paper.

use serde_json::{Map, Value, json};

use super::{Axis, AxisKind, Band, Dash, Drawing, Look, Mark, Point, Trace};

/// Height of a plot in pixels.
const HEIGHT: u32 = 300;

/// The greatest value over the least from which on an axis is by ratio.
const LOG_RATIO_MIN: f64 = 4.0;

/// From here on an axis by ratio has room for powers of ten only.
const LOG_RATIO_WIDE: f64 = 2_000.0;

/// Labels of bands and marks that can be read beside each other.
const LABELS_MAX: usize = 14;

/// The figure as plotly.js takes it.
pub(crate) fn plotly(drawing: &Drawing) -> Value {
    let height = match drawing.height {
        0 => HEIGHT,
        height => height,
    };
    let kind = kind(drawing);
    let legend = drawing
        .traces
        .iter()
        .filter(|trace| !trace.name.is_empty())
        .count()
        > 1;
    let spans = drawing.traces.iter().any(|trace| trace.look == Look::Spans);
    let lines = drawing.traces.iter().any(|trace| trace.look.is_line());
    let mut layout = json!({
        "height": height,
        "margin": {"l": 56, "r": 14, "t": 26, "b": if legend { 76 } else { 44 }},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12},
        "showlegend": legend,
        "legend": {"orientation": "h", "x": 0, "y": 0, "yanchor": "bottom", "yref": "container", "traceorder": "normal"},
        "hovermode": if lines { "x unified" } else { "closest" },
        "hoverlabel": {"namelength": -1},
        "barmode": if drawing.stacked { "stack" } else if spans { "overlay" } else { "group" },
        "bargap": 0.25,
        "xaxis": axis(&drawing.x, drawing.x.kind),
        "yaxis": axis(&drawing.y, kind),
    });
    if kind == AxisKind::Log && ratio(drawing) > LOG_RATIO_WIDE {
        layout["yaxis"]["dtick"] = 1.into();
    }
    let bands = drawing.bands.iter().map(band);
    let marks = drawing.marks.iter().map(mark);
    layout["shapes"] = bands.chain(marks).collect();
    layout["annotations"] = labels(drawing);
    json!({"data": drawing.traces.iter().map(trace).collect::<Value>(), "layout": layout})
}

/// The greatest positive value over the least; below 1 without any.
fn ratio(drawing: &Drawing) -> f64 {
    let values = drawing
        .traces
        .iter()
        .flat_map(|trace| &trace.points)
        .filter_map(|point| point.1);
    let values = values.filter(|value| *value > 0.0);
    let (least, most) = values.fold((f64::MAX, 0.0), |(least, most), value| {
        (value.min(least), value.max(most))
    });
    most / least
}

/// By distance where the values are so close to each other that an axis by ratio would have no round number on it.
fn kind(drawing: &Drawing) -> AxisKind {
    match drawing.y.kind {
        AxisKind::Log if ratio(drawing) < LOG_RATIO_MIN => AxisKind::FromZero,
        kind => kind,
    }
}

fn axis(axis: &Axis, kind: AxisKind) -> Value {
    let mut made = json!({
        "title": {"text": text(&axis.title), "standoff": 8},
        "automargin": true,
        "zeroline": false,
        "fixedrange": false,
    });
    match kind {
        AxisKind::Linear => {}
        AxisKind::FromZero => made["rangemode"] = "tozero".into(),
        AxisKind::Log => {
            made["type"] = "log".into();
            // 1, 2, 5, 10: plain numbers instead of powers.
            made["dtick"] = "D2".into();
            made["tickformat"] = ",~r".into();
        }
    }
    if !axis.ticks.is_empty() {
        made["tickmode"] = "array".into();
        made["tickvals"] = axis.ticks.iter().map(|(place, _)| number(*place)).collect();
        made["ticktext"] = axis.ticks.iter().map(|(_, name)| text(name)).collect();
    }
    if let Some((from, to)) = axis.range {
        let ends = if axis.downwards {
            [to, from]
        } else {
            [from, to]
        };
        made["range"] = ends.map(number).into_iter().collect();
    }
    made
}

fn trace(trace: &Trace) -> Value {
    let column = |pick: fn(&Point) -> Option<f64>| -> Value {
        trace
            .points
            .iter()
            .map(|point| pick(point).map_or(Value::Null, number))
            .collect()
    };
    let (x, y) = (column(|point| Some(point.0)), column(|point| point.1));
    let colour = trace.colour.hex();
    let mut made = Map::new();
    made.insert("name".into(), text(&trace.name).into());
    if trace.name.is_empty() {
        made.insert("showlegend".into(), false.into());
    }
    made.insert("x".into(), x);
    made.insert("y".into(), y);
    let each: Value = trace.colours.iter().map(|colour| colour.hex()).collect();
    let colours = if trace.colours.is_empty() {
        json!(colour)
    } else {
        each
    };
    let line = |width: f64| {
        json!({"color": colour, "width": width, "dash": match trace.dash {
            Dash::Solid => "solid",
            Dash::Dashed => "dash",
            Dash::Dotted => "dot",
        }})
    };
    let symbol =
        |symbol: &str, size: u32| json!({"color": colours, "size": size, "symbol": symbol});
    let parts = match trace.look {
        Look::Line => json!({"type": "scatter", "mode": "lines", "line": line(2.0)}),
        Look::Faint => {
            json!({"type": "scatter", "mode": "lines", "line": line(1.0), "opacity": 0.45})
        }
        Look::Marked => {
            json!({"type": "scatter", "mode": "lines+markers", "line": line(2.0), "marker": symbol("circle", 7)})
        }
        Look::MarkedDash => {
            let mut line = line(2.0);
            line["dash"] = "dash".into();
            json!({"type": "scatter", "mode": "lines+markers", "line": line, "marker": symbol("circle-open", 7)})
        }
        Look::Points => {
            json!({"type": "scatter", "mode": "markers", "marker": symbol("circle", 9)})
        }
        Look::Hollow => {
            json!({"type": "scatter", "mode": "markers", "marker": symbol("circle-open", 13)})
        }
        Look::Diamonds => {
            json!({"type": "scatter", "mode": "markers", "marker": symbol("diamond", 11)})
        }
        Look::Bars => json!({"type": "bar", "marker": {"color": colours}}),
        Look::Spans => {
            json!({"type": "bar", "orientation": "h", "marker": {"color": colours}, "width": 0.62})
        }
    };
    made.extend(parts.as_object().cloned().unwrap_or_default());
    if !trace.bases.is_empty() {
        made.insert(
            "base".into(),
            trace.bases.iter().map(|base| number(*base)).collect(),
        );
    }
    if !trace.words.is_empty() {
        made.insert(
            "text".into(),
            trace.words.iter().map(|word| text(word)).collect(),
        );
        match trace.look {
            Look::Bars | Look::Spans => {
                made.insert("textposition".into(), "auto".into());
                made.insert("constraintext".into(), "both".into());
                made.insert("insidetextanchor".into(), "start".into());
            }
            _ => {
                made.insert("mode".into(), "markers+text".into());
                made.insert("textposition".into(), "top center".into());
            }
        }
    }
    if !trace.intervals.is_empty() {
        let ends = |pick: fn(f64, (f64, f64)) -> f64| -> Value {
            let points = trace.points.iter().zip(&trace.intervals);
            points
                .map(|(point, interval)| {
                    point.1.map_or(Value::Null, |y| number(pick(y, *interval)))
                })
                .collect()
        };
        made.insert(
            "error_y".into(),
            json!({
                "type": "data", "symmetric": false, "thickness": 1.5, "color": colour,
                "array": ends(|y, (_, high)| (high - y).max(0.0)),
                "arrayminus": ends(|y, (low, _)| (y - low).max(0.0)),
            }),
        );
    }
    let value = if trace.look == Look::Spans { "x" } else { "y" };
    let unit = text(trace.unit);
    if trace.notes.is_empty() {
        made.insert(
            "hovertemplate".into(),
            format!("%{{{value}:,.4~r}} {unit}").into(),
        );
    } else {
        made.insert(
            "customdata".into(),
            trace.notes.iter().map(|note| text(note)).collect(),
        );
        made.insert(
            "hovertemplate".into(),
            "%{customdata}<extra></extra>".into(),
        );
    }
    Value::Object(made)
}

fn band(band: &Band) -> Value {
    json!({
        "type": "rect", "xref": "x", "yref": "paper", "layer": "below",
        "x0": number(band.from), "x1": number(band.to), "y0": 0, "y1": 1,
        "fillcolor": "rgba(214,69,69,0.13)", "line": {"width": 0},
    })
}

fn mark(mark: &Mark) -> Value {
    let line =
        json!({"color": "#84898f", "width": 1.2, "dash": if mark.level { "dash" } else { "dot" }});
    if mark.level {
        json!({"type": "line", "xref": "paper", "yref": "y", "x0": 0, "x1": 1,
            "y0": number(mark.at), "y1": number(mark.at), "line": line})
    } else {
        json!({"type": "line", "xref": "x", "yref": "paper", "y0": 0, "y1": 1,
            "x0": number(mark.at), "x1": number(mark.at), "line": line})
    }
}

/// Words at the upper end of bands and marks. Where there are too many to be read, there are none: the table has them.
fn labels(drawing: &Drawing) -> Value {
    let label = |x: Value, y: Value, words: &str, across: bool| {
        json!({"x": x, "y": y, "xref": if across { "paper" } else { "x" }, "yref": if across { "y" } else { "paper" },
            "text": text(words), "showarrow": false, "font": {"size": 11},
            "xanchor": if across { "right" } else { "left" }, "yanchor": "bottom"})
    };
    let bands = drawing.bands.iter().filter(|band| !band.label.is_empty());
    let bands = bands.map(|band| label(number(band.from), json!(1), &band.label, false));
    let marks = drawing.marks.iter().filter(|mark| !mark.label.is_empty());
    let marks = marks.map(|mark| match (mark.level, kind(drawing)) {
        (true, AxisKind::Log) => label(json!(1), number(mark.at.log10()), &mark.label, true),
        (true, _) => label(json!(1), number(mark.at), &mark.label, true),
        (false, _) => label(number(mark.at), json!(0.9), &mark.label, false),
    });
    let all: Vec<Value> = bands.chain(marks).collect();
    if all.len() > LABELS_MAX {
        json!([])
    } else {
        json!(all)
    }
}

/// Plotly reads some markup in texts: names are shown as they are.
fn text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Seven significant digits: more than a plot can show.
fn number(value: f64) -> Value {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { json!(0) } else { Value::Null };
    }
    let digits = 6 - value.abs().log10().floor() as i32;
    let scale = 10f64.powi(digits.clamp(-300, 300));
    let rounded = (value * scale).round() / scale;
    if rounded.fract() == 0.0 && rounded.abs() < 1e15 {
        json!(rounded as i64)
    } else {
        json!(rounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup_and_gaps_are_null() {
        let drawing = Drawing {
            traces: vec![Trace {
                name: "<b>x</b> & y".to_owned(),
                points: vec![(0.1, Some(1.0 / 3.0)), (0.2, None), (0.3, Some(f64::NAN))],
                notes: vec!["<script>".to_owned()],
                ..Trace::default()
            }],
            ..Drawing::default()
        };
        let made = plotly(&drawing);
        let trace = &made["data"][0];
        assert_eq!(trace["name"], "&lt;b&gt;x&lt;/b&gt; &amp; y");
        assert_eq!(trace["customdata"][0], "&lt;script&gt;");
        assert_eq!(trace["y"], json!([0.3333333, null, null]));
    }

    #[test]
    fn numbers_keep_seven_digits() {
        assert_eq!(number(86_399.9), json!(86_399.9));
        assert_eq!(number(1_234_567.89), json!(1_234_568));
        assert_eq!(number(0.000_012_345_678_9), json!(0.000_012_345_68));
        assert_eq!(number(-2.0), json!(-2));
    }
}
