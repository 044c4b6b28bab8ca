//! From what is known to the cells of the terminal.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Gauge, Paragraph, Row, Sparkline, Table};

use super::state::{ReplicaView, SECONDS, Shown, Standing};
use crate::check::Verdict;
use crate::report::units;

/// Lines of the figures, without those of the checks and with a blank one behind them.
const FIGURES: u16 = 5;
/// Columns that a check needs.
const CHECK: u16 = 28;
/// Columns before the first of them.
const NAMES: u16 = 12;
/// Lines of the curves.
const CURVES: u16 = 6;
/// Lines of the events at least.
const EVENTS_MIN: u16 = 3;
/// Lag from which on a replica is shown to be behind: what is on its way at any moment.
const LAG_USUAL: u64 = 32;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, shown: &Shown) {
    let replicas = u16::try_from(shown.replicas.len()).unwrap_or(u16::MAX);
    let others = 1 + FIGURES + CURVES + replicas.saturating_add(3) + EVENTS_MIN;
    let room = frame.area().height.saturating_sub(others);
    let checks = checks(shown, frame.area().width, room);
    let lines = u16::try_from(checks.len()).unwrap_or(u16::MAX);
    let [head, figures, curves, table, events] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(FIGURES.saturating_add(lines)),
        Constraint::Length(CURVES),
        Constraint::Max(replicas.saturating_add(3)),
        Constraint::Min(EVENTS_MIN),
    ])
    .areas(frame.area());
    draw_head(frame, shown, head);
    draw_figures(frame, shown, checks, figures);
    draw_curves(frame, shown, curves);
    draw_replicas(frame, shown, table);
    draw_events(frame, shown, events);
}

fn draw_head(frame: &mut Frame<'_>, shown: &Shown, area: Rect) {
    let now = &shown.now;
    let done = match now.planned {
        Duration::ZERO => 0.0,
        planned => (now.stage_time.as_secs_f64() / planned.as_secs_f64()).min(1.0),
    };
    let planned = match now.planned {
        Duration::ZERO => String::new(),
        planned => format!(" of {:.0}", planned.as_secs_f64()),
    };
    let label = format!(
        "{}: {} {:.0}{planned} s, {:.0} s in all",
        shown.name,
        now.stage,
        now.stage_time.as_secs_f64(),
        now.time.as_secs_f64()
    );
    let gauge = Gauge::default().ratio(done).label(label);
    frame.render_widget(gauge.gauge_style(tint(shown, Color::Blue)), area);
}

/// Each check with how it stands, in as many columns as there is room for; one line about all of them where there are too
/// few lines.
fn checks(shown: &Shown, columns: u16, room: u16) -> Vec<String> {
    let a_line = usize::from(columns.saturating_sub(NAMES) / CHECK).max(1);
    let lines = shown.checks.chunks(a_line).map(|line| {
        let each = line
            .iter()
            .map(|(name, standing)| format!("{name:<13}{:<15}", standing.words()));
        each.collect::<String>().trim_end().to_owned()
    });
    let lines: Vec<String> = lines.collect();
    if !lines.is_empty() && lines.len() <= usize::from(room) {
        return lines;
    }
    let failed = |standing: &Standing| matches!(standing, Standing::Judged(Verdict::Fail));
    let failed: Vec<&str> = shown
        .checks
        .iter()
        .filter(|(_, standing)| failed(standing))
        .map(|(name, _)| *name)
        .collect();
    let judged = |standing: &Standing| matches!(standing, Standing::Judged(_));
    vec![match (&failed[..], shown.now.stage) {
        ([], _) if shown.checks.iter().any(|(_, standing)| judged(standing)) => {
            "none failed".to_owned()
        }
        ([], "check") => {
            "the checkers look at what the replicas left; the verdict follows".to_owned()
        }
        ([], _) => "at the end: agreement, state, linearizability and the others of the scenario"
            .to_owned(),
        (failed, _) => format!("FAILED: {}", failed.join(", ")),
    }]
}

