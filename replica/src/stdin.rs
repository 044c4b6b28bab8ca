//! Standard input as a thread of orders: whoever started this process says things line by line, and its end, however
//! that came about, is the end of this process.

use std::io::{self, BufRead, Read as _};

/// Longest line that is taken. A replica's links to twenty others fit several times.
pub const CONTROL_LINE_MAX: usize = 64 << 10;

/// Gives `take` every line until `input` ends. What is too long or not text is reported and passed over; an error is as
/// much of an end as the end.
pub(crate) fn each_line(mut input: impl BufRead, mut take: impl FnMut(&str)) {
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = CONTROL_LINE_MAX as u64 + 1;
        match input.by_ref().take(most).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line.len() > CONTROL_LINE_MAX => {
                tracing::error!(
                    "a line on standard input has more than {CONTROL_LINE_MAX} bytes and is ignored: its sender is to blame"
                );
                if line.last() != Some(&b'\n') && pass_over(&mut input).is_err() {
                    return;
                }
            }
            Ok(_) => match std::str::from_utf8(&line) {
                Ok(text) => take(text.trim_end_matches(['\n', '\r'])),
                Err(_) => tracing::error!("a line on standard input is not UTF-8 and is ignored"),
            },
        }
    }
}

/// Reads to the end of the line and keeps nothing of it.
fn pass_over(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let held = input.fill_buf()?;
        let (used, ended) = match held.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (held.len(), held.is_empty()),
        };
        input.consume(used);
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        each_line(io::BufReader::with_capacity(16, input), |line| {
            lines.push(line.to_owned());
        });
        lines
    }

    #[test]
    fn every_line_is_taken_in_order_also_one_without_an_end() {
        assert_eq!(lines(b"one\ntwo\r\n\nlast"), ["one", "two", "", "last"]);
        assert_eq!(lines(b""), [""; 0]);
    }

    #[test]
    fn a_line_that_is_too_long_or_no_text_is_passed_over_and_the_next_one_is_taken() {
        let longest = "x".repeat(CONTROL_LINE_MAX - 1);
        for (long, taken) in [
            (longest.clone() + "\n", true),
            (longest.clone() + "x\n", false),
            (longest.clone() + "xx\n", false),
            (longest.repeat(3) + "\n", false),
        ] {
            let mut input = long.into_bytes();
            input.extend(b"\xff\xfe\nnext\n");
            let taken_lines = lines(&input);
            assert_eq!(taken_lines.len(), 1 + usize::from(taken));
            assert_eq!(taken_lines.last().map(String::as_str), Some("next"));
        }
    }
}
