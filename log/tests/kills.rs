//! A process that writes is killed at any time. What it had been told is there, and what was erased is gone.
//!
//! The child is this program itself. `REPARTEE_LOG_KILLS` says how often it is killed, 30 times unless it is set.

use std::{
    env,
    error::Error,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Duration,
};

use libtest_mimic::{Arguments, Failed, Trial};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use repartee_log::{
    Body, BodyAt, Draft, Durability, FileWriter, Kind, Log, LogWriter, Options, Place, Record,
};

/// Tells the child its folder, and how it writes.
const FOLDER: &str = "REPARTEE_LOG_CHILD";
const DURABILITY: &str = "REPARTEE_LOG_CHILD_DURABILITY";
const KILLS: &str = "REPARTEE_LOG_KILLS";

fn main() -> ExitCode {
    if let Some(folder) = env::var_os(FOLDER) {
        let durability = match env::var(DURABILITY).as_deref() {
            Ok("process") => Durability::Process,
            _ => Durability::Power,
        };
        return write(&options(Path::new(&folder), durability));
    }
    // One after the other: a child that the other test has forked, and that is not yet another program, holds this one's lock.
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let test = |name: &str, durability| Trial::test(name, move || survive(durability).map_err(Failed::from));
    let tests = vec![
        test("what_was_synced_survives_sigkill", Durability::Power),
        test("what_the_kernel_has_survives_sigkill", Durability::Process),
    ];
    libtest_mimic::run(&arguments, tests).exit_code()
}

fn options(folder: &Path, durability: Durability) -> Options {
    // Small segments, so that kills hit their ends as well.
    Options { durability, segment_bytes: 256 << 10, ..Options::new(folder) }
}

/// The child: appends, erases and drops until it is killed, and says what is done, a line each.
fn write(options: &Options) -> ExitCode {
    let mut writer = FileWriter::open(options).expect("the log can be opened");
    let mut dice = StdRng::seed_from_u64(u64::from(std::process::id()));
    let log = writer.log();
    let mut out = std::io::stdout().lock();
    let mut say = |line: String| writeln!(out, "{line}").and_then(|()| out.flush()).is_ok();
    let mut recent: Vec<Place> = Vec::new();
    loop {
        let number = log.end().last + 1;
        let mut draft = Draft::new(Kind::Commit, 1, number as i64);
        draft.head().extend_from_slice(&number.to_le_bytes());
        for nth in 0..dice.random_range(1..4_u8) {
            let length = dice.random_range(0..4000);
            draft.add_body(|buffer| buffer.resize(buffer.len() + length, number as u8 | nth | 1));
        }
        let appended = writer.append(&draft).expect("it is appended");
        if !say(format!("appended {number}")) {
            return ExitCode::SUCCESS;
        }
        recent.push(appended.place);
        if dice.random_ratio(1, 5) {
            // Often the one that was appended last.
            let back = dice.random_range(1..=recent.len().min(4));
            let record = recent[recent.len() - back];
            let said = say(format!("erasing {}", record.to_u64()));
            log.erase(&[BodyAt { record, body: 0 }]).expect("it is erased");
            if !said || !say(format!("erased {}", record.to_u64())) {
                return ExitCode::SUCCESS;
            }
        }
        // The log stays small enough to be read as a whole each time.
        if log.bytes() > 2 << 20
            && let Some(oldest) = log.oldest()
        {
            let begin = log.drop_before(oldest.end).expect("it is dropped");
            if !say(format!("dropped {}", begin.dropped)) {
                return ExitCode::SUCCESS;
            }
        }
    }
}

/// What the children have said, all of them.
#[derive(Debug, Default)]
struct Said {
    appended: u64,
    dropped: u64,
    erasing: Vec<Place>,
    erased: Vec<Place>,
}

fn survive(durability: Durability) -> Result<(), Box<dyn Error>> {
    let kills: u32 = env::var(KILLS).map_or(Ok(30), |kills| kills.parse())?;
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("log");
    let mut dice = StdRng::seed_from_u64(7);
    let mut said = Said::default();
    for kill in 0..kills {
        let before = said.appended;
        let lines = dice.random_range(1..400);
        live(&folder, durability, lines, &mut said)?;
        check(&folder, durability, &mut said).map_err(|error| format!("after kill {kill}: {error}"))?;
        if said.appended == before {
            return Err(format!("nothing was appended before kill {kill}").into());
        }
    }
    Ok(())
}