fn draw_figures(frame: &mut Frame<'_>, shown: &Shown, checks: Vec<String>, area: Rect) {
    let now = &shown.now;
    let measuring = now.stage == "measure";
    let latency = |of: fn(&crate::record::RecentLatency) -> f64| {
        now.recent
            .as_ref()
            .map_or_else(|| "-".to_owned(), |recent| units::time(of(recent)))
    };
    let rate = match measuring {
        true => format!(
            "{} ok of {} offered",
            units::rate(now.ok),
            units::rate(now.offered)
        ),
        false => format!("{} answered", units::rate(now.answered)),
    };
    let fast = now.fast_share.map_or_else(|| "-".to_owned(), units::share);
    let totals = &now.totals;
    let counts = format!(
        "{} ok, {} failed, {} unknown, {} dropped, {} late, {} busy replies",
        units::count(totals.ok),
        units::count(totals.failed),
        units::count(totals.unknown),
        units::count(totals.dropped),
        units::count(totals.late),
        units::count(totals.busy_replies)
    );
    let latencies = format!(
        "p50 {}  p99 {}  max {}",
        latency(|recent| recent.p50_us),
        latency(|recent| recent.p99_us),
        latency(|recent| recent.max_us)
    );
    let line = |name: &str, value: String| {
        Line::from(vec![
            Span::raw(format!(" {name:<11}")),
            Span::styled(value, bold()),
        ])
    };
    let cluster = format!(
        "view {}, {fast} on the fast path, {} of {} replicas up",
        now.view, now.up, now.n
    );
    let mut lines = vec![
        line("throughput", rate),
        line("latency", latencies),
        line("cluster", cluster),
        line("operations", counts),
    ];
    let names = std::iter::once("checks").chain(std::iter::repeat(""));
    lines.extend(names.zip(checks).map(|(name, checks)| line(name, checks)));
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_curves(frame: &mut Frame<'_>, shown: &Shown, area: Rect) {
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(area);
    let most = |values: &std::collections::VecDeque<u64>| values.iter().copied().max();
    let title = |what: &str, most: Option<String>| {
        let most = most.map_or_else(String::new, |most| format!(", up to {most}"));
        format!(" {what}, {SECONDS} s{most} ")
    };
    let rates = most(&shown.throughput).filter(|most| *most > 0);
    let times = most(&shown.p99_us).filter(|most| *most > 0);
    for (area, values, title) in [
        (
            left,
            &shown.throughput,
            title("answered/s", rates.map(units::count)),
        ),
        (
            right,
            &shown.p99_us,
            title("p99", times.map(|us| units::time(us as f64))),
        ),
    ] {
        let block = Block::bordered().title(title);
        // The newest stand at the right.
        let room = usize::from(block.inner(area).width);
        let newest = values
            .iter()
            .skip(values.len().saturating_sub(room))
            .copied();
        let curve = Sparkline::default().data(newest).block(block);
        frame.render_widget(curve.style(tint(shown, Color::Cyan)), area);
    }
}

fn draw_replicas(frame: &mut Frame<'_>, shown: &Shown, area: Rect) {
    let header = [
        "replica", "role", "view", "executed", "behind", "CPU", "memory",
    ];
    let rows = shown.replicas.iter().enumerate().map(|(index, replica)| {
        let cores = shown.cores.get(index).copied().flatten();
        let row = Row::new(cells(replica, cores).map(Cell::from));
        let (colour, style) = match (replica.up, replica.role.as_str()) {
            (false, _) => (Color::Red, bold()),
            (true, "primary") => (Color::Green, bold()),
            (true, "learner") => (Color::Yellow, Style::default()),
            (true, _) if replica.lag > LAG_USUAL => (Color::Yellow, Style::default()),
            (true, _) => (Color::Reset, Style::default()),
        };
        row.style(tint(shown, colour).patch(style))
    });
    let widths = [8, 10, 6, 12, 8, 8, 10].map(Constraint::Length);
    let table = Table::new(rows, widths)
        .header(Row::new(header))
        .block(Block::bordered().title(" replicas "));
    frame.render_widget(table, area);
}

fn cells(replica: &ReplicaView, cores: Option<f64>) -> [String; 7] {
    let known = !replica.role.is_empty();
    let some = |text: String| if known { text } else { "-".to_owned() };
    [
        replica.id.to_string(),
        match (replica.up, known) {
            (false, _) => "down".to_owned(),
            (true, false) => "-".to_owned(),
            (true, true) => replica.role.clone(),
        },
        some(replica.view.to_string()),
        some(units::count(replica.executed)),
        some(units::count(replica.lag)),
        cores.map_or_else(|| "-".to_owned(), |cores| format!("{:.0} %", cores * 100.0)),
        some(units::bytes(replica.rss_bytes as f64)),
    ]
}

fn draw_events(frame: &mut Frame<'_>, shown: &Shown, area: Rect) {
    let block = Block::bordered().title(" events (Ctrl-C ends the run with what it has) ");
    let room = usize::from(block.inner(area).height);
    let newest = shown
        .events
        .iter()
        .skip(shown.events.len().saturating_sub(room));
    let lines: Vec<Line<'_>> = newest.map(|event| Line::from(event.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn bold() -> Style {
    Style::default().add_modifier(Modifier::BOLD)
}

/// A colour, where colours may be used.
fn tint(shown: &Shown, colour: Color) -> Style {
    if shown.colour {
        Style::default().fg(colour)
    } else {
        Style::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::record::RecentLatency;
    use crate::screen::View;

    fn replica(id: usize, role: &str, executed: u64, cpu_s: f64) -> ReplicaView {
        ReplicaView {
            id,
            up: true,
            role: role.to_owned(),
            executed,
            lag: 5_000 - executed,
            cpu_s,
            uptime_s: cpu_s * 2.0,
            rss_bytes: 40 << 20,
            view: 3,
        }
    }

    fn shown() -> Shown {
        let mut shown = Shown::new("quickstart 1/2", true);
        shown.look(vec![replica(0, "primary", 4_000, 1.0)]);
        let down = ReplicaView {
            id: 2,
            ..ReplicaView::default()
        };
        shown.look(vec![
            replica(0, "primary", 5_000, 2.0),
            replica(1, "backup", 4_990, 2.0),
            down,
        ]);
        shown.second(View {
            stage: "measure",
            stage_time: Duration::from_secs(3),
            planned: Duration::from_secs(10),
            ok: 5_123.0,
            offered: 5_200.0,
            answered: 5_130.0,
            recent: Some(RecentLatency {
                count: 5_123,
                p50_us: 1_250.0,
                p99_us: 3_400.0,
                max_us: 9_000.0,
            }),
            view: 3,
            fast_share: Some(0.998),
            up: 2,
            n: 3,
            ..View::default()
        });
        shown.event(Duration::from_secs(2), "kill of replica 2");
        shown
    }

    fn screen(shown: &Shown, columns: u16, lines: u16) -> (String, bool) {
        let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
        terminal.draw(|frame| draw(frame, shown)).unwrap();
        let buffer = terminal.backend().buffer();
        let coloured = buffer.content.iter().any(|cell| cell.fg != Color::Reset);
        let rows = buffer.content.chunks(usize::from(columns));
        let text = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n");
        (text.collect(), coloured)
    }

    #[test]
    fn everything_that_matters_is_on_the_screen() {
        let (text, coloured) = screen(&shown(), 100, 32);
        for words in [
            "quickstart 1/2: measure 3 of 10 s",
            "5,123/s ok of 5,200/s offered",
            "p50 1.25 ms  p99 3.40 ms  max 9.00 ms",
            "view 3, 99.8 % on the fast path, 2 of 3 replicas up",
            "p99, 120 s, up to 3.40 ms",
            "kill of replica 2",
        ] {
            assert!(text.contains(words), "{words} is missing in\n{text}");
        }
        let row = |id: &str| {
            let line = text
                .lines()
                .skip_while(|line| !line.contains("replicas"))
                .find(|line| line.trim_start_matches('│').trim_start().starts_with(id));
            line.unwrap()
                .replace('│', " ")
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            row("0"),
            ["0", "primary", "3", "5,000", "0", "50", "%", "40.0", "MiB"]
        );
        assert_eq!(
            row("1"),
            ["1", "backup", "3", "4,990", "10", "-", "40.0", "MiB"],
            "one look gives no CPU"
        );
        assert_eq!(row("2"), ["2", "down", "-", "-", "-", "-", "-"]);
        assert!(coloured);
    }

    #[test]
    fn each_check_is_shown_with_its_standing_while_there_is_room() {
        let mut shown = shown();
        shown.checks = ["agreement", "linearizable", "state", "liveness"]
            .map(|name| (name, Standing::AtTheEnd))
            .to_vec();
        let words = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.contains(name));
            let line = line.unwrap_or_else(|| panic!("{name} is missing in\n{text}"));
            let behind = line.split_once(name).map_or("", |(_, behind)| behind);
            behind
                .split("  ")
                .map(str::trim)
                .find(|word| !word.is_empty())
                .unwrap_or_default()
                .to_owned()
        };
        let (text, _) = screen(&shown, 100, 32);
        assert_eq!(words(&text, "linearizable"), "at the end");
        assert_eq!(words(&text, "liveness"), "at the end");
        shown.check();
        let (text, _) = screen(&shown, 100, 32);
        assert_eq!(words(&text, "state"), "checking");
        shown.checks[1].1 = Standing::Judged(Verdict::Fail);
        shown.checks[2].1 = Standing::Judged(Verdict::Pass);
        shown.checks[3].1 = Standing::Judged(Verdict::Skipped);
        let (text, _) = screen(&shown, 100, 32);
        assert_eq!(words(&text, "linearizable"), "FAIL");
        assert_eq!(words(&text, "state"), "pass");
        assert_eq!(words(&text, "liveness"), "skipped");
        // 22 lines have room for one.
        let (text, _) = screen(&shown, 100, 22);
        assert!(text.contains("FAILED: linearizable"), "{text}");
        assert!(!text.contains("skipped"), "{text}");
    }

    #[test]
    fn a_small_terminal_and_one_without_colour_are_served_as_well() {
        for (columns, lines) in [(80, 24), (40, 10), (3, 2)] {
            screen(&shown(), columns, lines);
        }
        let plain = Shown {
            colour: false,
            ..shown()
        };
        assert!(!screen(&plain, 100, 32).1);
        let empty = screen(&Shown::new("x", true), 100, 32).0;
        assert!(
            empty.contains("p50 -  p99 -") && !empty.contains("up to"),
            "{empty}"
        );
    }
}
