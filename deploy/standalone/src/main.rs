//! Repartee in one process: queue-service, rest-gateway and a demo bot on embedded storage.

mod first_start;
mod settings;
mod standalone;

use std::process::ExitCode;

fn main() -> ExitCode {
    repartee_process::main(standalone::run)
}
