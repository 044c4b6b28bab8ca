//! Taking the terminal, and giving it back whatever happens.

use std::io::{self, Stderr, Write as _};
use std::sync::{Mutex, Once, PoisonError};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::draw::draw;
use super::held;
use super::state::Shown;

/// How the terminal was before; `None` while nobody has taken it. The inner one is missing if its input is no terminal.
static BEFORE: Mutex<Option<Option<Termios>>> = Mutex::new(None);

/// The terminal while a repeat goes on.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
}

impl Screen {
    /// Takes the terminal of stderr.
    ///
    /// # Errors
    /// The terminal's.
    pub fn take() -> io::Result<Self> {
        restore_on_panic();
        held::begin();
        quiet_keys();
        let take = || {
            execute!(io::stderr(), EnterAlternateScreen, Hide)?;
            let mut terminal = Terminal::new(CrosstermBackend::new(io::stderr()))?;
            terminal.clear()?;
            Ok(Self { terminal })
        };
        take().inspect_err(|_: &io::Error| restore())
    }

    /// Draws how things stand. A terminal that is gone is no reason to stop a run.
    pub fn show(&mut self, shown: &Shown) {
        let _ = self.terminal.draw(|frame| draw(frame, shown));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was, and prints what has waited. Does nothing if nobody has taken it.
pub fn restore() {
    let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return;
    };
    let mut stderr = io::stderr();
    let _ = execute!(stderr, Show, LeaveAlternateScreen);
    if let Some(modes) = before {
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &modes);
    }
    let _ = stderr.write_all(&held::end());
}

/// Keys that are typed do not show; Ctrl-C goes on to be a signal.
fn quiet_keys() {
    let before = tcgetattr(io::stdin()).ok();
    if let Some(modes) = &before {
        let mut quiet = modes.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &quiet);
    }
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
}

/// The message of a panic belongs on the ordinary screen.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            report(info);
        }));
    });
}
