//! Where results and messages go.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::arguments::Global;
use crate::campaign::leave_page;
use crate::exit::Exit;
use crate::options::{Display, RunError};
use crate::report::Paint;
use crate::scenario::{Problem, ScenarioError, render};

/// The `schema` of a document which says that there is no result.
const ERROR_SCHEMA: &str = "bench.error/v1";

/// Results on stdout, messages on stderr.
pub(super) struct Output {
    /// Whether stdout is one JSON document.
    pub(super) json: bool,
    /// Whether only results and errors are shown.
    quiet: bool,
    /// How stdout is painted.
    pub(super) paint: Paint,
    /// How stderr is painted.
    message_paint: Paint,
    stdout: RefCell<Box<dyn Write>>,
    /// Whether stdout took everything.
    failed: Cell<bool>,
}

impl Output {
    pub(super) fn new(global: &Global) -> Self {
        Self {
            json: global.json,
            quiet: global.quiet,
            paint: Paint::of(&std::io::stdout()),
            message_paint: Paint::of(&std::io::stderr()),
            stdout: RefCell::new(Box::new(std::io::stdout())),
            failed: Cell::new(false),
        }
    }

    /// How progress is shown.
    pub(super) fn display(&self, plain: bool) -> Display {
        if self.quiet {
            Display::Quiet
        } else if plain || !self.message_paint.unicode || !std::io::stderr().is_terminal() {
            Display::Plain
        } else {
            Display::Tty
        }
    }

    /// The whole terminal.
    ///
    /// # Errors
    /// There is none, or one that cannot be drawn on; the message says what is shown instead.
    pub(super) fn screen(&self) -> Result<Display, String> {
        let missing = [
            ("stdout", std::io::stdout().is_terminal()),
            ("stderr", std::io::stderr().is_terminal()),
        ];
        if let Some((stream, _)) = missing.into_iter().find(|(_, terminal)| !terminal) {
            return Err(format!(
                "--tui needs a terminal, and {stream} is none: leave it out, and stderr gets one line a second"
            ));
        }
        if !self.message_paint.unicode {
            return Err(
                "--tui needs a terminal that can be drawn on, and TERM=dumb says that this one cannot: leave it out"
                    .to_owned(),
            );
        }
        Ok(Display::Screen {
            colour: self.message_paint.colour,
        })
    }

    /// A result as text.
    pub(super) fn text(&self, text: &str) {
        let mut stdout = self.stdout.borrow_mut();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Ok(()) => {}
            // The reader had enough, as `head` has.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) => {
                self.failed.set(true);
                self.complain(&format!("cannot write to stdout: {error}"));
            }
        }
    }

    /// A result as the one JSON document.
    pub(super) fn document(&self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.text(&(text + "\n")),
            Err(error) => {
                self.failed.set(true);
                self.complain(&format!("cannot write the result as JSON: {error}"));
            }
        }
    }

    /// The exit code, unless a result could not be written.
    pub(super) fn end(&self, exit: Exit) -> Exit {
        if self.failed.get() {
            exit.max(Exit::Runtime)
        } else {
            exit
        }
    }

    /// An error in one sentence.
    pub(super) fn complain(&self, message: &str) {
        message_line(&format!("bench: {message}"));
    }

    /// What is wrong with a scenario.
    pub(super) fn refuse(&self, error: &ScenarioError) {
        message_line(error.render(self.message_paint.style()).trim_end());
    }

    /// There is no result: says why, on stderr and as the one JSON document. Returns the exit code.
    pub(super) fn fail(&self, exit: Exit, message: &str) -> Exit {
        self.complain(message);
        if self.json {
            self.document(&failure(exit, message));
        }
        self.end(exit)
    }

    /// The same for a scenario that is wrong.
    pub(super) fn turn_down(&self, error: &ScenarioError) -> Exit {
        self.refuse(error);
        if self.json {
            self.document(&refusal(error));
        }
        self.end(Exit::Usage)
    }

    /// How a campaign ended: its page, and its document as JSON or `text` of it with the page's place.
    pub(super) fn campaign<D: Serialize>(
        &self,
        ended: Result<(D, Exit), RunError>,
        directory: impl Fn(&D) -> &str,
        text: impl Fn(&D, Option<&Path>, Paint) -> String,
    ) -> Exit {
        match ended {
            Ok((document, exit)) => {
                let page = self.leave_page(Path::new(directory(&document)));
                if self.json {
                    self.document(&document);
                } else {
                    self.text(&text(&document, page.as_deref(), self.paint));
                }
                self.end(exit)
            }
            Err(error) => self.fail(error.exit, &error.message),
        }
    }

    /// What is going on, on stderr.
    pub(super) fn say(&self, message: &str) {
        if !self.quiet {
            message_line(message);
        }
    }

    /// Writes the page of a campaign. That there is none is no reason to lose what was measured, and is said.
    fn leave_page(&self, directory: &Path) -> Option<PathBuf> {
        leave_page(directory)
            .map_err(|why| self.complain(&format!("warning: {why}")))
            .ok()
    }

    /// What is odd about a scenario.
    pub(super) fn warn(&self, warnings: &[Problem]) {
        if !self.quiet && !warnings.is_empty() {
            message_line(render(warnings, self.message_paint.style()).trim_end());
        }
    }
}

/// Nobody may be reading messages, and that is no reason to stop.
fn message_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Says in JSON that there is no result, and why.
pub(super) fn failure(exit: Exit, message: &str) -> Value {
    json!({ "schema": ERROR_SCHEMA, "exit": exit.code(), "message": message })
}

/// The same for a scenario that was refused.
pub(super) fn refusal(error: &ScenarioError) -> Value {
    let mut document = failure(Exit::Usage, &error.to_string());
    document["problems"] = problems(error.problems());
    document
}

/// Problems or warnings with their places.
pub(super) fn problems(problems: &[Problem]) -> Value {
    let one = |problem: &Problem| {
        let (line, column) = problem.position().unzip();
        json!({
            "message": problem.message(),
            "file": problem.source_name(),
            "line": line,
            "column": column,
            "text": problem.offending(),
            "remedy": problem.remedy(),
        })
    };
    problems.iter().map(one).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::rc::Rc;

    use super::*;

    /// What was written to stdout.
    #[derive(Clone, Default)]
    pub(in super::super) struct Written(Rc<RefCell<Vec<u8>>>);

    impl Written {
        pub(in super::super) fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.borrow()).into_owned()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Output {
        /// Results go to the given place, messages to stderr.
        pub(in super::super) fn to(stdout: impl Write + 'static, json: bool) -> Self {
            Self {
                json,
                quiet: true,
                paint: Paint::PLAIN,
                message_paint: Paint::PLAIN,
                stdout: RefCell::new(Box::new(stdout)),
                failed: Cell::new(false),
            }
        }
    }

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_a_reader_who_left_is_none() {
        let end = |kind| {
            let output = Output::to(Broken(kind), false);
            output.text("result");
            output.end(Exit::Ok)
        };
        assert_eq!(end(ErrorKind::StorageFull), Exit::Runtime);
        assert_eq!(end(ErrorKind::BrokenPipe), Exit::Ok);
    }
}
