//! The file of several bots.

mod wrong;

use std::{collections::HashSet, fs, path::Path};

use serde::Deserialize;

pub(crate) use wrong::what_is_wrong;

use super::{Answers, Bot};
use crate::{
    Settings,
    openai::Overrides,
    worker::{IN_FLIGHT, NAME_CHARS},
};

/// Most bots of one process: each holds a stream of work of its own.
const BOTS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BotsFile {
    bot: Vec<Overrides>,
}

/// The bots of this file; what an entry leaves out comes from the flags.
///
/// # Errors
/// One sentence about what is wrong, with the file and the entry.
pub(super) fn read(path: &Path, settings: &Settings) -> Result<Vec<Bot>, String> {
    let in_file = |problem: String| format!("--bots {}: {problem}", path.display());
    let mut bots = Vec::new();
    for entry in entries(path).map_err(in_file)? {
        let entity = entry.entity.clone().unwrap_or_default();
        let in_entry = |problem| in_file(format!("the bot {entity:?}: {problem}"));
        let openai = settings.openai.overridden(&entry);
        openai.check().map_err(in_entry)?;
        let answers = Answers::Endpoint(Box::new(openai.with_files().map_err(in_entry)?));
        let max_in_flight = entry.max_in_flight.unwrap_or(settings.max_in_flight);
        check(&entity, max_in_flight).map_err(in_entry)?;
        bots.push(Bot { entities: vec![entity], max_in_flight, answers });
    }
    Ok(bots)
}

/// Checks what a worker would refuse: one wrong entry must not end the bot that it is about.
fn check(entity: &str, max_in_flight: u32) -> Result<(), String> {
    let length = entity.chars().count();
    if !(1..=NAME_CHARS).contains(&length) {
        return Err(format!("entity must have 1 to {NAME_CHARS} characters, has {length}"));
    }
    if !(1..=IN_FLIGHT).contains(&max_in_flight) {
        return Err(format!("max-in-flight must be 1 to {IN_FLIGHT}, not {max_in_flight}"));
    }
    Ok(())
}

fn entries(path: &Path) -> Result<Vec<Overrides>, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let BotsFile { bot: entries } = toml::from_str(&text).map_err(|error| what_is_wrong(&text, &error))?;
    if entries.is_empty() || entries.len() > BOTS {
        return Err(format!("must have 1 to {BOTS} entries [[bot]], has {}", entries.len()));
    }
    let mut seen = HashSet::new();
    for entry in &entries {
        let entity = entry.entity.as_deref().filter(|entity| !entity.is_empty());
        let entity = entity.ok_or("each [[bot]] needs an entity")?;
        // As the service compares names: two spellings of one are one bot.
        if !seen.insert(repartee_process::names::canonical(entity)) {
            return Err(format!("the entity {entity:?} has two entries"));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
