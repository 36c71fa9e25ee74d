//! The frame of a `main`: settings in, exit code out.

use std::{
    env,
    error::Error,
    future::Future,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, error::ErrorKind};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{logs, metrics, open_files, private_file, shutdown, tokens};

/// `EX_USAGE` of BSD's `sysexits.h`: the command was used incorrectly.
pub(crate) const EXIT_USAGE: u8 = 64;

/// The word that asks for the commands around tokens.
const TOKEN: &str = "token";
const MORE_HELP: &str =
    "`token new|list|revoke` looks after the tokens of workers, gateways and operators: see `token --help`.";

/// How long work on blocking threads may go on after the server has stopped.
const BLOCKING_GRACE: Duration = Duration::from_secs(1);

/// The settings of one binary. They serialise for `--print-config`; a [`crate::Secret`] among them stays masked.
pub trait Settings: Parser + Serialize {
    /// What `--print-config` shows: the settings themselves, unless parts of the process have some of their own.
    fn effective(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("settings are plain values")
    }

    /// True where the user asked to see the effective settings instead of a start (`--print-config`).
    fn print_config(&self) -> bool;

    /// Checks what the parser cannot: limits that hang together.
    ///
    /// # Errors
    /// One sentence that names the setting, the limit and the value.
    fn check(&self) -> Result<(), String>;
}

/// Runs a binary: parses the settings, prints them where that was asked, checks them, starts logs, runs `serve` until
/// it ends or a signal cancels its token, and turns the outcome into an exit code: 0 after a clean stop, 64 for wrong
/// settings, 1 for anything else.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "usage and settings are for the terminal")]
pub fn main<S, F, Fut, E>(serve: F) -> ExitCode
where
    S: Settings,
    F: FnOnce(S, CancellationToken) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Error + 'static,
{
    if env::args_os().nth(1).is_some_and(|word| word == TOKEN) {
        return tokens::command(env::args_os().skip(1));
    }
    let parsed = S::command().after_help(MORE_HELP).try_get_matches();
    let settings = match parsed.and_then(|mut matches| S::from_arg_matches_mut(&mut matches)) {
        Ok(settings) => settings,
        Err(asked) if matches!(asked.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            print!("{asked}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprint!("{wrong}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if settings.print_config() {
        // Whoever reads only the first lines (`| head`) has what was wanted.
        let _ = writeln!(io::stdout(), "{:#}", settings.effective());
        return ExitCode::SUCCESS;
    }
    if let Err(wrong) = settings.check() {
        eprintln!("error: {wrong}\n\n{}", S::command().render_usage());
        return ExitCode::from(EXIT_USAGE);
    }
    private_file::keep_new_files_private();
    logs::start();
    open_files::take_all();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime could not start");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        tokio::spawn(metrics::upkeep());
        serve(settings, shutdown::on_signal()).await
    });
    runtime.shutdown_timeout(BLOCKING_GRACE);
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(error = %chain(&error), "stopped by an error");
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
