//! Ctrl-C and SIGTERM: the first asks the run to end with what it has, the second ends the program.
//! Replicas notice by themselves when the program is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::options::RunError;
use crate::screen::{hold, restore};

/// The flag that a signal sets; the same for all runs of the process.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>, RunError> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(flag) = FLAG.get() {
        return Ok(Arc::clone(flag));
    }
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let failed = |error: std::io::Error| {
        RunError::new(
            Exit::Environment,
            format!("cannot watch for Ctrl-C: {error}"),
        )
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let (mut interrupt, mut terminate) = runtime
        .block_on(async {
            Ok((
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            ))
        })
        .map_err(failed)?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                for first in [true, false] {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if first {
                        set.store(true, Ordering::Relaxed);
                        let words = "stopping; partial results follow (again to quit at once)";
                        // On the whole terminal it is seen that the run ends.
                        if !hold(format!("{words}\n").as_bytes()) {
                            eprintln!("{words}");
                        }
                    } else {
                        restore();
                        std::process::exit(i32::from(Exit::Interrupted.code()));
                    }
                }
            });
        })
        .map_err(failed)?;
    Ok(Arc::clone(FLAG.get_or_init(|| flag)))
}
