//! `client repl`: commands from a prompt, or from stdin line by line.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use clap::Parser;
use client::Client;
use rustyline::error::ReadlineError;
use tokio::sync::mpsc;

use super::args::Operation;
use super::failure::Failure;
use super::operate::{Stdin, operate};
use super::output::Format;

/// Lines that the prompt remembers, within this process only.
const HISTORY_MAX: usize = 1000;

/// Bytes of one line: the longest value in hexadecimal digits, and room for the rest.
const LINE_MAX: u64 = 256 << 10;

/// A line, as the command line without its first word.
#[derive(Debug, Parser)]
#[command(
    name = "",
    no_binary_name = true,
    disable_version_flag = true,
    help_template = "{subcommands}\n    quit    Leave (also exit, Ctrl-D)"
)]
struct Line {
    #[command(subcommand)]
    operation: Operation,
}

/// Reads and performs commands until the input ends.
///
/// Input is read on a thread of its own: a connection must be kept alive while somebody thinks.
///
/// # Errors
/// If input cannot be read; without a terminal also if a line failed, after the last line.
pub(crate) async fn repl(client: &Client, format: Format) -> Result<(), Failure> {
    let interactive = std::io::stdin().is_terminal();
    let (lines, mut read) = mpsc::channel(1);
    let (done, next) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let result = if interactive {
            prompt(&lines, &next)
        } else {
            pipe(&lines, &next)
        };
        if let Err(failure) = result {
            // If nobody listens any more, the command has ended.
            let _ = lines.blocking_send(Err(failure));
        }
    });
    let mut failed = 0usize;
    while let Some(line) = read.recv().await {
        match perform(client, &line?, format).await {
            Verdict::Done => {}
            Verdict::Failed => failed += 1,
            Verdict::Quit => break,
        }
        // The thread has ended if its input has.
        let _ = done.send(());
    }
    match failed {
        _ if interactive => Ok(()),
        0 => Ok(()),
        1 => Err(Failure::Negative("1 line failed".into())),
        many => Err(Failure::Negative(format!("{many} lines failed"))),
    }
}

type Lines = mpsc::Sender<Result<String, Failure>>;

/// Reads lines from the terminal; the next prompt comes when the last line is done.
fn prompt(lines: &Lines, done: &std::sync::mpsc::Receiver<()>) -> Result<(), Failure> {
    let unusable = |error| Failure::Local(format!("cannot use the terminal: {error}"));
    let config = rustyline::Config::builder()
        .max_history_size(HISTORY_MAX)
        .map_err(unusable)?;
    let config = config.auto_add_history(true).build();
    let mut editor = rustyline::DefaultEditor::with_config(config).map_err(unusable)?;
    tracing::info!("type help for the operations, quit or Ctrl-D to leave");
    loop {
        match editor.readline("quintet> ") {
            Ok(line) => {
                if lines.blocking_send(Ok(line)).is_err() || done.recv().is_err() {
                    return Ok(());
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(unusable(error)),
        }
    }
}

/// Reads lines from anything else.
fn pipe(lines: &Lines, done: &std::sync::mpsc::Receiver<()>) -> Result<(), Failure> {
    let mut stdin = std::io::stdin().lock();
    for number in 1.. {
        let mut line = String::new();
        let read = stdin
            .by_ref()
            .take(LINE_MAX)
            .read_line(&mut line)
            .map_err(|error| Failure::Local(format!("cannot read line {number}: {error}")))?;
        if read == 0 {
            break;
        }
        if read as u64 == LINE_MAX && !line.ends_with('\n') {
            return Err(Failure::Usage(format!(
                "line {number} is longer than {LINE_MAX} bytes"
            )));
        }
        if lines.blocking_send(Ok(line)).is_err() || done.recv().is_err() {
            break;
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Failed,
    Quit,
}

async fn perform(client: &Client, line: &str, format: Format) -> Verdict {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Verdict::Done;
    }
    if matches!(line, "quit" | "exit") {
        return Verdict::Quit;
    }
    let parsed = words(line).and_then(|words| Line::try_parse_from(words).map_err(Refused::Clap));
    let operation = match parsed {
        Ok(line) => line.operation,
        Err(Refused::Quote) => {
            eprintln!("error: a quote is not closed");
            return Verdict::Failed;
        }
        Err(Refused::Clap(error)) => {
            // To stdout if help was asked for, else to stderr; a closed one shows elsewhere.
            let _ = error.print();
            return if error.use_stderr() {
                Verdict::Failed
            } else {
                Verdict::Done
            };
        }
    };
    match operate(client, operation, format, Stdin::Commands).await {
        Ok(()) => Verdict::Done,
        Err(failure) => {
            eprintln!("error: {failure}");
            format.print_error(&failure.to_string());
            Verdict::Failed
        }
    }
}

#[derive(Debug)]
enum Refused {
    Quote,
    Clap(clap::Error),
}

/// The words of a line: separated by blanks, grouped by single or double quotes; a backslash
/// takes the next character as it is, but not within single quotes.
fn words(line: &str) -> Result<Vec<String>, Refused> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => {
                let literal = characters.next().ok_or(Refused::Quote)?;
                word.get_or_insert_default().push(literal);
            }
            (mark, Some(open)) if mark == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (blank, None) if blank.is_whitespace() => words.extend(word.take()),
            (other, _) => word.get_or_insert_default().push(other),
        }
    }
    if quote.is_some() {
        return Err(Refused::Quote);
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn quotes_group_words_and_must_be_closed() {
        let cases: [(&str, &[&str]); 5] = [
            ("put a 1", &["put", "a", "1"]),
            ("  put\t'a b'  \"c \\\" d\" ", &["put", "a b", "c \" d"]),
            ("put a ''", &["put", "a", ""]),
            (r"put a\ b x'y'z", &["put", "a b", "xyz"]),
            (r"put a '\n'", &["put", "a", r"\n"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
        for wrong in ["put 'a", "put \"a", "put a\\"] {
            assert!(matches!(words(wrong), Err(Refused::Quote)), "{wrong}");
        }
    }
}
