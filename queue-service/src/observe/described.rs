//! What the families of queue-service mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Gives the families their help, where there is a recorder.
pub(crate) fn describe() {
    calls();
    work();
    log();
    clock();
}

fn calls() {
    describe_histogram!(
        "repartee_grpc_call_seconds",
        Unit::Seconds,
        "Time until the answer of a call began, by method and status code"
    );
    describe_counter!("repartee_grpc_calls_total", Unit::Count, "Calls, by method and status code");
    describe_counter!("repartee_wrong_tokens_total", Unit::Count, "Calls whose token was refused");
}

fn work() {
    describe_gauge!("repartee_pending", Unit::Count, "Messages that wait for a worker");
    describe_gauge!("repartee_delayed", Unit::Count, "Of these, messages that may not be handed out yet");
    describe_gauge!("repartee_processing", Unit::Count, "Messages that a worker holds");
    describe_gauge!("repartee_failed", Unit::Count, "Messages that are failed now");
    describe_gauge!(
        "repartee_oldest_pending_seconds",
        Unit::Seconds,
        "How long the oldest message that waits has waited since it could be taken; 0 if there is none"
    );
    describe_histogram!(
        "repartee_offer_to_claim_seconds",
        Unit::Seconds,
        "How long messages waited for each claim, since they could be taken"
    );
    describe_histogram!(
        "repartee_claim_to_complete_seconds",
        Unit::Seconds,
        "Time from a claim to the completion by its worker"
    );
    describe_counter!(
        "repartee_leases_lost_total",
        Unit::Count,
        "Leases that ended without their worker having said anything, by reason"
    );
    describe_gauge!("repartee_pending_entities", Unit::Count, "Entities that messages wait for");
    describe_gauge!("repartee_paused_entities", Unit::Count, "Entities that operators have paused");
    describe_gauge!("repartee_throttled_entities", Unit::Count, "Entities that are at their limits");
    describe_counter!("repartee_expired_total", Unit::Count, "Messages that nobody had taken in time");
    describe_counter!(
        "repartee_attempts_exhausted_total",
        Unit::Count,
        "Messages that were given up after as many claims as they may have"
    );
}

fn log() {
    describe_counter!("repartee_changes_total", Unit::Count, "Changes of messages, by kind");
    describe_counter!(
        "repartee_storage_reads_total",
        Unit::Count,
        "Reads of the storage, by the call that caused them"
    );
    describe_counter!(
        "repartee_storage_writes_total",
        Unit::Count,
        "Records written to the log, by the call that caused them"
    );
    describe_counter!("repartee_index_rows_total", Unit::Count, "Rows written to the index of the log");
    describe_histogram!("repartee_commit_seconds", Unit::Seconds, "Time of a commit, until it is durable");
    describe_histogram!("repartee_commit_changes", Unit::Count, "Changes of one commit");
    describe_histogram!(
        "repartee_commit_sync_seconds",
        Unit::Seconds,
        "Of this, the time in which what was written became durable"
    );
    describe_histogram!(
        "repartee_commit_commands",
        Unit::Count,
        "Commands that one commit answered; the batch"
    );
    describe_gauge!("repartee_tail_seq", Unit::Count, "Number of the last change that is shown");
    describe_gauge!("repartee_cache_changes", Unit::Count, "Changes in the cache");
    describe_gauge!("repartee_data_bytes", Unit::Bytes, "Bytes of messages and their history");
    describe_gauge!("repartee_disk_free_bytes", Unit::Bytes, "Free room on the disk of the data");
    describe_gauge!(
        "repartee_disk_reserve_bytes",
        Unit::Bytes,
        "Free room below which no new text is stored, and below a quarter of it nothing at all"
    );
    describe_gauge!(
        "repartee_log_begins_seq",
        Unit::Count,
        "Number of the last change that was removed from the log"
    );
    describe_gauge!(
        "repartee_log_begins_timestamp_seconds",
        Unit::Seconds,
        "Time stamp of that change, in seconds since 1970; 0 if nothing was removed"
    );
    describe_counter!(
        "repartee_swept_messages_total",
        Unit::Count,
        "Messages that were removed for their age or for room"
    );
    describe_gauge!(
        "repartee_sweep_stopped",
        Unit::Count,
        "1 if removing has stopped at a row that cannot be read, until the next start, else 0"
    );
}

fn clock() {
    describe_gauge!(
        "repartee_clock_behind_seconds",
        Unit::Seconds,
        "How far the system's clock is behind the newest time stamp; 0 within 1 s"
    );
    describe_gauge!(
        "repartee_clock_jump_doubted",
        Unit::Count,
        "1 while a jump of the system's clock is not believed, else 0"
    );
}
