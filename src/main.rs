//! The exit code, and nothing else: what the program does is in the library.

use std::process::ExitCode;

use quiniela::error::Kind;
use signal_hook::consts::SIGINT;
use signal_hook::low_level::emulate_default_handler;

fn main() -> ExitCode {
    match quiniela::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.kind == Kind::Interrupted {
                // A shell's loop ends only if the signal itself ends the process. This does not return.
                let _ = emulate_default_handler(SIGINT);
            }
            eprintln!("quiniela: {error}");
            ExitCode::from(error.kind.exit_code())
        }
    }
}
