//! The token with which a process proves its own role: given, or read from a file, which is read again while the process
//! runs, so that tokens can be replaced.

use std::{fmt, fs, path::PathBuf, sync::Arc};

use arc_swap::ArcSwapOption;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

use crate::{Looks, Secret};

type Value = MetadataValue<Ascii>;

/// Stands before the token in the header.
const SCHEME: &str = "Bearer ";

/// The token of this process; cheap to clone, clones share it. As an interceptor it puts the token into every call.
#[derive(Clone, Default)]
pub struct Credential {
    file: Option<PathBuf>,
    value: Arc<ArcSwapOption<Value>>,
}

impl Credential {
    /// The token in a file, else the one that is given, else none.
    ///
    /// # Errors
    /// One sentence about the file or the token that cannot be used, without the token.
    pub fn from_settings(file: Option<PathBuf>, token: Option<&Secret>) -> Result<Self, String> {
        match (file, token) {
            (Some(file), _) => Self::in_file(file),
            (None, Some(token)) => Self::of(token),
            (None, None) => Ok(Self::default()),
        }
    }

    /// A token that never changes.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn of(token: &Secret) -> Result<Self, String> {
        let value = header(token.reveal())?;
        Ok(Self { file: None, value: Arc::new(ArcSwapOption::from_pointee(value)) })
    }

    /// The token in a file: its first line.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn in_file(path: PathBuf) -> Result<Self, String> {
        let credential = Self { file: Some(path), value: Arc::default() };
        credential.read_again()?;
        Ok(credential)
    }

    /// The value of the authorization header, if there is a token.
    pub fn header(&self) -> Option<Value> {
        self.value.load().as_deref().cloned()
    }

    /// The token, to ask what it proves.
    pub fn token(&self) -> Option<Secret> {
        let header = self.header()?;
        let token = header.to_str().ok()?.strip_prefix(SCHEME)?;
        Some(Secret::from(token.to_owned()))
    }

    /// True if there is a token.
    pub fn is_set(&self) -> bool {
        self.value.load().is_some()
    }

    /// Reads the file again every second, for as long as it is polled. Another token in it counts when two looks have shown
    /// the same: whoever looks while it is written sees a part of it.
    pub async fn follow(self) {
        if self.file.is_none() {
            return std::future::pending().await;
        }
        let looking = self.clone();
        let (mut looks, mut failed, mut doubted) = (Looks::by(move || looking.look()), false, None);
        loop {
            match looks.next().await {
                Err(problem) if !failed => {
                    failed = true;
                    tracing::warn!(problem, "the token cannot be read again; going on with the old one");
                }
                Err(_) => {}
                Ok(seen) => {
                    failed = false;
                    doubted = self.believe(seen, doubted.take());
                }
            }
        }
    }

    /// True if the token can become another one.
    pub fn may_change(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file again; if it cannot be used, the token stays as it was. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// What is wrong with the file, without what it holds.
    pub fn read_again(&self) -> Result<(), String> {
        if let Some(value) = self.look()? {
            self.value.store(Some(Arc::new(value)));
        }
        Ok(())
    }

    /// Takes what a look has shown if it is what the look before showed, `doubted`; else gives what is doubted now.
    fn believe(&self, seen: Option<Value>, doubted: Option<Value>) -> Option<Value> {
        let new = seen.filter(|seen| self.header().as_ref() != Some(seen))?;
        if doubted.as_ref() != Some(&new) {
            return Some(new);
        }
        self.value.store(Some(Arc::new(new)));
        None
    }

    fn look(&self) -> Result<Option<Value>, String> {
        let Some(path) = &self.file else { return Ok(None) };
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let token = text.lines().next().unwrap_or_default().trim();
        header(token).map(Some).map_err(|problem| format!("{}: {problem}", path.display()))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = self.header() {
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

fn header(token: &str) -> Result<Value, String> {
    let sendable = (8..=1_024).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !sendable {
        return Err(format!(
            "a token has 8 to 1,024 visible ASCII characters, this has {} bytes",
            token.len()
        ));
    }
    let mut value = MetadataValue::try_from(format!("{SCHEME}{token}")).expect("visible ASCII is sendable");
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tonic::{Request, service::Interceptor as _};

    use super::Credential;

    fn sent(credential: &mut Credential) -> Option<String> {
        let request = credential.call(Request::new(())).unwrap();
        Some(request.metadata().get("authorization")?.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_token_goes_with_every_call_and_is_read_again_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "first-token\n").unwrap();
        let mut credential = Credential::in_file(path.clone()).unwrap();
        assert_eq!(sent(&mut credential).unwrap(), "Bearer first-token");
        assert_eq!(credential.token().unwrap().reveal(), "first-token");
        fs::write(&path, "second-token").unwrap();
        credential.read_again().unwrap();
        assert_eq!(sent(&mut credential.clone()).unwrap(), "Bearer second-token");
        fs::write(&path, "bad token").unwrap();
        assert!(credential.read_again().unwrap_err().contains("9 bytes"));
        assert_eq!(sent(&mut credential).unwrap(), "Bearer second-token", "the old one stays");
    }

    #[test]
    fn a_token_that_is_being_written_does_not_count_before_it_is_whole() {
        let mut credential = Credential::of(&"first-token".parse().unwrap()).unwrap();
        let [cut, whole] = ["second-t", "second-token"].map(|token| super::header(token).unwrap());
        let doubted = credential.believe(Some(cut), None);
        let doubted = credential.believe(Some(whole.clone()), doubted);
        assert_eq!(sent(&mut credential).unwrap(), "Bearer first-token");
        assert_eq!(credential.believe(Some(whole), doubted), None);
        assert_eq!(sent(&mut credential).unwrap(), "Bearer second-token");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_without_being_told() {
        let wrong = Credential::of(&"with a space".parse().unwrap()).unwrap_err();
        assert!(wrong.contains("12 bytes") && !wrong.contains("with a space"), "{wrong}");
        assert!(Credential::in_file("/nowhere/at/all".into()).unwrap_err().contains("/nowhere"));
        assert_eq!(sent(&mut Credential::default()), None);
        assert!(Credential::default().token().is_none());
    }
}
