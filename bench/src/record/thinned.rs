//! Looks at something that goes on for nobody knows how long: as many as fit, at equal distances.
//!
//! When there are too many, every other one goes, and from then on half as many are kept. The first and the last are always
//! there, so that differences between totals add up to the whole.

/// A bounded series.
#[derive(Debug, Clone)]
pub struct Thinned<T> {
    kept: Vec<T>,
    /// The last one, if it is not kept.
    last: Option<T>,
    seen: usize,
    /// Every how many looks one is kept.
    stride: usize,
    max: usize,
}

impl<T> Thinned<T> {
    /// An empty series of at most `max` looks, two at least.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Thinned {
            kept: Vec::new(),
            last: None,
            seen: 0,
            stride: 1,
            max: max.max(2),
        }
    }

    /// Adds a look.
    pub fn push(&mut self, look: T) {
        let kept = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !kept {
            self.last = Some(look);
            return;
        }
        self.last = None;
        self.kept.push(look);
        if self.kept.len() >= self.max {
            let mut index = 0;
            let mut dropped = None;
            let mut all = std::mem::take(&mut self.kept);
            if all.len().is_multiple_of(2) {
                dropped = all.pop();
            }
            all.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            (self.kept, self.last) = (all, dropped);
            self.stride *= 2;
        }
    }

    /// What is kept, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.kept.iter().chain(&self.last)
    }

    /// The same to take away.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<T> {
        self.kept.extend(self.last);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_kept_at_equal_distances_from_its_first_look_to_its_last() {
        for max in [2, 7, 8, 100] {
            let mut series = Thinned::new(max);
            for look in 0..5 * max {
                series.push(look);
                let all: Vec<usize> = series.iter().copied().collect();
                assert!(all.len() <= max, "{} of {max}", all.len());
                assert_eq!((all[0], all.last()), (0, Some(&look)));
                let inner = &all[..all.len() - 1];
                let steps: Vec<usize> = inner.windows(2).map(|two| two[1] - two[0]).collect();
                assert!(steps.windows(2).all(|two| two[0] == two[1]), "{all:?}");
                if let (Some(step), [.., before, last]) = (steps.first(), &all[..]) {
                    assert!(last - before <= *step, "{all:?}");
                }
            }
            assert_eq!(series.clone().into_vec().len(), series.iter().count());
        }
    }

    #[test]
    fn a_short_run_is_kept_whole() {
        let mut series = Thinned::new(10);
        (0..9).for_each(|look| series.push(look));
        assert_eq!(series.into_vec(), (0..9).collect::<Vec<_>>());
    }
}
