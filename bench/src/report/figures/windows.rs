//! Tables of what is drawn over time: a few windows instead of every point.

use crate::report::figure::Grid;

/// Windows of a table.
const WINDOWS: usize = 10;

/// Points of a window with what is said of it.
type Said<'p> = &'p dyn Fn(&[usize]) -> Vec<String>;

/// Divides points in time into windows of equal length and lets `say` fill the columns for each, given the indexes of
/// its points. The first column is the time.
pub(super) fn table(times: &[f64], columns: &[&str], say: Said<'_>) -> Grid {
    let mut header = vec!["seconds"];
    header.extend(columns);
    let mut grid = Grid::new(&header);
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return grid;
    };
    let width = ((last - first) / WINDOWS as f64).max(f64::MIN_POSITIVE);
    let mut windows: Vec<Vec<usize>> = vec![Vec::new(); WINDOWS];
    for (index, time) in times.iter().enumerate() {
        let window = ((time - first) / width) as usize;
        windows[window.min(WINDOWS - 1)].push(index);
    }
    for (number, window) in windows
        .iter()
        .enumerate()
        .filter(|(_, window)| !window.is_empty())
    {
        let from = first + width * number as f64;
        let mut row = vec![format!("{from:.1} to {:.1}", from + width)];
        row.extend(say(window));
        grid.push(row);
    }
    grid
}

/// The values at some places that have one.
pub(super) fn at(column: &[Option<f64>], places: &[usize]) -> Vec<f64> {
    places
        .iter()
        .filter_map(|place| column.get(*place).copied().flatten())
        .collect()
}

/// The greatest, if there is one.
pub(super) fn greatest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

/// The least, if there is one.
pub(super) fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::min)
}

/// As `show` writes it, or a dash for what is missing.
pub(super) fn or_dash(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_in_one_of_ten_windows_of_equal_length() {
        let times: Vec<f64> = (0..=100).map(f64::from).collect();
        let grid = table(&times, &["points", "first"], &|places| {
            vec![places.len().to_string(), places[0].to_string()]
        });
        assert_eq!(grid.header, ["seconds", "points", "first"]);
        assert_eq!(grid.rows.len(), WINDOWS);
        assert_eq!(grid.rows[0], ["0.0 to 10.0", "10", "0"]);
        assert_eq!(grid.rows[9], ["90.0 to 100.0", "11", "90"]);
    }

    #[test]
    fn a_window_without_points_has_no_row_and_nothing_has_no_table() {
        let grid = table(&[0.0, 1.0, 100.0], &["points"], &|places| {
            vec![places.len().to_string()]
        });
        assert_eq!(grid.rows.len(), 2);
        assert!(table(&[], &[], &|_| Vec::new()).rows.is_empty());
    }

    #[test]
    fn what_is_missing_is_left_out_and_shown_as_a_dash() {
        let column = [Some(3.0), None, Some(1.0)];
        assert_eq!(at(&column, &[0, 1, 2, 9]), [3.0, 1.0]);
        assert_eq!(
            (greatest(&[3.0, 1.0]), least(&[3.0, 1.0])),
            (Some(3.0), Some(1.0))
        );
        assert_eq!(or_dash(least(&[]), |value| value.to_string()), "-");
    }
}
