//! The tokens that every service under test accepts: one of each role.

use std::{path::Path, time::SystemTime};

use repartee_process::{NewToken, Role, Secret, TokensFile};

/// An operator's token.
pub const OPERATOR: &str =
    "rpt_000000000001_1111111111111111111111111111111111111111111111111111111111111111";
/// A worker's token, for every entity.
pub const WORKER: &str = "rpt_000000000002_2222222222222222222222222222222222222222222222222222222222222222";
/// A gateway's token.
pub const GATEWAY: &str = "rpt_000000000003_3333333333333333333333333333333333333333333333333333333333333333";
/// A worker's token, for the entity `echo` only.
pub const ECHO_WORKER: &str =
    "rpt_000000000004_4444444444444444444444444444444444444444444444444444444444444444";

/// Writes a tokens file with all of these.
///
/// # Panics
/// Where it cannot be written.
pub fn write_tokens(path: &Path) {
    let rows: [(&str, Role, &[&str]); 4] = [
        (OPERATOR, Role::Operator, &[]),
        (WORKER, Role::Worker, &["*"]),
        (GATEWAY, Role::Gateway, &[]),
        (ECHO_WORKER, Role::Worker, &["echo"]),
    ];
    for (token, role, entities) in rows {
        add_token(path, token, role, entities);
    }
}

/// Adds one token to a tokens file.
///
/// # Panics
/// Where it cannot be written.
pub fn add_token(path: &Path, token: &str, role: Role, entities: &[&str]) {
    let entities: Vec<String> = entities.iter().map(|entity| (*entity).to_owned()).collect();
    let mut new = NewToken::draw(role, &entities, "", None);
    new.secret = Secret::from(token.to_owned());
    token.split('_').nth(1).expect("a token has an id").clone_into(&mut new.grant.id);
    TokensFile::at(path).add(&new, SystemTime::now()).expect("a new folder can be written to");
}
