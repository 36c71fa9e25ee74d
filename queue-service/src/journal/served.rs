//! The entities that workers have served, in a file of the data directory: a restart forgets none of their names.

use std::{
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use repartee_process::{names, private_file};

/// Name of the file; a name a line.
const FILE: &str = "served-entities";

/// The file. Removing a line from it while the service is stopped makes that name free again.
#[derive(Debug)]
pub struct ServedEntities {
    path: PathBuf,
    /// What the file holds.
    written: Mutex<Vec<String>>,
}

impl ServedEntities {
    /// Reads the file of a data directory; no file means that nothing was served yet. Lines that are no names are left
    /// out.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        let bytes = match private_file::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let text = String::from_utf8_lossy(&bytes);
        let is_name = |line: &&str| !line.is_empty() && names::fault(line).is_none();
        let written = text.lines().filter(is_name).map(str::to_owned).collect();
        Ok(Self { path, written: Mutex::new(written) })
    }

    /// The entities, in the order in which they came.
    pub fn list(&self) -> Vec<String> {
        self.written.lock().clone()
    }

    /// Adds entities, and returns once they are on the disk. Blocks.
    ///
    /// # Errors
    /// If the file cannot be replaced; it is as it was then.
    pub fn add(&self, entities: Vec<String>) -> io::Result<()> {
        let mut written = self.written.lock();
        let before = written.len();
        for entity in entities {
            if !written.contains(&entity) {
                written.push(entity);
            }
        }
        if written.len() == before {
            return Ok(());
        }
        let mut text = written.join("\n");
        text.push('\n');
        let replaced = private_file::replace(&self.path, text.as_bytes());
        if replaced.is_err() {
            written.truncate(before);
        }
        replaced
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_served_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let served = ServedEntities::open(dir.path()).unwrap();
        assert!(served.list().is_empty());
        served.add(vec!["echo".to_owned(), "café".to_owned()]).unwrap();
        served.add(vec!["echo".to_owned()]).unwrap();
        assert_eq!(ServedEntities::open(dir.path()).unwrap().list(), ["echo", "café"]);
        fs::write(dir.path().join(FILE), "echo\n\n\u{202e}x\nwhole").unwrap();
        assert_eq!(ServedEntities::open(dir.path()).unwrap().list(), ["echo", "whole"]);
    }

    #[test]
    fn what_cannot_be_written_is_tried_again_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let served = ServedEntities::open(&dir.path().join("gone")).unwrap();
        assert!(served.add(vec!["echo".to_owned()]).is_err());
        assert!(served.list().is_empty());
    }
}
