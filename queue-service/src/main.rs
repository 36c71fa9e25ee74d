//! The queue-service binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    repartee_process::main(queue_service::run)
}
