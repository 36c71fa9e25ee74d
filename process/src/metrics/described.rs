//! What the families that every process exposes mean.

use metrics::{Unit, describe_counter, describe_gauge};

pub(super) fn describe() {
    describe_gauge!("repartee_build_info", Unit::Count, "Always 1; the version of this build is its label");
    describe_gauge!(
        "repartee_bound_held",
        Unit::Count,
        "How much of a bound is held, in its own unit: see ARCHITECTURE.md"
    );
    describe_gauge!("repartee_bound_limit", Unit::Count, "How much of a bound may be held, in the same unit");
    describe_counter!("repartee_refusals_total", Unit::Count, "Requests that a bound refused");
    describe_counter!(
        "repartee_connections_ended_total",
        Unit::Count,
        "Connections that this server ended, by why"
    );
    describe_counter!(
        "repartee_tls_handshakes_failed_total",
        Unit::Count,
        "TLS handshakes that failed, by why"
    );
    describe_counter!(
        "repartee_tls_reloads_failed_total",
        Unit::Count,
        "Times that the certificate or its key could not be read again; the old one stays in use"
    );
    describe_gauge!(
        "repartee_tls_certificate_expiry_seconds",
        Unit::Seconds,
        "When the certificate in use expires, in seconds since 1970"
    );
}
