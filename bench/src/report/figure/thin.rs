//! Fewer points for a long run: of each window its least, middle and greatest value, so that no peak and no gap in service
//! is lost.

use super::Point;

/// Points of a line at most.
const POINTS_MAX: usize = 2_000;

/// Points that stand for a window.
const POINTS_A_WINDOW: usize = 3;

/// The points that stand for all, and the number of windows; `None` if there are few enough as they are.
pub(crate) fn thinned(points: &[Point]) -> Option<(Vec<Point>, usize)> {
    if points.len() <= POINTS_MAX {
        return None;
    }
    let width = points.len().div_ceil(POINTS_MAX / POINTS_A_WINDOW);
    let windows = points.chunks(width);
    let count = windows.len();
    Some((windows.flat_map(of_window).collect(), count))
}

fn of_window(window: &[Point]) -> Vec<Point> {
    let mut values: Vec<(f64, f64)> = window
        .iter()
        .filter_map(|(x, y)| Some((*x, (*y)?)))
        .collect();
    if values.is_empty() {
        // A gap stays one.
        return window.first().copied().into_iter().collect();
    }
    values.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut kept = vec![
        values[0],
        values[values.len() / 2],
        values[values.len() - 1],
    ];
    kept.sort_by(|a, b| a.0.total_cmp(&b.0));
    kept.dedup();
    kept.into_iter().map(|(x, y)| (x, Some(y))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_and_gaps_survive_and_the_bound_holds() {
        let mut points: Vec<Point> = (0..100_000)
            .map(|index| (f64::from(index), Some(f64::from(index % 10))))
            .collect();
        points[54_321].1 = Some(1e6);
        points[77_777].1 = Some(-5.0);
        for point in &mut points[10_000..11_000] {
            point.1 = None;
        }
        let (kept, windows) = thinned(&points).expect("too many points");
        assert!(kept.len() <= POINTS_MAX && windows <= POINTS_MAX / 3 + 1);
        assert!(kept.contains(&(54_321.0, Some(1e6))) && kept.contains(&(77_777.0, Some(-5.0))));
        assert!(
            kept.iter().any(|point| point.1.is_none()),
            "the gap is shown"
        );
        assert!(
            kept.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "in order"
        );
        assert_eq!(thinned(&points[..POINTS_MAX]), None);
    }
}
