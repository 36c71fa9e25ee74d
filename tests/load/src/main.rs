//! Wiring only: settings in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;
use repartee_load::{Settings, run};

#[expect(clippy::print_stderr, reason = "the terminal is where a tool tells why it ended")]
fn main() -> ExitCode {
    let settings = Settings::parse();
    repartee_process::take_all_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
