//! One replica process: started with a pipe on its standard input, whose end tells it that its
//! parent is gone; stopped by SIGTERM, and by SIGKILL if that does not help.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use replica::Ready;
use rustix::process::{Pid, Signal, kill_process};

use super::child::Arguments;
use super::control::{ControlLine, Deeds};
use super::member_file::MemberFile;

/// Bytes of a replica's log that an error message quotes.
const LOG_TAIL: usize = 600;
/// Lines that may wait for a replica which does not read: a timeline says far fewer while one stands still.
const UNREAD_MAX: usize = 256;
/// Bytes of what a process said that are looked at.
const SAID_MAX: usize = 64 << 10;
/// Between two looks at whether a process has ended.
const POLL: Duration = Duration::from_millis(5);

/// A running replica process.
pub(super) struct Process {
    id: usize,
    child: Child,
    /// Its end is the end of the replica; the thread behind it writes one line after the other.
    orders: mpsc::SyncSender<ControlLine>,
    log: PathBuf,
    deeds: Arc<Mutex<Deeds>>,
    /// Where in the log this process began.
    log_from: u64,
    ready: mpsc::Receiver<Ready>,
}

impl Process {
    /// Starts replica `id` as `file` says; its log goes to the end of `log`.
    pub(super) fn start(
        id: usize,
        arguments: &Arguments,
        file: &MemberFile,
        log: &Path,
    ) -> std::io::Result<Self> {
        file.write(&arguments.member)?;
        let stderr = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)?;
        let log_from = stderr.metadata()?.len();
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments.to_command_line())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // A terminal sends Ctrl-C to the whole group of `bench`; the replicas still have to
            // answer what is under way.
            .process_group(0)
            .spawn()?;
        let orders = pass_on(id, child.stdin.take())?;
        let stdout = child.stdout.take();
        let (found, ready) = mpsc::sync_channel(1);
        let deeds = Arc::new(Mutex::new(Deeds::default()));
        let done = Arc::clone(&deeds);
        std::thread::Builder::new()
            .name(format!("stdout-{id}"))
            .spawn(move || {
                let lines = stdout
                    .into_iter()
                    .flat_map(|stdout| BufReader::new(stdout).lines());
                for line in lines.map_while(Result::ok) {
                    if let Some(deeds) = Deeds::parse(&line) {
                        *done.lock().unwrap_or_else(PoisonError::into_inner) = deeds;
                    }
                    let parsed = line
                        .strip_prefix("ready ")
                        .and_then(|json| serde_json::from_str(json).ok());
                    if let Some(ready) = parsed {
                        // Nobody waits any more once the start has failed.
                        let _ = found.try_send(ready);
                    }
                }
            })?;
        Ok(Process {
            id,
            child,
            orders,
            log: log.to_owned(),
            deeds,
            log_from,
            ready,
        })
    }

    /// Says something to the replica. Never waits: one that stands still reads it when it goes on.
    ///
    /// # Errors
    /// If it has left too much unread.
    pub(super) fn tell(&self, line: ControlLine) -> Result<(), String> {
        self.orders.try_send(line).map_err(|_| {
            format!(
                "replica {} has not read the last {UNREAD_MAX} lines",
                self.id
            )
        })
    }

    /// What it has done, if it is Byzantine; goes on with it.
    pub(super) fn deeds(&self) -> Arc<Mutex<Deeds>> {
        Arc::clone(&self.deeds)
    }

    /// Waits until the replica listens on both ports.
    ///
    /// # Errors
    /// If it ends or says nothing before `deadline`: with the end of its log.
    pub(super) fn wait_ready(&mut self, deadline: Instant) -> Result<Ready, NotReady> {
        loop {
            match self.ready.recv_timeout(POLL) {
                Ok(ready) => return Ok(ready),
                Err(_) if self.ended().is_some() => {
                    let status = self.ended();
                    return Err(NotReady {
                        code: status.and_then(|status| status.code()),
                        message: format!("replica {} ended at its start{}", self.id, self.tail()),
                    });
                }
                Err(_) if Instant::now() >= deadline => {
                    return Err(NotReady {
                        code: None,
                        message: format!("replica {} is not ready{}", self.id, self.tail()),
                    });
                }
                Err(_) => {}
            }
        }
    }

    /// How the process ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks the process to stop.
    pub(super) fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Lets it stand still.
    pub(super) fn pause(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    fn signal(&mut self, signal: Signal) {
        if self.ended().is_none()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // It may end between the look and the signal; then there is nobody to ask.
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it at once, and waits until the system has taken back its ports and locks.
    pub(super) fn kill(&mut self) {
        if self.ended().is_none() {
            // As above; and who cannot be waited for is gone.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Waits for the end, then kills. Returns how it ended, and whether it had to be killed.
    pub(super) fn reap(&mut self, deadline: Instant) -> (Option<ExitStatus>, bool) {
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return (Some(status), false);
            }
            std::thread::sleep(POLL);
        }
        let killed = self.child.kill().is_ok();
        (self.child.wait().ok(), killed)
    }

    /// Bytes of memory that it holds.
    pub(super) fn resident_bytes(&mut self) -> Option<u64> {
        let told = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = told.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib * 1024)
    }

    /// What this process wrote to its log so far, or the end of it.
    pub(super) fn said(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.log_from).unwrap_or(usize::MAX);
        let own = log.get(from..).unwrap_or_default();
        let end = own.get(own.len().saturating_sub(SAID_MAX)..);
        String::from_utf8_lossy(end.unwrap_or_default()).into_owned()
    }

    /// The last lines of its log, for an error message.
    pub(super) fn tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let start = log.len().saturating_sub(LOG_TAIL);
        let tail = String::from_utf8_lossy(log.get(start..).unwrap_or_default()).into_owned();
        match tail.trim() {
            "" => format!("; its log {} is empty", self.log.display()),
            tail => format!(":\n{tail}"),
        }
    }
}

/// The thread that writes to a replica's standard input. It ends with the [`Process`], whose `Drop` ends the replica, so
/// that no write can last longer.
fn pass_on(id: usize, stdin: Option<ChildStdin>) -> std::io::Result<mpsc::SyncSender<ControlLine>> {
    let (orders, lines) = mpsc::sync_channel::<ControlLine>(UNREAD_MAX);
    std::thread::Builder::new()
        .name(format!("stdin-{id}"))
        .spawn(move || {
            let Some(mut stdin) = stdin else { return };
            for line in lines {
                // A replica that is gone has nothing to be told any more; who watches it says so.
                if writeln!(stdin, "{}", line.to_json()).is_err() {
                    break;
                }
            }
        })?;
    Ok(orders)
}

impl Drop for Process {
    /// Whatever went wrong, no process stays behind.
    fn drop(&mut self) {
        self.kill();
    }
}

/// A replica that did not come up.
pub(super) struct NotReady {
    /// Its exit code, if it ended.
    pub(super) code: Option<i32>,
    /// What happened.
    pub(super) message: String,
}
