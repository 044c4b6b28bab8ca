//! What reading a scenario gathers besides its values: problems, warnings, origins, and keys that nobody declared.

use super::nearest::nearest;
use super::problem::Problem;
use super::read::sweep::Written;
use super::tree::{Layers, Place};

/// Where an effective value came from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    /// Nobody wrote it.
    Default,
    /// It follows from another value, which the text names.
    Derived(String),
    /// It was written here.
    Written(Place),
}

/// What reading a scenario gathers besides its values.
pub(super) struct Reading<'l> {
    pub(super) layers: &'l Layers,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// Dotted path and origin of every key, in the order of the file format.
    pub(super) origins: Vec<(String, Origin)>,
    pub(super) unknown: Vec<Unknown>,
    /// What a sweep varies, with the places.
    pub(super) sweep: Option<Written>,
    /// Paths whose values were refused: what depends on them is not judged.
    pub(super) refused: Vec<String>,
    /// What the cell of a sweep sets, which goes before everything else: keys and values.
    pub(super) settings: Vec<Place>,
}

/// A key that nobody declared; judged when all declared ones are known.
pub(super) struct Unknown {
    pub(super) table: String,
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) siblings: Vec<&'static str>,
}

impl<'l> Reading<'l> {
    pub(super) fn new(layers: &'l Layers) -> Self {
        Self {
            layers,
            problems: Vec::new(),
            warnings: Vec::new(),
            origins: Vec::new(),
            unknown: Vec::new(),
            sweep: None,
            refused: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// Of two places the one with the higher rank goes before the other.
    pub(super) fn rank(&self, place: Place) -> usize {
        let set_by_cell = self.settings.iter().any(|setting| setting.contains(place));
        if set_by_cell { usize::MAX } else { place.layer }
    }

    /// Where a key's value was written; `None` for a default.
    pub(super) fn place(&self, path: &str) -> Option<Place> {
        self.origins
            .iter()
            .find_map(|(known, origin)| match origin {
                Origin::Written(place) if known == path => Some(*place),
                _ => None,
            })
    }

    /// A problem at the first of these keys that somebody wrote.
    pub(super) fn blame(&mut self, paths: &[&str], problem: Problem, label: &str) {
        let problem = self.placed(paths, problem, label);
        self.problems.push(problem);
    }

    /// A warning at the first of these keys that somebody wrote.
    pub(super) fn warn(&mut self, paths: &[&str], problem: Problem, label: &str) {
        let problem = self.placed(paths, problem, label);
        self.warnings.push(problem.warning());
    }

    fn placed(&self, paths: &[&str], problem: Problem, label: &str) -> Problem {
        match paths.iter().find_map(|path| self.place(path)) {
            Some(place) => place.blame(self.layers, problem, label),
            None => problem,
        }
    }

    /// Turns the keys that nobody declared into problems, with the nearest right name.
    pub(super) fn judge_unknown_keys(&mut self) {
        for Unknown {
            table,
            key,
            place,
            siblings,
        } in std::mem::take(&mut self.unknown)
        {
            let home = match table.rsplit_once('.') {
                _ if table.is_empty() => "at the top level".to_owned(),
                Some((list, index)) if index.parse::<usize>().is_ok() => format!("in [[{list}]]"),
                _ => format!("in [{table}]"),
            };
            let (label, help) = if let Some(near) = nearest(&key, &siblings) {
                (format!("did you mean `{near}`?"), format!("write `{near}`"))
            } else if let Some((name, home)) = self.elsewhere(&key) {
                (
                    format!("did you mean `{name}` of {home}?"),
                    format!("move it to {home}"),
                )
            } else {
                (
                    "unknown".to_owned(),
                    format!("known here: {}", siblings.join(", ")),
                )
            };
            let problem = Problem::new(format!("unknown key `{key}` {home}")).help(help);
            self.problems
                .push(place.blame(self.layers, problem, &label));
        }
    }
}

impl Reading<'_> {
    /// The key of another table that was probably meant, and that table.
    fn elsewhere(&self, key: &str) -> Option<(&str, String)> {
        let split = |path: &'_ str| {
            path.rsplit_once('.')
                .map_or((String::new(), path.to_owned()), |(table, name)| {
                    (table.to_owned(), name.to_owned())
                })
        };
        let names: Vec<&str> = self
            .origins
            .iter()
            .map(|(path, _)| path.rsplit('.').next().unwrap_or(path))
            .collect();
        let near = nearest(key, &names)?;
        let (path, _) = self
            .origins
            .iter()
            .find(|(path, _)| split(path).1 == near)?;
        let (table, _) = split(path);
        let home = if table.is_empty() {
            "the top level, above all tables".to_owned()
        } else {
            format!("[{table}]")
        };
        Some((near, home))
    }

    /// Whether the value of this key was written and refused.
    pub(super) fn refused(&self, path: &str) -> bool {
        self.refused.iter().any(|refused| refused == path)
    }
}
