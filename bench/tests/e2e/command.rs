//! Starts the programs, waits for them with a deadline, and leaves none behind.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Nothing here takes as long on any machine that could be called working.
pub(crate) const DEADLINE: Duration = Duration::from_secs(240);

/// Between two looks at what is waited for.
const TICK: Duration = Duration::from_millis(10);

/// Waits until `look` finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            started.elapsed() < DEADLINE,
            "waited {DEADLINE:?} in vain for {what}"
        );
        std::thread::sleep(TICK);
    }
}

/// A program of this project: `bench`, or `replica` and `client` beside it.
pub(crate) fn binary(name: &str) -> PathBuf {
    let bench = Path::new(env!("CARGO_BIN_EXE_bench"));
    bench.with_file_name(name)
}

/// Whether the programs of the other packages were built; `cargo test --workspace` builds all, `cargo test -p bench` only one.
pub(crate) fn others_are_built() -> bool {
    let missing: Vec<&str> = ["replica", "client"]
        .into_iter()
        .filter(|name| !binary(name).exists())
        .collect();
    assert!(
        missing.is_empty() || std::env::var_os("CI").is_none(),
        "{missing:?} were not built; test with `cargo test --workspace`"
    );
    if !missing.is_empty() {
        eprintln!("skipped: {missing:?} were not built; test with `cargo test --workspace`");
    }
    missing.is_empty()
}

/// How a program ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program in a process group of its own, as a shell starts one; killed when the test is over.
pub(crate) struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts a program in `directory`; what it says is kept there under `name`.
    pub(crate) fn start(program: &str, directory: &Path, name: &str, arguments: &[&str]) -> Self {
        let (stdout, stderr) = (
            directory.join(format!("{name}.stdout")),
            directory.join(format!("{name}.stderr")),
        );
        let child = Command::new(binary(program))
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            child,
            stdout,
            stderr,
        }
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until one of the outputs has a line with these words.
    pub(crate) fn wait_for_words(&mut self, words: &str) {
        self.wait_for_line(words, |line| line.contains(words));
    }

    /// Waits until one of the outputs has such a line.
    pub(crate) fn wait_for_line(&mut self, what: &str, is_it: impl Fn(&str) -> bool) {
        wait_for(what, || {
            // Looked at first: what a program said before its end is there by then.
            let ended = self.status();
            let said = [self.stdout(), self.stderr()]
                .iter()
                .any(|output| output.lines().any(&is_it));
            assert!(
                said || ended.is_none(),
                "{ended:?} before {what:?}: {}",
                self.stderr()
            );
            said.then_some(())
        });
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// What Ctrl-C on a terminal does: every process of the group gets the signal.
    pub(crate) fn interrupt_group(&self) {
        kill_process_group(self.pid(), Signal::INT).unwrap();
    }

    pub(crate) fn wait(mut self) -> Ended {
        let status = wait_for("the end of a program", || self.status());
        Ended {
            code: status.code(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs a program to its end.
pub(crate) fn run(program: &str, directory: &Path, arguments: &[&str]) -> Ended {
    // Several runs of a test may share a directory, one after the other.
    Running::start(program, directory, program, arguments).wait()
}

/// Processes whose command line names something in `directory`, without those of the tests' own commands.
pub(crate) fn replicas_in(directory: &Path) -> Vec<(Pid, String)> {
    let directory = directory.to_str().unwrap();
    let found = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let is_replica = line.contains("replica-process") || line.contains("replica run");
            (is_replica && line.contains(directory)).then_some((Pid::from_raw(pid)?, line))
        });
    found.collect()
}