/// One life of the child: it is killed when it has said so many lines, at whatever it is doing then.
fn live(folder: &Path, durability: Durability, lines: usize, said: &mut Said) -> Result<(), Box<dyn Error>> {
    let name = match durability {
        Durability::Power => "power",
        Durability::Process => "process",
    };
    let mut child = Command::new(env::current_exe()?)
        .env(FOLDER, folder)
        .env(DURABILITY, name)
        .stdout(Stdio::piped())
        .spawn()?;
    let lines_of = read_lines(&mut child)?;
    let mut heard = 0;
    while heard < lines {
        let line = lines_of.recv_timeout(Duration::from_secs(60)).map_err(|_| "the child says nothing")?;
        said.note(&line)?;
        heard += 1;
    }
    child.kill()?;
    child.wait()?;
    // What it had said until then.
    lines_of.iter().try_for_each(|line| said.note(&line))
}

fn read_lines(child: &mut Child) -> Result<Receiver<String>, Box<dyn Error>> {
    let stdout = child.stdout.take().ok_or("its output is piped")?;
    let (sender, receiver) = sync_channel(64);
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout);
        let mut line = String::new();
        // A line without an end was not said.
        while lines.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

impl Said {
    fn note(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        let (what, number) = line.trim_end().split_once(' ').ok_or("a line has two words")?;
        let number: u64 = number.parse()?;
        match what {
            "appended" => self.appended = number,
            "dropped" => self.dropped = number,
            "erasing" => self.erasing.push(Place::from_u64(number)),
            "erased" => self.erased.push(Place::from_u64(number)),
            other => return Err(format!("the child says {other}").into()),
        }
        Ok(())
    }
}

/// Opens the log and holds all of it against what was said.
fn check(folder: &Path, durability: Durability, said: &mut Said) -> Result<(), Box<dyn Error>> {
    let log = FileWriter::open(&options(folder, durability))?.log();
    let (begin, end) = (log.begin(), log.end());
    if end.last < said.appended {
        return Err(format!("it ends with {}, acknowledged was {}", end.last, said.appended).into());
    }
    if begin.dropped < said.dropped {
        return Err(format!("it begins after {}, dropped was {}", begin.dropped, said.dropped).into());
    }
    let (mut place, mut next) = (begin.place, begin.dropped + 1);
    while place < end.place {
        let records = log.read(place, 1 << 20)?;
        if records.is_empty() {
            return Err(
                format!("nothing is read at {}, it ends at {}", place.to_u64(), end.place.to_u64()).into()
            );
        }
        for record in records {
            check_record(&*log, &record, next, said)?;
            (place, next) = (record.next, next + 1);
        }
    }
    if next != end.last + 1 {
        return Err(format!("its records end with {}, it says {}", next - 1, end.last).into());
    }
    said.appended = end.last;
    said.dropped = begin.dropped;
    Ok(())
}

fn check_record(log: &dyn Log, record: &Record, number: u64, said: &Said) -> Result<(), Box<dyn Error>> {
    let head = record.head[..] == number.to_le_bytes();
    if record.first != number || !head {
        return Err(format!("number {number} is not what was appended").into());
    }
    for (nth, body) in record.bodies.iter().enumerate() {
        let is_asked = nth == 0 && said.erasing.contains(&record.place);
        let is_done = nth == 0 && said.erased.contains(&record.place);
        let is_right = match body {
            Body::Whole(bytes) => !is_done && bytes.iter().all(|byte| *byte == number as u8 | nth as u8 | 1),
            Body::Erased => is_asked,
            // Whoever had a reason to erase it does it again.
            Body::Damaged => is_asked && log.erase(&[BodyAt { record: record.place, body: 0 }]).is_ok(),
        };
        if !is_right {
            return Err(format!("body {nth} of number {number} is {body:?}").into());
        }
    }
    Ok(())
}
