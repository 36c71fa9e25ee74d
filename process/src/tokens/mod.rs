//! Tokens: who a caller is. A token proves a role; the tokens file holds the hash of each, never the token itself.
//!
//! Whoever holds a token has its rights, from wherever they call. Nothing else gives a right: no address, and no header
//! that is missing.

mod accepted;
mod command;
mod credential;
mod file;
mod following;

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use arc_swap::ArcSwap;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::{Looks, Secret};
pub use accepted::{AcceptedTokens, SentToken};
pub(crate) use command::run as command;
pub use credential::Credential;
pub use file::{Line, TokensFile, TokensFileError};
use following::Following;

/// How every token begins, so that it is told from an edit token, and found by scanners of leaked secrets.
const PREFIX: &str = "rpt_";
/// In a grant: every entity.
const ALL: &str = "*";

/// What a token proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers messages that are addressed to its entities.
    Worker,
    /// Asks on behalf of browsers, and says for whom.
    Gateway,
    /// Looks after the queue.
    Operator,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worker => "worker",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
        })
    }
}

/// The rights that come with one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Names the token without giving it away: it stands in the token and in the tokens file.
    pub id: String,
    /// The role.
    pub role: Role,
    /// The entities that a worker answers; `*` among them is every entity. Empty for other roles.
    pub entities: Arc<[String]>,
    /// What the operator called it; may be empty.
    pub name: String,
    /// From when on it is refused; never if absent.
    pub expires: Option<SystemTime>,
    /// Of the token: another one under the same id is another grant.
    hash: [u8; 32],
}

impl Grant {
    /// True if this grant is for every entity.
    pub fn is_for_all(&self) -> bool {
        self.entities.iter().any(|entity| entity == ALL)
    }

    /// True if a worker with this grant may answer this entity.
    pub fn answers(&self, entity: &str) -> bool {
        self.entities.iter().any(|granted| granted == ALL || granted == entity)
    }
}

/// The token in the variable REPARTEE_TOKEN, for binaries that have one of their own. There is no flag for it: command lines
/// are read by everybody on the machine.
pub fn token_variable() -> Option<Secret> {
    std::env::var("REPARTEE_TOKEN").ok().filter(|token| !token.is_empty()).map(Secret::from)
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// It is not of this place, or was revoked.
    #[error("this token is unknown here or was revoked")]
    Unknown,
    /// Its time is over.
    #[error("this token has expired")]
    Expired,
}

/// A new token: the text goes to its holder, the grant and the hash stay here.
#[derive(Debug)]
pub struct NewToken {
    /// The token.
    pub secret: Secret,
    /// What it proves.
    pub grant: Grant,
}

impl NewToken {
    /// Draws a token: 48 random bits of id, 256 of secret.
    pub fn draw(role: Role, entities: &[String], name: &str, expires: Option<SystemTime>) -> Self {
        let (id, secret): ([u8; 6], [u8; 32]) = (rand::rng().random(), rand::rng().random());
        let id = hex::encode(id);
        let secret = Secret::from(format!("{PREFIX}{id}_{}", hex::encode(secret)));
        let hash = hash(secret.reveal());
        let (entities, name) = (entities.into(), name.to_owned());
        Self { secret, grant: Grant { id, role, entities, name, expires, hash } }
    }
}

impl NewToken {
    /// The grant of this secret, whichever one was drawn at first.
    fn granted(&self) -> Grant {
        Grant { hash: hash(self.secret.reveal()), ..self.grant.clone() }
    }
}

/// The tokens that are accepted now; cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    path: Option<PathBuf>,
    /// Tokens of this process for its own parts, which no file holds.
    own: Vec<Arc<Grant>>,
    /// What the file held at the start.
    loaded: Vec<Line>,
    table: ArcSwap<Table>,
    changes: watch::Sender<()>,
}

type Table = HashMap<String, Arc<Grant>>;

