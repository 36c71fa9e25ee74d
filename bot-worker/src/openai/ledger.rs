//! What the bots of one process have spent today, over restarts: a small file, if there is one.
//!
//! It is written beside itself and renamed, so that it is whole whenever it is read: a second after tokens were spent, and at
//! the end. A process that is killed forgets what it spent in its last second. A lock beside it keeps a second process away,
//! which would write over what the first one counts.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{File, TryLockError},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use repartee_process::private_file;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::spending::{Spending, day};

/// Most bytes of the file: a hundred bots have less than a tenth.
const FILE_BYTES: u64 = 1 << 20;

/// The tokens of all bots.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: Option<PathBuf>,
    spendings: HashMap<String, Arc<Spending>>,
    /// What the file holds.
    kept: Page,
    /// Held for as long as this process writes the file; None if there is no file, or it cannot be locked yet.
    lock: Option<File>,
    /// True if it could not be written: that is said once.
    is_stuck: bool,
}

/// One day, as it is stored. What this version does not know it does not read: a number of a foreign meaning must not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    /// Days since the first of January 1970, UTC.
    day: u64,
    /// The tokens of each bot.
    tokens: BTreeMap<String, u64>,
}

impl Ledger {
    /// What stands in the file; nothing if it is not there yet, or there is none. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// One sentence, if it cannot be read or holds something else: what was spent is unknown then. And if another process
    /// uses it.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, String> {
        let lock = path.map_or(Ok(None), lock)?;
        let kept = path.map_or_else(|| Ok(Page::default()), read)?;
        if kept.day > day(SystemTime::now()) {
            tracing::warn!(
                "--state-file is of a day to come: what it counts holds until that day is over; if a clock was wrong, \
                 stop the bot and remove the file"
            );
        }
        Ok(Self { path: path.map(Path::to_owned), spendings: HashMap::new(), kept, lock, is_stuck: false })
    }

    /// The tokens of the bot of this name.
    pub(crate) fn spending(&mut self, bot: &str) -> Arc<Spending> {
        let kept = self.kept.tokens.get(bot).copied().unwrap_or_default();
        let resumed = || Arc::new(Spending::resumed(bot, self.kept.day, kept));
        Arc::clone(self.spendings.entry(bot.to_owned()).or_insert_with(resumed))
    }

    /// Writes the file, if it has changed. What cannot be written is tried again by the next call.
    pub(crate) async fn save(&mut self) {
        let Some(path) = self.path.clone() else { return };
        let page = self.page(SystemTime::now());
        if page == self.kept {
            return;
        }
        let (writing, held) = (page.clone(), self.lock.take());
        let write = move || {
            let held = match held {
                Some(held) => Some(held),
                None => lock(&path).map_err(io::Error::other)?,
            };
            let text = serde_json::to_vec(&writing)?;
            Ok((held, private_file::replace(&path, &text)))
        };
        let written = match spawn_blocking(write).await.map_err(io::Error::other).flatten() {
            Ok((held, written)) => {
                self.lock = held;
                written
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &written
            && !self.is_stuck
        {
            tracing::error!(%error, "--state-file cannot be written; trying again, and a restart forgets what it lacks");
        }
        self.is_stuck = written.is_err();
        if written.is_ok() {
            self.kept = page;
        }
    }

    /// What was spent on the day of `now`, or on a later one that is known, also by bots that do not run any more. No number
    /// ever becomes smaller on its day.
    fn page(&self, now: SystemTime) -> Page {
        let spent: Vec<_> = self.spendings.iter().map(|(bot, spending)| (bot, spending.today(now))).collect();
        let days = spent.iter().map(|(_, (day, _))| *day);
        let today = days.chain([day(now), self.kept.day]).max().unwrap_or_default();
        let mut tokens = if self.kept.day == today { self.kept.tokens.clone() } else { BTreeMap::new() };
        for (bot, (_, used)) in spent.into_iter().filter(|(_, (day, used))| *day == today && *used > 0) {
            let kept = tokens.entry(bot.clone()).or_default();
            *kept = used.max(*kept);
        }
        if tokens.is_empty() { self.kept.clone() } else { Page { day: today, tokens } }
    }
}

fn read(path: &Path) -> Result<Page, String> {
    let problem = |why: String| {
        format!("{}: {why}; mend it, or remove it to begin the day with nothing spent", path.display())
    };
    let file = match private_file::open(private_file::options().read(true), path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Page::default()),
        Err(error) => return Err(problem(error.to_string())),
    };
    let mut text = Vec::new();
    let read =
        file.take(FILE_BYTES + 1).read_to_end(&mut text).map_err(|error| problem(error.to_string()))?;
    if read as u64 > FILE_BYTES {
        return Err(problem(format!("must have at most {FILE_BYTES} bytes, has more")));
    }
    serde_json::from_slice(&text).map_err(|error| problem(format!("is no state of a bot: {error}")))
}

