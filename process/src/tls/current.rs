//! What was made from a few files, made anew when they change.

use std::{convert::Infallible, fmt, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls;

use super::files::{FileProblem, PemFile};
use crate::followed::Looks;

/// Files, by the flags that name them.
pub(super) trait Source: Clone + fmt::Debug + Send + Sync + 'static {
    /// What is made from them.
    type Made: Send + Sync + 'static;

    /// The flags and the paths.
    fn paths(&self) -> impl Iterator<Item = (&'static str, &Path)>;

    /// Makes it.
    fn make(&self, files: &Files) -> Result<Self::Made, FileProblem>;
}

/// The files of a source as they were read together.
pub(super) struct Files(Vec<PemFile>);

/// What the newest files that can be used have made; cheap to clone.
pub(super) struct Current<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    source: S,
    made: ArcSwap<Made<S::Made>>,
}

struct Made<T> {
    /// Of the files that it was made from.
    digest: [u8; 32],
    value: T,
}

/// What a look at the files led to.
pub(super) enum Change<'a> {
    /// There is something new.
    Replaced,
    /// They cannot be used, and nothing changes. Is told once.
    Failed(&'a FileProblem),
}

impl Files {
    /// Reads all. Blocks.
    fn of<S: Source>(source: &S) -> Result<Self, FileProblem> {
        source.paths().map(|(setting, path)| PemFile::read(setting, path)).collect::<Result<_, _>>().map(Self)
    }

    /// The file of this flag, if there is one.
    pub(super) fn named(&self, setting: &str) -> Option<&PemFile> {
        self.0.iter().find(|file| file.setting() == setting)
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for file in &self.0 {
            digest.update((file.bytes().len() as u64).to_be_bytes());
            digest.update(file.bytes());
        }
        digest.finalize().into()
    }
}

/// Which of the two files is to blame if they make no pair.
pub(super) fn no_pair(cert: &PemFile, key: &PemFile, error: &rustls::Error) -> FileProblem {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            key.problem(format!("is not the key of the certificate in {}", cert.path().display()))
        }
        rustls::Error::InvalidCertificate(_) => cert.problem(error.to_string()),
        _ => key.problem(
            "is no key that can be used: RSA of 2,048 to 8,192 bits, ECDSA on P-256 or P-384, or Ed25519",
        ),
    }
}

impl<S: Source> Current<S> {
    /// Reads the files. Blocks.
    pub(super) fn read(source: S) -> Result<Self, FileProblem> {
        let files = Files::of(&source)?;
        let made = Made { digest: files.digest(), value: source.make(&files)? };
        Ok(Self(Arc::new(Inner { source, made: ArcSwap::from_pointee(made) })))
    }

    /// A part of what holds now.
    pub(super) fn get<T>(&self, part: impl FnOnce(&S::Made) -> T) -> T {
        part(&self.0.made.load().value)
    }

    /// Looks at the files again and again, for as long as it is polled.
    pub(super) async fn follow(self, mut tell: impl FnMut(Change<'_>)) -> Infallible {
        let (looking, mut failures) = (self.clone(), Failures::default());
        let mut looks = Looks::by(move || looking.look());
        loop {
            match looks.next().await {
                Ok(None) => failures.forget(),
                Ok(Some(made)) => {
                    failures.forget();
                    self.0.made.store(Arc::new(made));
                    tell(Change::Replaced);
                }
                Err(problem) if failures.are_to_be_told(&problem) => tell(Change::Failed(&problem)),
                Err(_) => {}
            }
        }
    }

    /// What the files make, if they are others than before.
    fn look(&self) -> Result<Option<Made<S::Made>>, FileProblem> {
        let files = Files::of(&self.0.source)?;
        let digest = files.digest();
        if digest == self.0.made.load().digest {
            return Ok(None);
        }
        self.0.source.make(&files).map(|value| Some(Made { digest, value }))
    }
}

/// The problem of the last look, and whether it was told.
#[derive(Debug, Default)]
struct Failures(Option<(FileProblem, bool)>);

impl Failures {
    fn forget(&mut self) {
        self.0 = None;
    }

    /// Certificate and key are two files: after the one and before the other was written they make no pair. So a problem
    /// has to be seen twice, and is told once.
    fn are_to_be_told(&mut self, problem: &FileProblem) -> bool {
        match &mut self.0 {
            Some((last, told)) if last == problem => !std::mem::replace(told, true),
            last => {
                *last = Some((problem.clone(), false));
                false
            }
        }
    }
}

impl<S: Source> Clone for Current<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Source> fmt::Debug for Current<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Failures, FileProblem};

    fn problem(problem: &str) -> FileProblem {
        FileProblem { setting: "tls-key", path: "/key".into(), problem: problem.into() }
    }

    #[test]
    fn a_problem_is_told_once_if_it_lasts() {
        let mut failures = Failures::default();
        let mut told = |seen: &str| failures.are_to_be_told(&problem(seen));
        assert_eq!(["a", "a", "a", "b", "a", "a"].map(&mut told), [false, true, false, false, false, true]);
        failures.forget();
        let mut told = |seen: &str| failures.are_to_be_told(&problem(seen));
        assert_eq!(["a", "a"].map(&mut told), [false, true], "it was well in between");
    }
}
