//! `env.json`: the machine and the build that a number belongs to. The machine's name is left out: it says nothing about speed, and something about people.

use serde::{Deserialize, Serialize};

/// What a reader must know to judge a number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Model name of the CPU.
    pub cpu: String,
    /// CPUs this process may use.
    pub cores: u64,
    /// Memory of the machine, bytes; 0 if unknown.
    pub memory_bytes: u64,
    /// Operating system and architecture, for example `linux x86_64`.
    pub platform: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Commit of the sources that this program was compiled from; `unknown` where they were in no git work tree.
    pub commit: String,
    /// Whether there were changes then which no commit holds.
    pub dirty: bool,
    /// The compiler that built this program.
    pub rustc: String,
    /// Optimised build or not: `release` or `debug`.
    pub build: String,
    /// Version of this program.
    pub version: String,
    /// What the cluster promises about its disk: `full` or `off`.
    pub durability: String,
    /// How messages are authenticated.
    pub authentication: String,
}

/// The parts of [`Environment`] that the scenario decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `full` or `off`.
    pub durability: String,
    /// For example `ed25519 requests and votes, mutual TLS 1.3`.
    pub authentication: String,
}

impl Environment {
    /// Looks around. Facts that cannot be found are `unknown` or 0, never an error.
    #[must_use]
    pub fn gather(settings: Settings) -> Self {
        Self {
            cpu: proc_field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, |cores| cores.get() as u64),
            memory_bytes: memory_bytes(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |text| text.trim().to_owned()),
            dirty: env!("QUINTET_DIRTY") == "true",
            commit: env!("QUINTET_COMMIT").to_owned(),
            rustc: env!("QUINTET_RUSTC").to_owned(),
            build: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            }
            .to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            durability: settings.durability,
            authentication: settings.authentication,
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The first value of `name : value` in a file of /proc.
fn proc_field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
}

fn memory_bytes() -> u64 {
    let total = proc_field("/proc/meminfo", "MemTotal");
    total
        .and_then(|text| text.strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_says_everything_and_names_nobody() {
        let settings = Settings {
            durability: "full".into(),
            authentication: "ed25519".into(),
        };
        let environment = Environment::gather(settings);
        assert!(environment.cores >= 1);
        assert!(
            environment.rustc.starts_with("rustc "),
            "{}",
            environment.rustc
        );
        assert!(environment.commit == "unknown" || environment.commit.len() >= 40);
        assert_eq!(
            (
                environment.durability.as_str(),
                environment.version.as_str()
            ),
            ("full", env!("CARGO_PKG_VERSION"))
        );
        let json = serde_json::to_value(&environment).expect("plain fields");
        assert!(
            json.get("hostname").is_none()
                && json.as_object().is_some_and(|object| object.len() == 12)
        );
    }
}