/// The lock of the file `path`, which is one beside it, since the file itself is replaced by others. None if this disk gives
/// none at present, because the folder is missing for example: writing will tell.
///
/// # Errors
/// One sentence if another process holds it.
fn lock(path: &Path) -> Result<Option<File>, String> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let options = &mut private_file::options();
    let Ok(file) = private_file::open(options.create(true).write(true), Path::new(&beside)) else {
        return Ok(None);
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            Err(format!("{}: another process uses it; each needs its own", path.display()))
        }
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
        time::SystemTime,
    };

    use super::{Ledger, day};
    use crate::openai::spending::Bill;

    fn spend(ledger: &mut Ledger, bot: &str, tokens: u64) {
        let spending = ledger.spending(bot);
        Bill::new(&spending, 0).settle(Some(tokens));
    }

    #[tokio::test]
    async fn what_was_spent_today_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut ledger = Ledger::open(Some(&path)).unwrap();
        ledger.save().await;
        assert!(!path.exists(), "nothing is spent");
        spend(&mut ledger, "a", 7);
        spend(&mut ledger, "b", 9);
        ledger.save().await;
        drop(ledger);
        let before = day(SystemTime::now());

        let mut again = Ledger::open(Some(&path)).unwrap();
        spend(&mut again, "a", 3);
        again.save().await;
        drop(again);
        let mut third = Ledger::open(Some(&path)).unwrap();
        let now = SystemTime::now();
        let used = ["a", "b", "c"].map(|bot| third.spending(bot).today(now).1);
        // At midnight the count begins anew.
        if day(SystemTime::now()) == before {
            assert_eq!(used, [10, 9, 0], "also of a bot that did not run in between");
        }
        let mut files: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["state.json", "state.json.lock"]);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_second_process_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let first = Ledger::open(Some(&path)).unwrap();
        let problem = Ledger::open(Some(&path)).unwrap_err();
        assert!(problem.contains("state.json: another process uses it"), "{problem}");
        drop(first);
        Ledger::open(Some(&path)).unwrap();
    }

    #[tokio::test]
    async fn a_link_is_neither_read_nor_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("state.json"), folder.path().join("victim"));
        fs::write(&victim, "{\"day\":1,\"tokens\":{}}").unwrap();
        symlink(&victim, &path).unwrap();
        let problem = Ledger::open(Some(&path)).unwrap_err();
        assert!(problem.contains("is a symbolic link"), "{problem}");
    }

    #[tokio::test]
    async fn a_clock_behind_forgets_nothing_and_writes_no_smaller_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let later = day(SystemTime::now()) + 2;
        fs::write(&path, format!("{{\"day\":{later},\"tokens\":{{\"a\":7,\"b\":5}}}}")).unwrap();
        let mut ledger = Ledger::open(Some(&path)).unwrap();
        spend(&mut ledger, "a", 3);
        spend(&mut ledger, "c", 1);
        ledger.save().await;
        let written = fs::read_to_string(&path).unwrap();
        assert_eq!(written, format!("{{\"day\":{later},\"tokens\":{{\"a\":10,\"b\":5,\"c\":1}}}}"));
    }

    #[tokio::test]
    async fn yesterday_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let yesterday = day(SystemTime::now()) - 1;
        fs::write(&path, format!("{{\"day\":{yesterday},\"tokens\":{{\"a\":7}}}}")).unwrap();
        let mut ledger = Ledger::open(Some(&path)).unwrap();
        assert_eq!(ledger.spending("a").today(SystemTime::now()).1, 0);
    }

    #[tokio::test]
    async fn a_file_of_something_else_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        for text in ["", "{\"day\":1}", "{\"day\":1,\"tokens\":{},\"more\":1}", "[[bot]]"] {
            fs::write(&path, text).unwrap();
            let problem = Ledger::open(Some(&path)).unwrap_err();
            assert!(problem.contains("is no state of a bot") && problem.contains("remove it"), "{problem}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(Ledger::open(Some(folder.path())).is_err());
    }

    #[tokio::test]
    async fn a_disk_that_takes_nothing_costs_nobody_an_answer_and_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("later");
        let path = inner.join("state.json");
        let mut ledger = Ledger::open(Some(&path)).unwrap();
        spend(&mut ledger, "a", 7);
        ledger.save().await;
        fs::create_dir(&inner).unwrap();
        ledger.save().await;
        assert!(path.exists());
    }
}
