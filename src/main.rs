//! The exit code, and nothing else: what the program does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match quiniela::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quiniela: {error}");
            ExitCode::from(error.kind.exit_code())
        }
    }
}
