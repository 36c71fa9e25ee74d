//! What the families of the gateway mean.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

/// Gives the families their help, where there is a recorder.
pub(crate) fn describe() {
    requests();
    tail();
    // They are there before the first one.
    counter!("repartee_upstream_repeats_total").increment(0);
    counter!("repartee_client_slowdowns_total").increment(0);
}

fn requests() {
    describe_counter!("repartee_http_requests_total", Unit::Count, "Requests, by method, route and status");
    describe_histogram!(
        "repartee_http_request_seconds",
        Unit::Seconds,
        "Time until a request was answered, by method, route and status; waits that it asked for included"
    );
    describe_counter!(
        "repartee_polls_total",
        Unit::Count,
        "Polls, by outcome: nothing new, a page from the tail or from the queue-service, or refused"
    );
    describe_counter!(
        "repartee_changes_polls_total",
        Unit::Count,
        "Polls by cursor, by outcome: the newest page, changes, nothing new, a lost cursor, or refused"
    );
    describe_counter!(
        "repartee_client_slowdowns_total",
        Unit::Count,
        "Requests and connections beyond --client-pace, after which their connections were read later; none is refused for it"
    );
    describe_gauge!("repartee_sse_clients", Unit::Count, "Open streams of Server-Sent Events");
    describe_gauge!("repartee_drafts", Unit::Count, "Messages whose answer is being written now");
    describe_counter!(
        "repartee_draft_updates_total",
        Unit::Count,
        "Times that what a bot is writing has grown or ended"
    );
    describe_counter!(
        "repartee_upstream_repeats_total",
        Unit::Count,
        "Calls that were sent once more, because the connection to the queue-service was lost"
    );
}

fn tail() {
    describe_gauge!(
        "repartee_tail_live",
        Unit::Count,
        "1 while the changes of the queue-service come, else 0"
    );
    describe_gauge!(
        "repartee_feed_lag_seconds",
        Unit::Seconds,
        "For how long the changes of the queue-service have not come; 0 while they do"
    );
    describe_histogram!(
        "repartee_feed_delay_seconds",
        Unit::Seconds,
        "Time from a post to the moment from which this gateway shows it, by the queue-service's clock"
    );
    describe_gauge!("repartee_gateway_seq", Unit::Count, "Number of the last change that this gateway shows");
    describe_gauge!(
        "repartee_tail_messages",
        Unit::Count,
        "Messages in the tail, from which polls are answered"
    );
    describe_gauge!("repartee_tail_changes", Unit::Count, "Changes in the tail");
    describe_gauge!("repartee_tail_bytes", Unit::Bytes, "Bytes of the tail, by estimate");
    describe_gauge!("repartee_tail_domains", Unit::Count, "Domains in the tail, quiet ones included");
    describe_gauge!("repartee_tail_max_messages", Unit::Count, "Messages that the tail may hold");
    describe_gauge!("repartee_tail_max_bytes", Unit::Bytes, "Bytes that the tail may hold");
    describe_counter!("repartee_tail_streams_total", Unit::Count, "Streams of changes that were opened");
    describe_counter!(
        "repartee_tail_resets_total",
        Unit::Count,
        "Times that the tail was lost and read again"
    );
    describe_counter!(
        "repartee_tail_rewrites_total",
        Unit::Count,
        "Changes that were written anew, because their message was edited or deleted since"
    );
    describe_gauge!(
        "repartee_clock_difference_seconds",
        Unit::Seconds,
        "How far this host's clock is ahead of the queue-service's"
    );
}
