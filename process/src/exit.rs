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

use crate::{
    Probe, Shutdown, healthcheck, logs, metrics, open_files, panics, private_file,
    telemetry::{self, Environment},
    tokens,
};

/// `EX_USAGE` of BSD's `sysexits.h`: the command was used incorrectly.
pub(crate) const EXIT_USAGE: u8 = 64;

/// The word that asks for the commands around tokens.
const TOKEN: &str = "token";
const MORE_HELP: &str = "`token new|list|revoke` looks after the tokens of workers, gateways and operators: see `token --help`.\n\
     `healthcheck [--live]` asks a running one with the same settings whether it is ready: see `healthcheck --help`.";

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

    /// Where `healthcheck` asks.
    ///
    /// # Errors
    /// One sentence that names the setting that is missing.
    fn probe(&self) -> Result<Probe, String>;

    /// How long it serves on after SIGTERM; not at all, unless it has the setting.
    fn drain_delay(&self) -> Duration {
        Duration::ZERO
    }

    /// Checks what the parser cannot: limits that hang together.
    ///
    /// # Errors
    /// One sentence that names the setting, the limit and the value.
    fn check(&self) -> Result<(), String>;
}

/// What was parsed; or else says what the parser has to say (help, a version, what is wrong) and gives the exit code.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "usage is for the terminal")]
pub(crate) fn or_exit<T>(parsed: Result<T, clap::Error>) -> Result<T, ExitCode> {
    parsed.map_err(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            print!("{error}");
            ExitCode::SUCCESS
        } else {
            eprint!("{error}");
            ExitCode::from(EXIT_USAGE)
        }
    })
}

/// Runs a binary: parses the settings, prints them where that was asked, checks them, starts logs, runs `serve` until
/// it ends or a signal stops it, and turns the outcome into an exit code: 0 after a clean stop, 64 for wrong
/// settings, 1 for anything else.
#[expect(clippy::print_stderr, reason = "usage and settings are for the terminal")]
pub fn main<S, F, Fut, E>(serve: F) -> ExitCode
where
    S: Settings,
    F: FnOnce(S, Shutdown) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Error + 'static,
{
    if env::args_os().nth(1).is_some_and(|word| word == TOKEN) {
        return tokens::command(env::args_os().skip(1));
    }
    if env::args_os().nth(1).is_some_and(|word| word == healthcheck::WORD) {
        return healthcheck::command::<S>(env::args_os().skip(1));
    }
    let parsed = S::command().after_help(MORE_HELP).try_get_matches();
    let settings = match or_exit(parsed.and_then(|mut matches| S::from_arg_matches_mut(&mut matches))) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    if settings.print_config() {
        // Whoever reads only the first lines (`| head`) has what was wanted.
        let _ = writeln!(io::stdout(), "{:#}", settings.effective());
        return ExitCode::SUCCESS;
    }
    let environment = match settings.check().and_then(|()| Environment::read()) {
        Ok(environment) => environment,
        Err(wrong) => {
            eprintln!("error: {wrong}\n\n{}", S::command().render_usage());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    private_file::keep_new_files_private();
    logs::start();
    panics::tell_in_log();
    open_files::take_all();
    // A counter that is made before the recorder would count for nobody.
    metrics::start_metrics();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime could not start");
            return ExitCode::FAILURE;
        }
    };
    let exporting = match runtime.block_on(async { start_telemetry::<S>(environment) }) {
        Ok(exporting) => exporting,
        Err(wrong) => {
            eprintln!("error: {wrong}\n\n{}", S::command().render_usage());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let outcome = runtime.block_on(async {
        tokio::spawn(metrics::upkeep());
        let shutdown = Shutdown::on_signal(settings.drain_delay());
        serve(settings, shutdown).await
    });
    exporting.into_iter().for_each(telemetry::Exporting::end);
    runtime.shutdown_timeout(BLOCKING_GRACE);
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(error = %error_chain(&error), "stopped by an error");
            ExitCode::FAILURE
        }
    }
}

/// Begins to send traces, if the environment names a collector, under the name of this binary.
fn start_telemetry<S: Settings>(
    environment: Option<Environment>,
) -> Result<Option<telemetry::Exporting>, String> {
    let start = |environment| telemetry::start(S::command().get_name(), &environment);
    environment.map(start).transpose()
}

/// The error and its causes in one line.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
