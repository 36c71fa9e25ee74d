//! In whose name the generator calls, and the tokens that prove it. A build that knows no tokens ignores them.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use http::HeaderValue;
use repartee_process::{Credential, NewToken, Role, Secret, TokensFile, private_file};

use crate::{error::Error, settings::Place};

/// In whose name a client calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Somebody with a browser: no token.
    Visitor,
    /// A bot.
    Worker,
    /// Whoever runs the servers. Has no share of their own, so messages that are there before a measurement are theirs.
    Operator,
}

/// The tokens of the servers under load.
#[derive(Debug)]
pub(crate) struct Access {
    worker: Credential,
    operator: Credential,
    /// Where another generator finds the operator's.
    operator_file: Option<PathBuf>,
    environment: Environment,
}

/// What the servers are told of tokens.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// Of the queue-service.
    pub(crate) queue: Vec<(&'static str, String)>,
    /// Of the rest-gateway.
    pub(crate) gateway: Vec<(&'static str, String)>,
}

impl Access {
    /// New tokens for servers of our own, in this folder.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn new_in(folder: &Path) -> Result<Self, Error> {
        let (tokens_file, operator_file) = (folder.join("tokens"), folder.join("operator-token"));
        let token = |role, entities: &[String]| {
            let token = NewToken::draw(role, entities, "load", None);
            TokensFile::at(&tokens_file)
                .add(&token, SystemTime::now())
                .map_err(|error| Error::Token(error.to_string()))?;
            Ok::<_, Error>(token.secret)
        };
        let worker = token(Role::Worker, &["*".to_owned()])?;
        let operator = token(Role::Operator, &[])?;
        let gateway = token(Role::Gateway, &[])?;
        let written = private_file::replace(&operator_file, operator.reveal().as_bytes());
        written.map_err(Error::io(operator_file.display().to_string()))?;
        let environment = Environment {
            queue: vec![("REPARTEE_TOKENS_FILE", tokens_file.display().to_string())],
            gateway: vec![("REPARTEE_TOKEN", gateway.reveal().to_owned())],
        };
        let (worker, operator) = (credential(&worker)?, credential(&operator)?);
        Ok(Self { worker, operator, operator_file: Some(operator_file), environment })
    }

    /// The operator's token of servers that run already, if `place` names one; it may do what a worker's may, too.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn of(place: &Place) -> Result<Self, Error> {
        let operator_file = place.token_file.clone();
        let operator = Credential::from_settings(operator_file.clone(), None).map_err(Error::Token)?;
        Ok(Self { worker: operator.clone(), operator, operator_file, environment: Environment::default() })
    }

    /// The same, with the servers' own limits of each client, which a load from one address runs without.
    pub(crate) fn with_client_limits(mut self) -> Self {
        let defaults = [("REPARTEE_CLIENT_LIMITS", "on"), ("REPARTEE_MAX_PENDING_PER_ENTITY", "10000")];
        let defaults = defaults.map(|(name, value)| (name, value.to_owned()));
        self.environment.queue.extend(defaults.clone());
        self.environment.gateway.extend(defaults);
        self
    }

    /// What proves who calls; for visitors, nothing.
    pub(crate) fn credential(&self, who: Who) -> Credential {
        match who {
            Who::Visitor => Credential::default(),
            Who::Worker => self.worker.clone(),
            Who::Operator => self.operator.clone(),
        }
    }

    /// The same as a header.
    pub(crate) fn header(&self, who: Who) -> Option<HeaderValue> {
        let value = self.credential(who).header()?;
        Some(HeaderValue::from_bytes(value.as_bytes()).expect("metadata is made of the same characters"))
    }

    /// What the servers are told of tokens.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The flags by which another generator gets the operator's token.
    pub(crate) fn flags(&self) -> Vec<String> {
        let file = self.operator_file.iter();
        file.flat_map(|file| ["--token-file".to_owned(), file.display().to_string()]).collect()
    }
}

fn credential(token: &Secret) -> Result<Credential, Error> {
    Credential::of(token).map_err(Error::Token)
}
