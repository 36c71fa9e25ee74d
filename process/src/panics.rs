//! What is said of a panic: where it was. Its message only if it is a literal of the code: one that was put together may hold
//! what people wrote, or a token.

use std::{any::Any, panic, panic::Location};

/// Tells of panics in the log, in place of the standard library's lines on stderr, which show every message.
pub(crate) fn tell_in_log() {
    panic::set_hook(Box::new(|info| tell(info.payload(), info.location())));
}

fn tell(payload: &(dyn Any + Send), location: Option<&Location<'_>>) {
    tracing::error!(
        code.file.path = location.map(Location::file),
        code.line.number = location.map(Location::line),
        "exception.type" = "panic",
        exception.message = literal(payload),
        thread.name = std::thread::current().name(),
        "a thread panicked"
    );
}

/// The message of a panic, if nothing was put into it.
fn literal(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

#[cfg(test)]
mod tests {
    use std::{any::Any, panic::catch_unwind};

    use super::literal;

    fn payload(of: impl FnOnce() + std::panic::UnwindSafe) -> Box<dyn Any + Send> {
        catch_unwind(of).unwrap_err()
    }

    #[test]
    fn a_message_that_was_put_together_is_not_told() {
        let text = "marked-text-5e1d";
        let refused = |text| -> Result<(), &str> { Err(text) };
        assert_eq!(literal(&*payload(move || panic!("what {text} says"))), None);
        assert_eq!(literal(&*payload(move || refused(text).expect("it is one"))), None);
        assert_eq!(literal(&*payload(|| panic!("the secret of the house"))), Some("the secret of the house"));
    }
}
