//! The first start: a token of each role, so that everything can be tried at once. Each is in a file of its own that only
//! the owner of the data can read; the service itself keeps their hashes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use repartee_process::{NewToken, Role, Secret, TokensFile, TokensFileError, private_file};

use crate::standalone::Error;

/// The roles that get a token, the entities of a worker's, and its file.
const ROLES: [(Role, &[&str], &str); 3] = [
    (Role::Operator, &[], "operator-token"),
    (Role::Worker, &["*"], "worker-token"),
    (Role::Gateway, &[], "gateway-token"),
];

/// Makes the tokens of a data directory that has no tokens file yet, and says whether it did.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn make_tokens(data_dir: &Path) -> Result<bool, Error> {
    let path = data_dir.join("tokens");
    if path.exists() {
        return Ok(false);
    }
    private_file::create_folder(data_dir).map_err(|error| TokensFileError::Io(path.clone(), error))?;
    let mut tokens = Vec::new();
    for (role, entities, file) in ROLES {
        let entities: Vec<String> = entities.iter().map(|entity| (*entity).to_owned()).collect();
        let token = NewToken::draw(role, &entities, "first start", None);
        let at = data_dir.join(file);
        let text = format!("{}\n", token.secret.reveal());
        private_file::replace(&at, text.as_bytes()).map_err(|error| TokensFileError::Io(at, error))?;
        tokens.push(token);
    }
    // Last, and all at once: a start that is interrupted before is a first start again.
    TokensFile::at(&path).add_all(&tokens, SystemTime::now())?;
    Ok(true)
}

/// Where the operator's token of the first start is, if it is still there.
pub(crate) fn operator_token_file(data_dir: &Path) -> Option<PathBuf> {
    Some(data_dir.join(ROLES[0].2)).filter(|path| path.exists())
}

/// The operator's token of the first start, if it is still there.
pub(crate) fn operator_token(data_dir: &Path) -> Option<Secret> {
    let text = fs::read_to_string(data_dir.join(ROLES[0].2)).ok()?;
    Some(Secret::from(text.trim().to_owned())).filter(|token| !token.reveal().is_empty())
}

/// Where the worker's token of the first start is, if it is still there.
pub(crate) fn worker_token_file(data_dir: &Path) -> Option<PathBuf> {
    Some(data_dir.join(ROLES[1].2)).filter(|path| path.exists())
}
