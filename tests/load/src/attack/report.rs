//! What came of the attacks, as a table.

use std::{collections::BTreeMap, time::SystemTime};

use super::{
    Settings,
    trial::{Compared, Memory, Trial},
};
use crate::{
    resources::{load_average, machine},
    table::{number, table, time},
};

/// Visitors may have this much longer to wait under attack, at 99 %.
const SLOWER: f64 = 3.0;
const MIB: f64 = 1024.0 * 1024.0;

/// Under which conditions was attacked.
pub(super) fn conditions(settings: &Settings) -> String {
    let build =
        if cfg!(debug_assertions) { "**debug build: figures mean nothing**" } else { "release build" };
    let form = if settings.short { "short form" } else { "full form" };
    format!(
        "{}. {}. {build}, {form}: {} visitors, {} × {} s of each attack between quiet parts of the same length; \
         visitors, attacker and servers on the same cores. Load average at the start: {}.",
        httpdate::fmt_http_date(SystemTime::now()),
        machine(),
        settings.visitors(),
        settings.rounds(),
        settings.part().as_secs(),
        load_average(),
    )
}

/// The table, and what it was measured under.
pub(super) fn text(conditions: &str, trials: &[Trial]) -> String {
    let head = [
        "attack",
        "requests of visitors",
        "errors",
        "post p50, p99",
        "poll p50, p99",
        "page p50, p99",
        "to each stream p50, p99",
        "p99, worst",
        "attacker: requests, refused",
        "its answers",
        "gateway, MiB",
        "queue, MiB",
        "CPU, gateway + queue",
        "held",
    ];
    let rows: Vec<Vec<String>> = trials.iter().map(cells).collect();
    format!("{conditions} Load average at the end: {}.\n\n{}", load_average(), table(&head, &rows))
}

/// Tells one result as soon as it is there.
#[expect(clippy::print_stderr, reason = "ten minutes without a word would look like a hang")]
pub(super) fn tell(trial: &Trial) {
    let Trial { kind, deeds, errors, .. } = trial;
    let ratios = deeds.map(|deed| deed.ratio);
    eprintln!("{}: p99 × {ratios:.1?}, errors {errors:?}, {}", kind.name(), verdict(trial));
}

fn cells(trial: &Trial) -> Vec<String> {
    let Trial { kind, requests, deeds, attacker, memory, cpu_seconds, seconds, .. } = trial;
    let worst = deeds.iter().map(|deed| deed.ratio).fold(0.0, f64::max);
    let cpu = |name: &str| cpu_seconds.get(name).copied().unwrap_or_default();
    let [post, poll, load, follow] = deeds.each_ref().map(compared);
    vec![
        kind.name().to_owned(),
        number(*requests as f64),
        number(trial.errors.values().sum::<u64>() as f64),
        post,
        poll,
        load,
        follow,
        format!("{worst:.1} ×"),
        format!("{}, {}", number(attacker.requests as f64), number(attacker.refused() as f64)),
        answers(&attacker.answers),
        held(memory, "rest-gateway"),
        held(memory, "queue-service"),
        format!("{:.1} + {:.1} of {seconds} s", cpu("rest-gateway"), cpu("queue-service")),
        verdict(trial),
    ]
}

fn verdict(trial: &Trial) -> String {
    match trial.misses(SLOWER).join(", ") {
        misses if misses.is_empty() => "yes".to_owned(),
        misses => format!("**no**: {misses}"),
    }
}

fn compared(deed: &Compared) -> String {
    let Compared { quiet, quiet_p99_us: [fastest, slowest], attacked, .. } = deed;
    format!(
        "{}, {} ({} to {}) → {}, {}",
        time(quiet.p50_us),
        time(quiet.p99_us),
        time(*fastest),
        time(*slowest),
        time(attacked.p50_us),
        time(attacked.p99_us)
    )
}

/// The most frequent first.
fn answers(answers: &BTreeMap<String, u64>) -> String {
    let mut answers: Vec<_> = answers.iter().collect();
    answers.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let told = |(name, count): &(&String, &u64)| format!("{} {name}", number(**count as f64));
    answers.iter().take(4).map(told).collect::<Vec<_>>().join(", ")
}

fn held(memory: &BTreeMap<String, Memory>, server: &str) -> String {
    let Memory { quiet, attacked, bound } = memory.get(server).copied().unwrap_or_default();
    let mib = |bytes: u64| format!("{:.0}", bytes as f64 / MIB);
    format!("{} → {} of {}", mib(quiet), mib(attacked), mib(bound))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Trial, verdict};
    use crate::{
        attack::{
            attacker::Tally,
            kind::Kind,
            trial::{Compared, Memory},
        },
        latency::Quantiles,
    };

    fn trial(ratio: f64, errors: &[(&str, u64)], attacked: u64) -> Trial {
        let compared = Compared {
            quiet: Quantiles::default(),
            quiet_p99_us: [0.0; 2],
            attacked: Quantiles::default(),
            ratio,
        };
        let memory = Memory { quiet: 1, attacked, bound: 2 };
        Trial {
            kind: Kind::Posts,
            requests: 1,
            errors: errors.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            deeds: [compared; 4],
            attacker: Tally::default(),
            memory: [("rest-gateway".to_owned(), memory)].into(),
            cpu_seconds: BTreeMap::new(),
            seconds: 1,
        }
    }

    #[test]
    fn a_row_that_misses_says_what_it_misses() {
        assert_eq!(verdict(&trial(3.0, &[], 2)), "yes");
        assert_eq!(verdict(&trial(1.0, &[("Post: 502", 2)], 2)), "**no**: 2 × Post: 502");
        assert!(verdict(&trial(3.1, &[], 2)).starts_with("**no**: p99 of posts 3.1 ×"));
        assert_eq!(verdict(&trial(1.0, &[], 3)), "**no**: memory of rest-gateway");
    }
}
