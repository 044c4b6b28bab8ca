use serde_json::json;

use super::*;
use crate::report::figure::{Drawing, Trace};

#[test]
fn data_cannot_end_its_element() {
    let text = inert(&json!({"name": "</script><script>alert(1)</script>", "and": "a & b"}));
    assert!(!text.contains(['<', '>', '&']));
    let back: Value = serde_json::from_str(&text).expect("still JSON");
    assert_eq!(back["name"], "</script><script>alert(1)</script>");
}

#[test]
fn a_page_carries_the_plots_once_and_only_if_it_has_any() {
    let drawn = Figure::new(
        "a",
        "A",
        "caption",
        Ok(Drawing {
            traces: vec![Trace::default()],
            ..Drawing::default()
        }),
    );
    let absent = Figure::new("b", "B", "caption", Err("no data.".to_owned()));
    let content = html! { p { "words" } };
    let with = page("x", &content, &[&drawn, &absent]);
    assert_eq!(with.matches("id=\"plots\"").count(), 1);
    assert!(with.contains(PLOTS) && with.contains(SCRIPT_HASH) && with.contains(PLOTS_HASH));
    let without = page("x", &content, &[&absent]);
    assert!(!without.contains("<script") && without.len() < 20_000);
}
