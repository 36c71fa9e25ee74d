//! Tables in Markdown, with columns of one width, so that they can be read in a terminal too.

use crate::{latency::Quantiles, row::Row};

/// A table of text.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count(), 3]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    [head, rule].iter().chain(rows).map(|cells| line(cells)).collect()
}

/// The table of results.
pub(crate) fn results(rows: &[Row]) -> String {
    let head = [
        "operation",
        "over",
        "clients",
        "ops/s",
        "p50",
        "p99",
        "p99.9",
        "not well",
        "queue CPU",
        "gateway CPU",
        "reads",
        "writes",
        "ceiling",
        "of it",
    ];
    table(&head, &rows.iter().map(cells).collect::<Vec<_>>())
}

fn cells(row: &Row) -> Vec<String> {
    let cpu = |server: &str| {
        row.servers.get(server).map_or_else(dash, |usage| format!("{:.0} µs", usage.cpu_us_per_operation))
    };
    let name = match row.given.as_str() {
        "" => row.scenario.name().to_owned(),
        given => format!("{}; {given}", row.scenario.name()),
    };
    let clients = match row.pace.as_str() {
        "closed" => row.clients.to_string(),
        pace => format!("{} ({pace})", row.clients),
    };
    vec![
        name,
        row.over.name().to_owned(),
        clients,
        number(row.per_second),
        time(row.latency.p50_us),
        time(row.latency.p99_us),
        time(row.latency.p999_us),
        told(row),
        cpu("queue-service"),
        cpu("rest-gateway"),
        format!("{:.1}", row.storage_reads_per_operation),
        format!("{:.1}", row.storage_writes_per_operation),
        row.ceiling
            .as_ref()
            .map_or_else(dash, |ceiling| format!("{}: {}/s", ceiling.name, number(ceiling.per_second))),
        row.ratio.map_or_else(dash, |ratio| format!("{ratio:.2}")),
    ]
}

/// What did not go well, and what is known besides.
fn told(row: &Row) -> String {
    let each = row.each.map_or_else(String::new, |each| quantiles("; to each", each));
    let idle = row.idle_client_kib.map_or_else(String::new, |kib| format!("; {kib:.1} KiB an idle client"));
    [errors(row), each, idle].concat()
}

fn errors(row: &Row) -> String {
    match row.error_count() {
        0 => "0".to_owned(),
        _ => {
            let counts: Vec<_> = row.errors.iter().map(|(name, count)| format!("{count} {name}")).collect();
            let refused = row.refusal_latency.map_or_else(String::new, |took| quantiles("", took));
            let late = row.sent_late.filter(|_| !refused.is_empty());
            let late = late.map_or_else(String::new, |late| quantiles(", sent late", late));
            format!("{}{refused}{late}", counts.join(", "))
        }
    }
}

fn quantiles(what: &str, latency: Quantiles) -> String {
    format!("{what} (p50 {}, p99 {})", time(latency.p50_us), time(latency.p99_us))
}

fn dash() -> String {
    "–".to_owned()
}

/// A number with the digits that mean something, and commas.
pub(crate) fn number(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in a fitting unit.
pub(crate) fn time(micros: f64) -> String {
    match micros {
        0.0 => dash(),
        ..1_000.0 => format!("{micros:.0} µs"),
        ..10_000.0 => format!("{:.2} ms", micros / 1_000.0),
        ..1_000_000.0 => format!("{:.0} ms", micros / 1_000.0),
        _ => format!("{:.2} s", micros / 1_000_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{number, results, table, time};
    use crate::row::tests::row;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = [vec!["a".to_owned(), "µs".to_owned()], vec!["long cell".to_owned(), "b".to_owned()]];
        let expected = "\
| x         | y   |
| --------- | --- |
| a         | µs  |
| long cell | b   |
";
        assert_eq!(table(&["x", "y"], &rows), expected);
    }

    #[test]
    fn a_row_shows_its_ratio_and_its_errors() {
        let table = results(&[row()]);
        let line: Vec<&str> = table.lines().nth(2).unwrap().split('|').map(str::trim).collect();
        let expected = [
            "",
            "post",
            "gRPC",
            "64",
            "50",
            "500 µs",
            "500 µs",
            "500 µs",
            "1 Internal",
            "5000 µs",
            "–",
            "0.0",
            "4.0",
            "tonic echo: 200/s",
            "0.25",
            "",
        ];
        assert_eq!(line, expected);
    }

    #[test]
    fn numbers_and_times_are_written_for_people() {
        assert_eq!([0.0, 2.26, 999.6, 1_234_567.0].map(number), ["0", "2.3", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 7.4, 1_234.0, 12_345.0, 2_500_000.0].map(time),
            ["–", "7 µs", "1.23 ms", "12 ms", "2.50 s"]
        );
    }
}
