//! What is done to the files of a log, and what the next start says.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod files;
mod marks;
mod records;

use std::{
    ffi::OsString,
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use repartee_log::{
    Appended, Draft, FileWriter, Kind, Log, LogWriter as _, MarkFault, OpenError, Options, Place,
};
use tempfile::TempDir;

/// A log of several segments, closed.
struct Closed {
    dir: TempDir,
    options: Options,
    appended: Vec<Appended>,
}

const RECORDS: u32 = 60;
/// Bytes of one.
const LENGTH: usize = 2168;

impl Closed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options =
            Options { segment_bytes: 32 << 10, background: false, ..Options::new(dir.path().join("log")) };
        let mut closed = Self { dir, options, appended: Vec::new() };
        closed.write(RECORDS, 1);
        closed
    }

    /// Opens it and appends so many records.
    fn write(&mut self, records: u32, content: u8) {
        let mut writer = FileWriter::open(&self.options).unwrap();
        for _ in 0..records {
            self.appended.push(writer.append(&draft(content)).unwrap());
        }
    }

    fn folder(&self) -> &Path {
        &self.options.folder
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder().join(format!("{segment:010}.log"))
    }

    /// The file of a record, and its bytes in it.
    fn bytes_of(&self, nth: usize) -> (PathBuf, Range<u64>) {
        let offset = |place: Place| place.to_u64() & 0xffff_ffff;
        let Appended { place, next, .. } = self.appended[nth];
        (self.path(place.to_u64() >> 32), offset(place)..offset(next))
    }

    fn last(&self) -> usize {
        self.appended.len() - 1
    }

    /// Writes over bytes of a record, from an offset in it on.
    fn overwrite(&self, nth: usize, at: u64, bytes: &[u8]) {
        let (path, range) = self.bytes_of(nth);
        File::options().write(true).open(path).unwrap().write_all_at(bytes, range.start + at).unwrap();
    }

    fn flip(&self, nth: usize, at: u64) {
        let (path, range) = self.bytes_of(nth);
        let mut byte = [0];
        File::open(path).unwrap().read_exact_at(&mut byte, range.start + at).unwrap();
        self.overwrite(nth, at, &[byte[0] ^ 0x10]);
    }

    /// The mark as it was before the last record: what a crash leaves that came before the answer.
    fn forget_the_last_answer(&mut self) {
        let mark = fs::read(self.folder().join("high-water")).unwrap();
        self.write(1, 2);
        fs::write(self.folder().join("high-water"), mark).unwrap();
    }

    fn refused(&self) -> OpenError {
        let before = self.snapshot();
        let refused = FileWriter::open(&self.options).expect_err("it is refused");
        assert_eq!(self.snapshot(), before, "nothing is changed by a start that is refused");
        refused
    }

    /// All files by name, with what is in them.
    fn snapshot(&self) -> Vec<(OsString, Vec<u8>)> {
        let entries = fs::read_dir(self.folder()).unwrap().map(Result::unwrap);
        let mut files: Vec<_> =
            entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
        files.sort();
        files
    }

    fn open(&self) -> Arc<dyn Log> {
        FileWriter::open(&self.options).unwrap().log()
    }

    fn copy(&self, name: &str) -> PathBuf {
        let to = self.dir.path().join(name);
        fs::create_dir(&to).unwrap();
        self.copy_to(&to);
        to
    }

    fn copy_to(&self, folder: &Path) {
        for (name, bytes) in self.snapshot() {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    /// The same log in another folder.
    fn copied(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("log");
        fs::create_dir(&folder).unwrap();
        self.copy_to(&folder);
        let options = Options { folder, ..self.options.clone() };
        Self { dir, options, appended: self.appended.clone() }
    }

    fn put_back(&self, copy: &Path) {
        fs::remove_dir_all(self.folder()).unwrap();
        fs::rename(copy, self.folder()).unwrap();
    }
}

fn draft(content: u8) -> Draft {
    let mut draft = Draft::new(Kind::Commit, 1, 7);
    draft.head().extend_from_slice(&[content; 100]);
    draft.add_body(|buffer| buffer.resize(buffer.len() + 1900, content));
    draft.add_body(|buffer| buffer.resize(buffer.len() + 100, content));
    draft
}

#[track_caller]
fn is_damage_at(error: &OpenError, path: &Path, offset: u64) {
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(
        matches!(error, OpenError::Damaged(damage) if damage.file == name && damage.offset == offset),
        "{error}"
    );
}

#[track_caller]
fn ends_early(error: &OpenError, closed: &Closed) {
    let acknowledged = closed.appended.len() as u64;
    let expected = MarkFault::End { last: acknowledged - 1, acknowledged };
    assert!(matches!(error, OpenError::Unacknowledged(fault) if *fault == expected), "{error}");
}
