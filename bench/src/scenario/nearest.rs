//! The right name for a misspelt one.

/// The known name that was probably meant, if one is near enough.
pub(crate) fn nearest<'n>(wrong: &str, known: &[&'n str]) -> Option<&'n str> {
    let wrong = wrong.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&wrong, name);
    let closest = known.iter().copied().min_by_key(|name| distance(name))?;
    // One slip in three letters is a slip; more is another word. A plain abbreviation is near as well.
    if distance(closest) <= wrong.chars().count().max(3) / 3 {
        return Some(closest);
    }
    known.iter().copied().find(|name| {
        wrong.len() >= 3 && (name.starts_with(&wrong) || wrong.starts_with(name)) && name.len() >= 3
    })
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_name_and_another_word_finds_none() {
        let known = [
            "records",
            "key",
            "value",
            "mix",
            "view_change",
            "fast_quorum",
        ];
        assert_eq!(nearest("recrods", &known), Some("records"));
        assert_eq!(nearest("Records", &known), Some("records"));
        assert_eq!(nearest("fastquorum", &known), Some("fast_quorum"));
        assert_eq!(nearest("view", &known), Some("view_change"));
        assert_eq!(nearest("kye", &known), Some("key"));
        assert_eq!(nearest("banana", &known), None);
        assert_eq!(nearest("", &known), None);
    }
}