impl Tokens {
    /// The tokens of the file at `path`, which need not be there yet, and those of this process for its own parts.
    ///
    /// # Errors
    /// If the file is there and cannot be read, or a line of it is wrong.
    pub fn load(path: Option<&Path>, own: &[NewToken]) -> Result<Self, TokensFileError> {
        let own: Vec<Arc<Grant>> = own.iter().map(|token| Arc::new(token.granted())).collect();
        let lines = path.map_or(Ok(Vec::new()), |path| TokensFile::at(path).read())?;
        let table = ArcSwap::from_pointee(table(&own, lines.clone()));
        let changes = watch::Sender::new(());
        Ok(Self(Arc::new(Inner { path: path.map(Path::to_owned), own, loaded: lines, table, changes })))
    }

    /// What the token that was sent proves. How long this takes may tell which ids there are; it tells
    /// nothing about their secrets.
    ///
    /// # Errors
    /// If it is unknown or has expired.
    pub fn authenticate(&self, sent: &str, now: SystemTime) -> Result<Arc<Grant>, TokenRefused> {
        let id = sent.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).map(|(id, _)| id);
        let table = self.0.table.load();
        let known = id.and_then(|id| table.get(id)).ok_or(TokenRefused::Unknown)?;
        if !bool::from(hash(sent).ct_eq(&known.hash)) {
            return Err(TokenRefused::Unknown);
        }
        match known.expires {
            Some(expires) if expires <= now => Err(TokenRefused::Expired),
            Some(_) | None => Ok(Arc::clone(known)),
        }
    }

    /// Ends once this grant counts no more, because its token was revoked, was replaced, or has expired: what was opened with
    /// it is to be closed then.
    pub async fn until_refused(&self, grant: Arc<Grant>) {
        let mut changes = self.0.changes.subscribe();
        let expiry = async {
            match grant.expires.map(|end| end.duration_since(SystemTime::now()).unwrap_or_default()) {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        let revoked = async {
            while self.0.table.load().get(&grant.id).is_some_and(|known| *known == grant) {
                // The sender lives as long as these tokens.
                let _ = changes.changed().await;
            }
        };
        tokio::select! {
            () = expiry => {}
            () = revoked => {}
        }
    }

    /// True if this grant counts no more at `now`, because its token was revoked, was replaced, or has expired.
    pub fn is_refused(&self, grant: &Grant, now: SystemTime) -> bool {
        let is_known = self.0.table.load().get(&grant.id).is_some_and(|known| **known == *grant);
        !is_known || grant.expires.is_some_and(|expires| expires <= now)
    }

    /// True if text is shaped like a token of a role, rather than like an edit token.
    pub fn is_token(sent: &str) -> bool {
        sent.starts_with(PREFIX)
    }

    /// How many tokens are accepted.
    pub fn len(&self) -> usize {
        self.0.table.load().len()
    }

    /// True if no token is accepted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entities that the workers' tokens name, `*` left out.
    pub fn entities(&self) -> Vec<String> {
        let table = self.0.table.load();
        let grants = table.values().flat_map(|known| known.entities.iter());
        grants.filter(|entity| *entity != ALL).cloned().collect()
    }

    /// Tells when the tokens that are accepted have become others.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// Follows the file: what is added there is accepted within about a second, what is removed is refused within about two.
    /// A file that is gone holds nothing; while it cannot be read, what it held last stays. Runs until it is dropped.
    pub async fn follow(self) {
        let Some(path) = self.0.path.clone() else { return std::future::pending().await };
        let mut looks = Looks::by(move || TokensFile::at(&path).read());
        let mut following = Following::from(self.0.loaded.clone());
        loop {
            if let Some(lines) = following.next(looks.next().await) {
                self.0.table.store(Arc::new(table(&self.0.own, lines)));
                self.0.changes.send_replace(());
            }
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("path", &self.0.path).field("accepted", &self.len()).finish()
    }
}

fn table(own: &[Arc<Grant>], lines: Vec<Line>) -> Table {
    let listed = lines.into_iter().map(|line| Arc::new(line.grant));
    own.iter().cloned().chain(listed).map(|known| (known.id.clone(), known)).collect()
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests;
