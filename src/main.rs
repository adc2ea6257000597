//! Turns the library's result into an exit code, and does nothing else.

use std::process::ExitCode;

use quiniela::error::Kind;
use signal_hook::consts::SIGINT;
use signal_hook::low_level::emulate_default_handler;

fn main() -> ExitCode {
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
