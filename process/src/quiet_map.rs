//! A map by name in which the entries that are quiet have a bound of their own.
//!
//! What an entry holds is bounded elsewhere; a quiet one holds nothing but that it is known. Of these only the ones that
//! were used last stay, so that names alone cannot fill the memory, and the next new name costs what the first did.

use std::{collections::HashMap, fmt, num::NonZeroUsize, sync::Arc};

use lru::LruCache;

/// Entries by name, of which at most so many are quiet.
pub struct QuietMap<V> {
    entries: HashMap<Arc<str>, V>,
    /// The names of the quiet entries, and no others.
    quiet: LruCache<Arc<str>, ()>,
    is_quiet: fn(&V) -> bool,
}

impl<V> QuietMap<V> {
    /// An empty map that keeps `most_quiet` entries of which `is_quiet` is true.
    pub fn new(most_quiet: NonZeroUsize, is_quiet: fn(&V) -> bool) -> Self {
        Self { entries: HashMap::new(), quiet: LruCache::new(most_quiet), is_quiet }
    }

    /// How many entries there are, quiet ones and others.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of a name. Looking at it is no use of it: it may leave next.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.entries.get(name)
    }

    /// Changes the entry of a name, which is `fresh` if it is new. A quiet entry was used just now; at most one other
    /// leaves for it.
    pub fn enter<T>(&mut self, name: &str, fresh: impl FnOnce() -> V, change: impl FnOnce(&mut V) -> T) -> T {
        if let Some(entry) = self.entries.get_mut(name) {
            let was_quiet = (self.is_quiet)(entry);
            let result = change(entry);
            let is_quiet = (self.is_quiet)(entry);
            self.settle(name, was_quiet, is_quiet);
            return result;
        }
        let mut entry = fresh();
        let result = change(&mut entry);
        let is_quiet = (self.is_quiet)(&entry);
        self.entries.insert(name.into(), entry);
        self.settle(name, false, is_quiet);
        result
    }

    /// Changes the entry of a name if there is one, as [`Self::enter`] does.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut V)) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let was_quiet = (self.is_quiet)(entry);
        change(entry);
        let is_quiet = (self.is_quiet)(entry);
        self.settle(name, was_quiet, is_quiet);
    }

    fn settle(&mut self, name: &str, was_quiet: bool, is_quiet: bool) {
        match (was_quiet, is_quiet) {
            (true, true) => self.quiet.promote(name),
            (true, false) => self.quiet.pop(name).is_some(),
            (false, false) => false,
            (false, true) => self.rest(name),
        };
    }

    fn rest(&mut self, name: &str) -> bool {
        let Some((name, _)) = self.entries.get_key_value(name) else { return false };
        let left = self.quiet.push(Arc::clone(name), ());
        left.is_some_and(|(oldest, ())| self.entries.remove(&oldest).is_some())
    }
}

impl<V> fmt::Debug for QuietMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, quiet) = (self.entries.len(), self.quiet.len());
        f.debug_struct("QuietMap").field("entries", &entries).field("quiet", &quiet).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::QuietMap;

    const MOST: usize = 10;

    fn map() -> QuietMap<Vec<usize>> {
        QuietMap::new(NonZeroUsize::new(MOST).unwrap(), Vec::is_empty)
    }

    fn add(map: &mut QuietMap<Vec<usize>>, name: usize) {
        map.enter(&name.to_string(), Vec::new, |entry| entry.push(1));
    }

    fn empty(map: &mut QuietMap<Vec<usize>>, name: usize) {
        map.change(&name.to_string(), Vec::clear);
    }

    #[test]
    fn quiet_entries_leave_one_by_one_the_longest_unused_first_and_busy_ones_stay() {
        let mut map = map();
        // Far more busy ones than there may be quiet ones.
        for name in 0..3 * MOST {
            add(&mut map, name);
            assert_eq!((map.len(), map.quiet.len()), (name + 1, 0), "nobody is looked for in vain");
        }
        for name in 0..MOST {
            empty(&mut map, name);
        }
        assert_eq!((map.len(), map.quiet.len()), (3 * MOST, MOST));
        map.enter("0", Vec::new, |_| ());
        for name in MOST..MOST + MOST / 2 {
            let before = map.len();
            empty(&mut map, name);
            assert_eq!(map.len(), before - 1, "each new quiet one pushes one out");
        }
        assert!(map.get("0").is_some(), "it was used just now");
        assert!(map.get("1").is_none() && map.get(&MOST.to_string()).is_some());
        add(&mut map, MOST);
        assert_eq!(map.quiet.len(), MOST - 1, "it is quiet no more");
    }

    #[test]
    fn a_new_entry_may_be_quiet_and_an_absent_one_is_not_changed() {
        let mut map = map();
        for name in 0..2 * MOST {
            map.enter(&name.to_string(), Vec::new, |_| ());
        }
        assert_eq!((map.len(), map.quiet.len()), (MOST, MOST));
        map.change("absent", |entry| entry.push(1));
        assert!(map.get("absent").is_none());
    }
}
