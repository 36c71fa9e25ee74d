//! A wall clock that a test turns under a running service, by Debian's libfaketime.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// What is turned: the wall clock of the processes that are started with [`FakeTime::variables`]. Their monotonic clock
/// stays true.
#[derive(Debug)]
pub struct FakeTime {
    library: PathBuf,
    folder: TempDir,
}

impl FakeTime {
    /// A wall clock that is right at first.
    ///
    /// # Errors
    /// Where the library is not installed.
    pub fn new() -> Result<Self, String> {
        let library =
            library().ok_or("libfaketime is not installed (Debian: apt-get install libfaketime)")?;
        let clock = Self { library, folder: TempDir::new().map_err(|error| error.to_string())? };
        clock.set("+0");
        Ok(clock)
    }

    /// Sets the clock so far from the true time: `+400d`, `-120s`, `+0`.
    ///
    /// # Panics
    /// Where the file cannot be written that the library reads.
    pub fn set(&self, offset: &str) {
        // It is read at any time, so it is there whole at any time.
        let draft = self.folder.path().join("draft");
        fs::write(&draft, format!("{offset}\n")).expect("a temporary file can be written");
        fs::rename(draft, self.file()).expect("a temporary file can be moved");
    }

    /// What a process has to be started with.
    pub fn variables(&self) -> Vec<(String, String)> {
        let shown = |path: &Path| path.display().to_string();
        let variables = [
            ("LD_PRELOAD", shown(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", shown(&self.file())),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

/// The library for programs with threads, below the folder of the machine's architecture.
fn library() -> Option<PathBuf> {
    let folders = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    let below = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let mut places = folders.iter().cloned().chain(below.map(|entry| entry.path()));
    places.find_map(|place| {
        let library = place.join("faketime/libfaketimeMT.so.1");
        library.is_file().then_some(library)
    })
}
