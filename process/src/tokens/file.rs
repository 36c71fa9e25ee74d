//! The tokens file: a JSON object a line, the newest last. It may be mounted read-only, for example from a Secret of
//! Kubernetes; the commands that write it need to write its folder too.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{Grant, NewToken, Role};
use crate::{names, private_file};

/// Largest tokens file: some ten thousand tokens.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// A tokens file, there or not.
#[derive(Debug)]
pub struct TokensFile<'a> {
    path: &'a Path,
}

/// One token as the file holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it proves.
    pub grant: Grant,
    /// When it was made.
    pub created: SystemTime,
}

/// A tokens file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokensFileError {
    /// The system says no.
    #[error("the tokens file {0} cannot be used")]
    Io(PathBuf, #[source] io::Error),
    /// It is too large.
    #[error("the tokens file {0} may have at most {MOST_BYTES} bytes, it has {1}")]
    TooLarge(PathBuf, u64),
    /// A line is no token.
    #[error("line {1} of the tokens file {0} is wrong: {2}")]
    Line(PathBuf, usize, String),
    /// No token has this id.
    #[error("no token in {0} has the id {1}; `token list` shows all")]
    Unknown(PathBuf, String),
}

/// How a line is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    role: Role,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    entities: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    created: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    sha256: String,
}

impl<'a> TokensFile<'a> {
    /// The file at this path.
    pub fn at(path: &'a Path) -> Self {
        Self { path }
    }

    /// Its tokens; none if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, or a line of it is wrong: then none of it counts, so that a typing error is noticed.
    pub fn read(&self) -> Result<Vec<Line>, TokensFileError> {
        let text = match fs::metadata(self.path) {
            Ok(file) if file.len() > MOST_BYTES => {
                return Err(TokensFileError::TooLarge(self.path.to_owned(), file.len()));
            }
            Ok(_) => fs::read_to_string(self.path),
            Err(error) => Err(error),
        };
        match text {
            Ok(text) => self.parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.io(error)),
        }
    }

    /// Adds a token.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&self, token: &NewToken, created: SystemTime) -> Result<(), TokensFileError> {
        self.add_all(std::slice::from_ref(token), created)
    }

    /// Adds all of these tokens, or none.
    ///
    /// # Errors
    /// As for [`Self::add`].
    pub fn add_all(&self, tokens: &[NewToken], created: SystemTime) -> Result<(), TokensFileError> {
        self.rewrite(|lines| {
            lines.extend(tokens.iter().map(|token| Line { grant: token.granted(), created }));
            Ok(())
        })
    }

    /// Removes a token: whoever holds it has no right from then on. Gives what it was.
    ///
    /// # Errors
    /// If no token has this id, or the file cannot be written.
    pub fn revoke(&self, id: &str) -> Result<Grant, TokensFileError> {
        let mut revoked = None;
        self.rewrite(|lines| {
            let at = lines.iter().position(|line| line.grant.id == id);
            let at = at.ok_or_else(|| TokensFileError::Unknown(self.path.to_owned(), id.to_owned()))?;
            revoked = Some(lines.remove(at).grant);
            Ok(())
        })?;
        Ok(revoked.expect("it was found"))
    }

    /// Replaces the file as a whole: a reader sees the one or the other. Two that write take turns.
    fn rewrite(
        &self,
        change: impl FnOnce(&mut Vec<Line>) -> Result<(), TokensFileError>,
    ) -> Result<(), TokensFileError> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        private_file::create_folder(folder).map_err(|error| self.io(error))?;
        let lock = fs::File::open(folder).map_err(|error| self.io(error))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| self.io(error.into()))?;
        let mut lines = self.read()?;
        change(&mut lines)?;
        let mut text = Vec::new();
        for line in &lines {
            serde_json::to_writer(&mut text, &Written::from(line)).expect("a line is plain values");
            text.push(b'\n');
        }
        private_file::replace(self.path, &text).map_err(|error| self.io(error))
    }

    fn parse(&self, text: &str) -> Result<Vec<Line>, TokensFileError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = |(at, line)| {
            read(line).map_err(|wrong| TokensFileError::Line(self.path.to_owned(), at + 1, wrong))
        };
        lines.map(read).collect()
    }

    fn io(&self, error: io::Error) -> TokensFileError {
        TokensFileError::Io(self.path.to_owned(), error)
    }
}

fn read(line: &str) -> Result<Line, String> {
    let written: Written = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let time = |text: &str| humantime::parse_rfc3339(text).map_err(|error| format!("{text:?}: {error}"));
    let mut hash = [0; 32];
    hex::decode_to_slice(&written.sha256, &mut hash)
        .map_err(|_| "sha256 has to be 64 hex digits".to_owned())?;
    if written.role == Role::Worker && written.entities.is_empty() {
        return Err("a worker's token has to name entities, or \"*\"".to_owned());
    }
    let grant = Grant {
        id: written.id,
        role: written.role,
        entities: written.entities.iter().map(|entity| names::canonical(entity).into_owned()).collect(),
        name: written.name,
        expires: written.expires.as_deref().map(time).transpose()?,
        hash,
    };
    Ok(Line { grant, created: time(&written.created)? })
}

impl From<&Line> for Written {
    fn from(line: &Line) -> Self {
        let time = |time| humantime::format_rfc3339_seconds(time).to_string();
        Self {
            id: line.grant.id.clone(),
            role: line.grant.role,
            entities: line.grant.entities.to_vec(),
            name: line.grant.name.clone(),
            created: time(line.created),
            expires: line.grant.expires.map(time),
            sha256: hex::encode(line.grant.hash),
        }
    }
}
