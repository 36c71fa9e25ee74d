//! A model of a disk. What was not synced is kept or lost at a power cut, sector by sector, as the die falls; names that
//! were not synced are lost from some point on.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::files::{
    Durability,
    disk::{Access, Disk, DiskFile},
};

/// What a disk writes all of or nothing of.
const SECTOR: usize = 512;

/// The disk. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct FaultyDisk {
    model: Arc<Mutex<Model>>,
    durability: Durability,
    /// Held by all files of one opening.
    _opening: Arc<()>,
}

#[derive(Debug)]
struct Model {
    dice: StdRng,
    files: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Names after each change that is not durable yet.
    pending_names: Vec<BTreeMap<String, usize>>,
    /// Changes that the disk still makes before the power goes.
    left: Option<u64>,
    is_off: bool,
    is_full: bool,
    fails_next: bool,
}

#[derive(Debug, Default)]
struct Inode {
    /// What is read.
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Sector(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    file: usize,
    access: Access,
}

impl FaultyDisk {
    pub(super) fn new(seed: u64, durability: Durability) -> Self {
        let model = Model {
            dice: StdRng::seed_from_u64(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            left: None,
            is_off: false,
            is_full: false,
            fails_next: false,
        };
        Self { model: Arc::new(Mutex::new(model)), durability, _opening: Arc::default() }
    }

    /// The same disk, to be opened once more.
    pub(super) fn again(&self) -> (Self, Weak<()>) {
        let opening = Arc::new(());
        let in_use = Arc::downgrade(&opening);
        (Self { _opening: opening, ..self.clone() }, in_use)
    }

    /// The power goes after so many changes more.
    pub(super) fn cut_after(&self, changes: u64) {
        self.model.lock().left = Some(changes);
    }

    pub(super) fn is_off(&self) -> bool {
        self.model.lock().is_off
    }

    /// Nothing is written any more, as after the end of the process.
    pub(super) fn stop(&self) {
        self.model.lock().is_off = true;
    }

    /// The process is started again: all that it wrote is there.
    pub(super) fn start(&self) {
        let mut model = self.model.lock();
        (model.is_off, model.left) = (false, None);
    }

    /// The machine is started again: what was not synced is there or not.
    pub(super) fn start_after_power_cut(&self) {
        self.start();
        let model = &mut *self.model.lock();
        let kept = model.dice.random_range(0..=model.pending_names.len());
        if let Some(names) = model.pending_names.drain(..).take(kept).next_back() {
            model.durable_names = names;
        }
        model.names.clone_from(&model.durable_names);
        for (nth, inode) in model.files.iter_mut().enumerate() {
            if !model.names.values().any(|file| *file == nth) {
                *inode = Inode::default();
            }
        }
        for inode in &mut model.files {
            // All, none, or one by one: a coin for each alone would hardly ever keep all of many.
            let share = [0.0, 0.5, 0.9, 1.0][model.dice.random_range(0..4)];
            for change in std::mem::take(&mut inode.pending) {
                if model.dice.random_bool(share) {
                    change.apply(&mut inode.durable);
                }
            }
            inode.now.clone_from(&inode.durable);
        }
    }

    pub(super) fn set_full(&self, full: bool) {
        self.model.lock().is_full = full;
    }

    pub(super) fn fail_next(&self) {
        self.model.lock().fails_next = true;
    }

    /// Runs a change, unless the power is off. With the last one it goes: that one is begun and not finished.
    fn change<T>(&self, change: impl FnOnce(&mut Model) -> io::Result<T>) -> io::Result<T> {
        let model = &mut *self.model.lock();
        model.check_power()?;
        if let Some(left) = &mut model.left {
            *left = left.saturating_sub(1);
        }
        let is_last = model.left == Some(0);
        let done = change(model);
        model.is_off |= is_last;
        model.check_power()?;
        done
    }
}

impl Model {
    fn check_power(&self) -> io::Result<()> {
        if self.is_off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&mut self, change: impl FnOnce(&mut BTreeMap<String, usize>)) {
        change(&mut self.names);
        self.pending_names.push(self.names.clone());
    }
}

impl Change {
    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Sector(nth, sector) => {
                let from = nth * SECTOR;
                let to = bytes.len().min(from + sector.len());
                // A sector beyond the length that is durable is not in the file.
                if from < to {
                    bytes[from..to].copy_from_slice(&sector[..to - from]);
                }
            }
            Self::Length(length) => bytes.resize(length, 0),
        }
    }
}

impl Inode {
    fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        if end > self.now.len() {
            self.set_length(end);
        }
        self.now[at..end].copy_from_slice(bytes);
        for nth in at / SECTOR..end.div_ceil(SECTOR) {
            let to = self.now.len().min((nth + 1) * SECTOR);
            self.pending.push(Change::Sector(nth, self.now[nth * SECTOR..to].to_vec()));
        }
    }

    fn set_length(&mut self, length: usize) {
        self.now.resize(length, 0);
        self.pending.push(Change::Length(length));
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable);
        }
    }
}

impl Disk for FaultyDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        let model = self.model.lock();
        model.check_power()?;
        Ok(model.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<()> {
        self.change(|model| {
            model.files.push(Inode::default());
            let file = model.files.len() - 1;
            model.rename(|names| {
                names.insert(name.to_owned(), file);
            });
            Ok(())
        })
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let model = self.model.lock();
        model.check_power()?;
        Ok(Arc::new(FaultyFile { disk: self.clone(), file: model.find(name)?, access }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|model| {
            let file = model.find(from)?;
            model.rename(|names| {
                names.remove(from);
                names.insert(to.to_owned(), file);
            });
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|model| {
            model.find(name)?;
            model.rename(|names| {
                names.remove(name);
            });
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        let disk = self.clone();
        let synced = |model: &mut Model| {
            if model.left != Some(0) {
                model.durable_names.clone_from(&model.names);
                model.pending_names.clear();
            }
            Ok(())
        };
        disk.change(synced)
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let model = self.disk.model.lock();
        model.check_power()?;
        let bytes = model.files[self.file].now.get(at as usize..).unwrap_or_default();
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        assert_ne!(self.access, Access::Read, "it was opened for reading");
        if matches!(self.access, Access::Blocks | Access::Commit) {
            let is_aligned = bytes.as_ptr().align_offset(4096) == 0;
            assert!(is_aligned && bytes.len().is_multiple_of(4096) && at.is_multiple_of(4096));
        }
        let is_synced = self.access == Access::Commit && self.disk.durability == Durability::Power;
        self.disk.change(|model| {
            if self.access == Access::Commit && std::mem::take(&mut model.fails_next) {
                return Err(io::Error::other("the write failed"));
            }
            let is_cut = model.left == Some(0);
            let inode = &mut model.files[self.file];
            inode.write(bytes, at as usize);
            if is_synced && !is_cut {
                inode.sync();
            }
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change(|model| {
            if model.left != Some(0) {
                model.files[self.file].sync();
            }
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        let model = self.disk.model.lock();
        model.check_power()?;
        Ok(model.files[self.file].now.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.disk.change(|model| {
            model.files[self.file].set_length(length as usize);
            Ok(())
        })
    }

    fn allocate(&self, from: u64, bytes: u64) -> io::Result<bool> {
        self.disk.change(|model| {
            if model.is_full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let inode = &mut model.files[self.file];
            let length = inode.now.len().max((from + bytes) as usize);
            inode.set_length(length);
            Ok(true)
        })
    }
}
