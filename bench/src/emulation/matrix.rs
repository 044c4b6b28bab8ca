//! Round trips between named places: shipped matrices, and those of a CSV file.
//!
//! The first line names the columns, the first cell of each other line its row; the rest are round trips in
//! milliseconds. A row is where a datagram leaves, a column where it arrives; half of the cell is one way. On the diagonal
//! is the way between two machines of one place.

use std::time::Duration;

use super::distance::DELAY_MAX;

/// Places of a matrix at most.
pub(super) const PLACES_MAX: usize = 256;

/// Matrices by name. `aws`: 16 regions of Amazon Web Services. Rounded round trips as public dashboards of pings between
/// regions (such as cloudping.co) show them over months; they are indications, not measurements of this project, and
/// move by several percent with routes and years.
const SHIPPED: [(&str, &str); 1] = [("aws", include_str!("aws.csv"))];

/// Round trips between places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    places: Vec<String>,
    /// Row by row.
    round_trips: Vec<Duration>,
}

/// Why a CSV is no matrix. Its writer is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// It has no places.
    #[error("it is empty: the first line names the places")]
    Empty,
    /// It has too many places.
    #[error("it has {0} places, more than {PLACES_MAX}")]
    TooMany(usize),
    /// Rows and columns do not agree.
    #[error(
        "line {line} begins with \"{found}\", but column {column} is \"{wanted}\": rows and columns have the same order"
    )]
    Row {
        /// Of the file, from 1.
        line: usize,
        /// Of the place, from 1.
        column: usize,
        /// What the row says.
        found: String,
        /// What the column says.
        wanted: String,
    },
    /// A row has too many or too few cells.
    #[error("line {line} has {found} round trips, not {wanted}")]
    Cells {
        /// Of the file, from 1.
        line: usize,
        /// Cells.
        found: usize,
        /// Places.
        wanted: usize,
    },
    /// There are rows missing or to spare.
    #[error("it has {found} rows for {wanted} columns")]
    Rows {
        /// Rows.
        found: usize,
        /// Places.
        wanted: usize,
    },
    /// A cell is no round trip.
    #[error("line {line}: \"{cell}\" is no number of milliseconds from 0 to {}", 2 * DELAY_MAX.as_millis())]
    Cell {
        /// Of the file, from 1.
        line: usize,
        /// What it says.
        cell: String,
    },
}

/// The names of the shipped matrices.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// A shipped matrix.
pub fn named(name: &str) -> Option<Matrix> {
    let (_, text) = SHIPPED.iter().find(|(known, _)| *known == name)?;
    Some(Matrix::parse(text).expect("a test reads every shipped matrix"))
}

impl Matrix {
    /// Reads a CSV.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, MatrixError> {
        let lines = (1..).zip(text.lines());
        let mut lines = lines.filter(|(_, line)| !line.trim().is_empty());
        let (_, header) = lines.next().ok_or(MatrixError::Empty)?;
        let cells = |line: &str| -> Vec<String> {
            line.split(',').map(|cell| cell.trim().to_owned()).collect()
        };
        let places = cells(header).split_off(1);
        let wanted = places.len();
        if wanted == 0 {
            return Err(MatrixError::Empty);
        }
        if wanted > PLACES_MAX {
            return Err(MatrixError::TooMany(wanted));
        }
        let mut round_trips = Vec::with_capacity(wanted * wanted);
        let mut rows = 0;
        for (line, text) in lines {
            let row = cells(text);
            let (name, row) = row.split_first().ok_or(MatrixError::Empty)?;
            match places.get(rows) {
                Some(place) if place == name => {}
                Some(place) => {
                    return Err(MatrixError::Row {
                        line,
                        column: rows + 1,
                        found: name.clone(),
                        wanted: place.clone(),
                    });
                }
                None => {
                    let found = rows + 1;
                    return Err(MatrixError::Rows { found, wanted });
                }
            }
            if row.len() != wanted {
                let found = row.len();
                return Err(MatrixError::Cells {
                    line,
                    found,
                    wanted,
                });
            }
            for cell in row {
                round_trips.push(round_trip(cell).ok_or_else(|| MatrixError::Cell {
                    line,
                    cell: cell.clone(),
                })?);
            }
            rows += 1;
        }
        if rows != wanted {
            return Err(MatrixError::Rows {
                found: rows,
                wanted,
            });
        }
        Ok(Matrix {
            places,
            round_trips,
        })
    }

    /// The names of the places.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(String::as_str)
    }

    /// The round trip from one place to another and back; `None` if one of them is unknown.
    pub fn round_trip(&self, from: &str, to: &str) -> Option<Duration> {
        let index = |name: &str| self.places.iter().position(|place| place == name);
        let cell = index(from)? * self.places.len() + index(to)?;
        self.round_trips.get(cell).copied()
    }
}

fn round_trip(cell: &str) -> Option<Duration> {
    let ms: f64 = cell.parse().ok()?;
    let fits = (0.0..=2e3 * DELAY_MAX.as_secs_f64()).contains(&ms);
    fits.then(|| Duration::from_secs_f64(ms / 1e3))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_shipped_matrix_is_symmetric_and_no_detour_is_much_shorter() {
        for name in names() {
            let matrix = named(name).unwrap();
            let places: Vec<&str> = matrix.places().collect();
            assert!(places.len() >= 12, "{name}");
            let trip = |from, to| matrix.round_trip(from, to).unwrap();
            for one in &places {
                assert!(trip(one, one) <= Duration::from_millis(2), "{one}");
                for other in &places {
                    assert_eq!(trip(one, other), trip(other, one), "{one} {other}");
                    for between in places.iter().filter(|place| *place != one) {
                        // A wrong digit would open a short cut.
                        let detour = trip(one, between) + trip(between, other);
                        assert!(
                            detour * 4 >= trip(one, other) * 3,
                            "{one} {between} {other}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_matrix_need_not_be_symmetric_and_has_fractions() {
        let matrix = Matrix::parse("rtt,here, there\nhere,0,10.5\n\nthere,20,1\n").unwrap();
        assert_eq!(
            matrix.round_trip("here", "there"),
            Some(Duration::from_micros(10_500))
        );
        assert_eq!(
            matrix.round_trip("there", "here"),
            Some(Duration::from_millis(20))
        );
        assert_eq!(matrix.round_trip("here", "nowhere"), None);
    }

    #[test]
    fn what_is_wrong_with_a_matrix_is_said_with_its_line() {
        let error = |text: &str| Matrix::parse(text).unwrap_err().to_string();
        assert_eq!(error(""), "it is empty: the first line names the places");
        assert_eq!(error("rtt"), "it is empty: the first line names the places");
        assert_eq!(error(",a,b\na,1,2\n"), "it has 1 rows for 2 columns");
        assert_eq!(error(",a\na,1\nb,1\n"), "it has 2 rows for 1 columns");
        assert_eq!(error(",a,b\na,1\n"), "line 2 has 1 round trips, not 2");
        assert_eq!(
            error(",a,b\nb,1,2\n"),
            "line 2 begins with \"b\", but column 1 is \"a\": rows and columns have the same order"
        );
        for cell in ["-1", "x", "", "NaN", "20001"] {
            let found = error(&format!(",a\na,{cell}\n"));
            assert_eq!(
                found,
                format!("line 2: \"{cell}\" is no number of milliseconds from 0 to 20000")
            );
        }
        let many: String = (0..=PLACES_MAX).map(|place| format!(",{place}")).collect();
        assert_eq!(error(&many), "it has 257 places, more than 256");
    }
}
