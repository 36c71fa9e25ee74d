//! The checker: plain functions over what was recorded and what the log shows. Each returns a sentence for every promise
//! that it finds broken. It asks no service and no clock.
//!
//! What it knows, it knows from outside: a request that was answered has happened, one that was refused has not, and one
//! without an answer may have, as a whole. What ended before another thing began came before it.

mod batches;
mod causes;
mod completions;
mod index;
mod leases;
mod lifecycle;
mod lists;
mod order;
mod pages;
mod posts;
mod recency;
mod refusals;
mod shown;
pub(crate) mod story;
mod watches;

#[cfg(test)]
mod tests;

use crate::{history::History, log::Log};
use index::Index;

/// Every promise that this history breaks, in the order of the rules.
pub(crate) fn violations(history: &History, log: &Log) -> Vec<String> {
    let index = Index::of(history, log);
    let rules = [
        order::numbers,
        order::stamps,
        shown::what_was_shown_is_kept,
        recency::nothing_shown_is_older_than_what_was_acknowledged,
        recency::what_is_asked_later_happens_later,
        lifecycle::every_step_leads_on,
        causes::every_change_was_asked_for,
        posts::a_key_stands_for_one_message,
        batches::a_request_happens_as_a_whole,
        completions::a_message_is_answered_once,
        refusals::refusals_have_a_known_reason,
        refusals::a_refused_completion_has_lost_its_lease,
        leases::a_lease_is_held_alone,
        leases::no_lease_ends_early,
        pages::pages_have_no_gap,
        watches::watches_have_no_gap,
        lists::lists_are_complete,
        lists::conversations_are_complete,
    ];
    rules.iter().flat_map(|rule| rule(&index)).collect()
}
