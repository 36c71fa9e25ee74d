//! What Prometheus' own tool says of the metrics and the alerts. Only the program `promtool` of Debian's package is used, and
//! no server of it is started; where it cannot be had, the tests are skipped and say so. `REPARTEE_PROMTOOL` says where it is;
//! otherwise it is looked for in `PATH`.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use e2e::Scrapes;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

const ALERTS: &str = "deploy/helm/repartee/files/alerts.yaml";
/// The cases, two of each alert.
const CASES: &str = "tests/alerts/alerts.yaml";

type Test = fn() -> Result<(), Failed>;

fn main() {
    let tests: [(&str, Test); 3] = [
        ("the_metrics_of_every_binary_are_as_prometheus_wants_them", check_metrics),
        ("the_alerts_are_rules_of_prometheus", check_rules),
        ("each_alert_fires_in_one_case_and_is_silent_in_another", test_rules),
    ];
    let trial = |(name, test): (&str, Test)| {
        Trial::ignorable_test(name, move || {
            if promtool().arg("--version").output().is_err() {
                return Ok(Completion::ignored_with("promtool is not installed"));
            }
            test().map(|()| Completion::Completed)
        })
    };
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit();
}

fn promtool() -> Command {
    let mut command = Command::new(env::var_os("REPARTEE_PROMTOOL").unwrap_or_else(|| "promtool".into()));
    command.current_dir(path("."));
    command
}

fn check(what: &str, output: &Output) -> Result<(), Failed> {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    if output.status.success() { Ok(()) } else { Err(format!("{what}: {}: {said}", output.status).into()) }
}

fn check_metrics() -> Result<(), Failed> {
    let scrapes = tokio::runtime::Runtime::new()?.block_on(Scrapes::take());
    for (who, metrics) in scrapes.all() {
        let mut linting = promtool()
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        linting.stdin.take().ok_or("it is piped")?.write_all(metrics.text().as_bytes())?;
        check(who, &linting.wait_with_output()?)?;
    }
    Ok(())
}

fn check_rules() -> Result<(), Failed> {
    check(ALERTS, &promtool().args(["check", "rules", ALERTS]).output()?)
}

fn test_rules() -> Result<(), Failed> {
    let (rules, cases) = (fs::read_to_string(path(ALERTS))?, fs::read_to_string(path(CASES))?);
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        let of_alert = |fires: bool| {
            let cases = cases.split("\n  - name: ").filter(|case| case.starts_with(&format!("\"{alert}: ")));
            cases.filter(|case| case.contains("exp_alerts: []") != fires).count()
        };
        if of_alert(true) != 1 || of_alert(false) != 1 {
            return Err(
                format!("{CASES} needs a case in which {alert} fires and one in which it is silent").into()
            );
        }
    }
    check(CASES, &promtool().args(["test", "rules", CASES]).output()?)
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}
