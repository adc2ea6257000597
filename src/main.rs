//! Turns the library's result into an exit code, and a panic into the end of the process.

use std::process::ExitCode;

use quiniela::error::Kind;
use signal_hook::consts::SIGINT;
use signal_hook::low_level::emulate_default_handler;

fn main() -> ExitCode {
    abort_on_panic();
    match quiniela::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.kind == Kind::Interrupted {
                // A shell stops its loop only if the signal itself ends the process. This call does not return.
                let _ = emulate_default_handler(SIGINT);
            }
            eprintln!("quiniela: {error}");
            ExitCode::from(error.kind.exit_code())
        }
    }
}

/// A panic is a bug, so nothing in memory can be trusted any more ("Why a panic aborts" in docs/ARCHITECTURE.md). The thread that
/// serves HTTP has nothing that others rely on: there it ends what it was doing.
fn abort_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        if std::thread::current().name() != Some(quiniela::HTTP_THREAD) {
            std::process::abort();
        }
    }));
}
