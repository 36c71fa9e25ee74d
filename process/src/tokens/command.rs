//! `token new`, `token list` and `token revoke`: the same in every binary.

use std::{
    error::Error,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::SystemTime,
};

use clap::{Args, Parser, Subcommand};

use super::{Line, NewToken, Role, TokensFile};
use crate::{
    Span,
    exit::{EXIT_USAGE, or_exit},
};

/// Limits of the contract.
const NAME_CHARS: usize = 64;
const ENTITIES: usize = 100;

/// Makes, lists and revokes the tokens of workers, gateways and operators.
#[derive(Debug, Parser)]
#[command(name = "token")]
struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Makes a token, prints it once, and adds its hash to the tokens file.
    New(New),
    /// Lists the tokens: their ids, roles, entities, names and ends.
    List(At),
    /// Revokes a token: a running service refuses it within about a second.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct New {
    /// What the token proves.
    #[arg(long, value_enum)]
    role: Role,
    /// An entity that the worker answers, `*` for all; may be given several times.
    #[arg(long = "entity")]
    entities: Vec<String>,
    /// A name for people, at most 64 characters.
    #[arg(long, default_value = "")]
    name: String,
    /// When the token ends, as 90d or 12h; never if absent.
    #[arg(long, value_name = "SPAN")]
    expires: Option<Span>,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
struct Revoke {
    /// Id of the token, as `list` shows it.
    id: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
struct At {
    /// The tokens file; `tokens` in the data directory if absent.
    #[arg(long, env = "REPARTEE_TOKENS_FILE", value_name = "PATH")]
    tokens_file: Option<PathBuf>,
    /// The data directory.
    #[arg(long, env = "REPARTEE_DATA_DIR", value_name = "PATH", default_value = "./data")]
    data_dir: PathBuf,
}

impl At {
    fn path(&self) -> PathBuf {
        self.tokens_file.clone().unwrap_or_else(|| self.data_dir.join("tokens"))
    }
}

/// Runs the command that `arguments` ask for; the first of them is the word `token`.
#[expect(clippy::print_stderr, reason = "what a command says is for the terminal")]
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let command = match or_exit(Command::try_parse_from(arguments)) {
        Ok(command) => command,
        Err(exit) => return exit,
    };
    match act(command.act, SystemTime::now(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Usage(wrong)) => {
            eprintln!("error: {wrong}");
            ExitCode::from(EXIT_USAGE)
        }
        Err(Failed::Other(error)) => {
            eprintln!("error: {}", crate::error_chain(&*error));
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug)]
enum Failed {
    Usage(String),
    Other(Box<dyn Error>),
}

impl<E: Error + 'static> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Other(Box::new(error))
    }
}

fn act(act: Act, now: SystemTime, out: &mut impl Write) -> Result<(), Failed> {
    match act {
        Act::New(new) => {
            check(&new).map_err(Failed::Usage)?;
            let expires = new.expires.map(|Span(span)| now + span);
            let token = NewToken::draw(new.role, &new.entities, &new.name, expires);
            TokensFile::at(&new.at.path()).add(&token, now)?;
            writeln!(out, "{}", token.secret.reveal())?;
        }
        Act::List(at) => {
            writeln!(
                out,
                "{:12}  {:8}  {:20}  {:20}  {:20}  NAME",
                "ID", "ROLE", "CREATED", "EXPIRES", "ENTITIES"
            )?;
            for line in TokensFile::at(&at.path()).read()? {
                writeln!(out, "{}", shown(&line, now))?;
            }
        }
        Act::Revoke(Revoke { id, at }) => {
            let grant = TokensFile::at(&at.path()).revoke(&id)?;
            writeln!(out, "revoked {id}, of the role {}", grant.role)?;
        }
    }
    Ok(())
}

fn shown(line: &Line, now: SystemTime) -> String {
    let time = |time| humantime::format_rfc3339_seconds(time).to_string();
    let expires = match line.grant.expires {
        None => "never".to_owned(),
        Some(end) if end <= now => "expired".to_owned(),
        Some(end) => time(end),
    };
    let (created, entities) = (time(line.created), line.grant.entities.join(","));
    let role = line.grant.role.to_string();
    format!("{:12}  {role:8}  {created:20}  {expires:20}  {entities:20}  {}", line.grant.id, line.grant.name)
}

fn check(new: &New) -> Result<(), String> {
    let is_worker = new.role == Role::Worker;
    if is_worker && new.entities.is_empty() {
        return Err("--entity is needed for a worker: the bots that it answers, or '*' for all".to_owned());
    }
    if !is_worker && !new.entities.is_empty() {
        return Err(format!("--entity is for workers, not for a token of the role {}", new.role));
    }
    if new.entities.len() > ENTITIES {
        return Err(format!("--entity may be given at most {ENTITIES} times, not {}", new.entities.len()));
    }
    for (flag, text, least) in std::iter::once(("--name", &new.name, 0))
        .chain(new.entities.iter().map(|entity| ("--entity", entity, 1)))
    {
        let length = text.chars().count();
        if length < least || length > NAME_CHARS || text.chars().any(char::is_control) {
            return Err(format!(
                "{flag} has to have {least} to {NAME_CHARS} characters and none that controls, {text:?} has {length}"
            ));
        }
    }
    Ok(())
}
