//! Appends groups of 1, 16 and 64 texts of 1,024 bytes, and tells what a record costs: processor time of all threads, the
//! time until a group is durable, and the bytes that are written for a byte of text.
//!
//! `cargo run --release -p repartee-log --example append -- FOLDER [GROUPS]`

use std::{env, error::Error, fs, path::Path, time::Instant};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use repartee_log::{Draft, Durability, FileWriter, Kind, LogWriter as _, Options};
use rustix::time::{ClockId, clock_gettime};

const TEXT: usize = 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let folder = arguments.next().ok_or("say in which folder, and how many groups")?;
    let groups = match arguments.next() {
        Some(groups) => groups.to_str().ok_or("the number of groups is no number")?.parse()?,
        None => 2000,
    };
    say("| durability | group | µs CPU a record | p50 of a group, µs | p99, µs | written ÷ text |")?;
    say("|---|---|---|---|---|---|")?;
    for durability in [Durability::Power, Durability::Process] {
        for group in [1, 16, 64] {
            let folder = Path::new(&folder).join(format!("{durability:?}-{group}"));
            say(&measure(&folder, durability, group, groups)?)?;
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}

fn measure(folder: &Path, durability: Durability, group: u32, groups: u32) -> Result<String, Box<dyn Error>> {
    let mut writer = FileWriter::open(&Options { durability, ..Options::new(folder) })?;
    let mut draft = Draft::default();
    let mut text = vec![0; TEXT];
    StdRng::seed_from_u64(1).fill(&mut text[..]);
    let mut append = |stamp| -> Result<(), Box<dyn Error>> {
        draft.clear();
        (draft.kind, draft.numbers, draft.stamp) = (Kind::Commit, group, stamp);
        for _ in 0..group {
            // What a service keeps of a change: about 40 bytes.
            draft.head().extend_from_slice(&text[..40]);
            draft.add_body(|buffer| buffer.extend_from_slice(&text));
        }
        writer.append(&draft)?;
        Ok(())
    };
    // The first steps of preparing are small, which is not what is measured.
    for stamp in 0..i64::from(groups / 4) {
        append(stamp)?;
    }
    let (cpu, written) = (cpu_micros(), written_bytes()?);
    let mut took = Vec::with_capacity(groups as usize);
    for stamp in 0..i64::from(groups) {
        let began = Instant::now();
        append(i64::from(groups) + stamp)?;
        took.push(began.elapsed().as_micros());
    }
    let records = f64::from(groups) * f64::from(group);
    let cpu = (cpu_micros() - cpu) / records;
    let written = (written_bytes()? - written) / (records * TEXT as f64);
    took.sort_unstable();
    let (p50, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    Ok(format!("| {durability:?} | {group} | {cpu:.1} | {p50} | {p99} | {written:.2} |"))
}

/// Processor time of all threads.
fn cpu_micros() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Bytes that the kernel has been told to write to a device.
fn written_bytes() -> Result<f64, Box<dyn Error>> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.ok_or("the kernel does not say how much was written")?.parse()?)
}

fn say(line: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{line}")
}
