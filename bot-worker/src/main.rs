//! The ready bot: `bot-worker --entity echo --reply echo`, or with `--openai-base-url` and `--model`.

use std::process::ExitCode;

fn main() -> ExitCode {
    repartee_process::main(|settings, shutdown| bot_worker::run(settings, shutdown.stop))
}
