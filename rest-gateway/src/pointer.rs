//! From the field paths of the gRPC contract to JSON pointers (RFC 6901) into the JSON body.

/// The JSON pointer for a field path such as `message.bot.ai_username`; `None` for the idempotency key, which is a header.
pub(crate) fn pointer(field: &str) -> Option<String> {
    let names: Vec<&str> = field.split('.').filter(|name| !name.is_empty()).collect();
    let names: &[&str] = match names.as_slice() {
        [.., "idempotency_key"] => return None,
        // JSON has the fields of these at the top.
        [envelope, inner @ ..] if !inner.is_empty() && is_envelope(envelope) => inner,
        ["lease"] => &["lease_seconds"],
        ["retry_after"] => &["retry_after_ms"],
        ["duration"] => &["for"],
        names => names,
    };
    Some(names.iter().map(|name| segment(name)).collect())
}

/// The request's message, or one of its leases: `lease`, `leases[0]`.
fn is_envelope(name: &str) -> bool {
    matches!(name.split('[').next(), Some("message" | "lease" | "leases"))
}

fn segment(name: &str) -> String {
    let (name, index) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((name, index)) => (name, format!("/{index}")),
        None => (name, String::new()),
    };
    let name = match name {
        "bot" => "botParams".to_owned(),
        "message_type" => "message-type".to_owned(),
        other => camel_case(other),
    };
    format!("/{}{index}", escape(&name))
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut camel, word| {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
        camel
    })
}

/// A name as one segment of a JSON pointer.
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::{escape, pointer};

    #[test]
    fn every_field_of_the_contract_points_into_the_body() {
        for (field, expected) in [
            ("message.text", "/text"),
            ("message.domain", "/domain"),
            ("message.message_type", "/message-type"),
            ("message.reply_to", "/replyTo"),
            ("message.eq_score", "/eqScore"),
            ("message.bot.entity", "/botParams/entity"),
            ("message.bot.ai_username", "/botParams/aiUsername"),
            ("message.bot.session_id", "/botParams/sessionId"),
            ("message.human_username", "/humanUsername"),
            ("lease.lease_token", "/leaseToken"),
            ("lease.message_id", "/messageId"),
            ("leases[0].lease_token", "/leaseToken"),
            ("reply.text", "/reply/text"),
            ("worker_id", "/workerId"),
            ("message_id", "/messageId"),
            ("entities[2]", "/entities/2"),
            ("lease", "/leaseSeconds"),
            ("retry_after", "/retryAfterMs"),
            ("wait", "/wait"),
            ("duration", "/for"),
            ("author_of", "/authorOf"),
            ("limit", "/limit"),
            ("message", "/message"),
            ("", ""),
        ] {
            assert_eq!(pointer(field).as_deref(), Some(expected), "{field}");
        }
        assert_eq!(pointer("idempotency_key"), None);
    }

    #[test]
    fn what_a_pointer_reserves_is_escaped() {
        assert_eq!(escape("a/b~c"), "a~1b~0c");
    }
}
