//! Whose names are whose: what is reserved for bots, by settings, by workers that serve entities, and by what tokens grant.

use std::{io, sync::Arc};

use parking_lot::RwLock;
use repartee_process::{Bound, Fill};

use crate::{
    domain::{NewMessage, Rejection, Reserved, ReservedNames},
    journal::ServedEntities,
    settings::Settings,
};

/// Label of the bound.
const BOUND: &str = "reserved_names";

/// The names, shared by all calls.
#[derive(Debug, Clone)]
pub(crate) struct Names(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    reserved: RwLock<ReservedNames>,
    served: ServedEntities,
    most: u32,
    /// Counts what was not reserved.
    refused: Bound,
}

impl Names {
    /// What settings reserve, and what was served before.
    ///
    /// # Errors
    /// If the file of the served entities cannot be read.
    pub(crate) fn open(settings: &Settings) -> io::Result<Self> {
        let most = settings.max_reserved_names;
        let names = Self(Arc::new(Shared {
            reserved: RwLock::new(ReservedNames::new(most as usize)),
            served: ServedEntities::open(&settings.data_dir)?,
            most,
            refused: Bound::new(BOUND, most),
        }));
        names.reserve(settings.reserved_names.iter().map(String::as_str));
        for given in &settings.bot_names {
            let reserved = names.0.reserved.write().give(given);
            names.note(&given.name, reserved);
            names.reserve([given.entity.as_str()]);
        }
        names.reserve(names.0.served.list().iter().map(String::as_str));
        Ok(names)
    }

    /// Reserves names, for instance of the entities that tokens grant. Says which are new.
    pub(crate) fn reserve<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut new = Vec::new();
        for name in names {
            // Workers come back with the same entities again and again: that is only a look.
            if self.0.reserved.read().holds(name) {
                continue;
            }
            let reserved = self.0.reserved.write().reserve(name);
            self.note(name, reserved);
            if reserved == Reserved::New {
                new.push(name.to_owned());
            }
        }
        new
    }

    /// A worker serves these entities: their names are reserved, over restarts too. A worker that serves all entities
    /// names none, and so reserves none: visitors choose what they ask for.
    pub(crate) fn serve(&self, entities: &[String]) {
        let new = self.reserve(entities.iter().map(String::as_str));
        if new.is_empty() {
            return;
        }
        let names = self.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = names.0.served.add(new) {
                tracing::warn!(%error, "reserved names could not be written; they hold until the next restart");
            }
        });
    }

    /// Checks the names in a post; visitors only are held to them.
    ///
    /// # Errors
    /// `NameReserved`.
    pub(crate) fn check(&self, new: &NewMessage, caller_is_visitor: bool) -> Result<(), Rejection> {
        if caller_is_visitor { self.0.reserved.read().check_visitor(new) } else { Ok(()) }
    }

    /// How full it is.
    pub(crate) fn fill(&self) -> Fill {
        let held = self.0.reserved.read().len() as u64;
        Fill { name: BOUND, held, limit: self.0.most.into() }
    }

    fn note(&self, name: &str, reserved: Reserved) {
        if reserved == Reserved::TooMany {
            let limit = self.0.most;
            self.0.refused.refuse();
            tracing::warn!(name, limit, "a name is not reserved: there are --max-reserved-names already");
        }
    }
}
