//! Why a worker ends, and why a handler could not answer.

use std::{error, io, net::SocketAddr, time::Duration};

use tonic::{Code, Status};

/// Why a worker ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting of the worker is outside of its limits; nothing was started.
    #[error("{setting}: {problem}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// The limit and the value.
        problem: String,
    },
    /// The service refused the worker in a way that no repetition changes: wrong settings, no token or a wrong one, or a
    /// service of another version. What the worker held was finished or released first.
    #[error("the service refuses this worker: {:?}: {}{}", .0.code(), .0.message(), advice(.0.code()))]
    Refused(Box<Status>),
    /// The ready file could not be written.
    #[error(transparent)]
    ReadyFile(#[from] repartee_process::ReadyFileError),
    /// The address of the metrics cannot be listened on.
    #[error("cannot listen on {0}; choose another --metrics-addr")]
    Metrics(SocketAddr, #[source] io::Error),
    /// The HTTP client of an answering endpoint could not be built.
    #[cfg(feature = "openai")]
    #[error("the HTTP client cannot start")]
    HttpClient(#[from] reqwest::Error),
}

/// What to do about a refusal.
fn advice(code: Code) -> &'static str {
    if matches!(code, Code::Unauthenticated | Code::PermissionDenied) {
        "; a worker needs a token for its entities: `repartee token new --role worker --entity NAME` makes one, and \
         --token-file PATH, the variable REPARTEE_TOKEN or Worker::token_file takes it"
    } else {
        ""
    }
}

/// Why a handler could not answer, and whether another attempt may help.
///
/// Its text is stored with the message and shown to operators and readers: it must not hold secrets. What exceeds
/// 1,024 bytes is cut off.
///
/// Any error becomes a retryable one by `?`, with its causes in the text. For that, this type is no
/// [`std::error::Error`] itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerError {
    pub(crate) text: String,
    pub(crate) retryable: bool,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) is_outage: bool,
}

impl HandlerError {
    /// Another attempt may succeed: the message is tried again after the service's backoff, up to its limit.
    pub fn retryable(text: impl Into<String>) -> Self {
        Self { text: text.into(), retryable: true, retry_after: None, is_outage: false }
    }

    /// No other attempt can succeed: the message is given up at once.
    pub fn permanent(text: impl Into<String>) -> Self {
        Self { text: text.into(), retryable: false, retry_after: None, is_outage: false }
    }

    /// No message can be answered at present, because something that all answers need is out, such as the endpoint of a
    /// model. The message is given back without an attempt being counted, and the worker takes nothing until a probe of
    /// its [`Breaker`](crate::Breaker) succeeds; that is not made before the time of [`HandlerError::after`]. The text is
    /// told to operators only.
    pub fn outage(text: impl Into<String>) -> Self {
        Self { is_outage: true, ..Self::retryable(text) }
    }

    /// Not to be tried again before this time has passed, at most 24 h. Without effect on a permanent error.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl<E: error::Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Self::retryable(text)
    }
}

#[cfg(test)]
mod tests {
    use super::HandlerError;

    #[test]
    fn any_error_becomes_a_retryable_one() {
        let parse = || -> Result<u32, HandlerError> { Ok("many".parse()?) };
        assert_eq!(parse(), Err(HandlerError::retryable("invalid digit found in string")));
    }
}
