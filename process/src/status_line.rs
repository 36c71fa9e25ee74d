//! Statuses of gRPC for a log.

use std::error::Error as _;

use tonic::Status;

/// A status in one line: its code, its message, and the causes that it does not name itself, such as why a connection could
/// not be made.
pub fn status_line(status: &Status) -> String {
    let mut line = format!("{:?}: {}", status.code(), status.message());
    let mut cause = status.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use tonic::{Code, Status};

    use super::status_line;

    #[test]
    fn causes_are_told_once() {
        let mut status = Status::new(Code::Unavailable, "no connection");
        assert_eq!(status_line(&status), "Unavailable: no connection");
        status.set_source(Arc::new(io::Error::other("no connection")));
        assert_eq!(status_line(&status), "Unavailable: no connection");
        status.set_source(Arc::new(io::Error::other("a refused handshake")));
        assert_eq!(status_line(&status), "Unavailable: no connection: a refused handshake");
    }
}
