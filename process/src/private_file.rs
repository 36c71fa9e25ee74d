//! Files and folders that only the owner of the process may look into: data, secrets, tokens.
//!
//! What this creates has the mode 0600 (0700 for folders) whatever the umask says, nothing here follows a symbolic link
//! in the last part of a path, and what replaces a file is there whole or not at all. Must never change the mode of what
//! exists: whoever made a file readable for a backup may have meant it, so that is only told.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

/// The mode bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Takes the rights of group and others from every file that this process creates from now on, those of libraries
/// included: sled writes files of its own at any time, and to narrow each one afterwards would leave a moment in between.
pub(crate) fn keep_new_files_private() {
    rustix::process::umask(Mode::from_raw_mode(OTHERS));
}

/// Creates a folder that only its owner may enter, and those above it if they are missing. One that exists stays as
/// it is.
///
/// # Errors
/// If it cannot be created, or is a file.
pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// How to open a file that is private: one that is created gets the mode 0600, and a symbolic link is an error.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Opens a file with [`options`], or others made from them, and says what is wrong with a symbolic link.
///
/// # Errors
/// As [`OpenOptions::open`]; `InvalidInput` where `path` is a symbolic link or no plain file.
pub fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.open(path).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => refused(path, "a symbolic link"),
        _ => error,
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(refused(path, "no plain file")) }
}

/// Reads a file.
///
/// # Errors
/// As [`open`], and where it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(options().read(true), path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces the file `path` by one that holds `bytes`: readers see the one or the other, and when this returns, the new
/// one is durable. What a crash left of an earlier attempt, `path` with `.new` behind it, is removed.
///
/// # Errors
/// If it cannot be written; then the file is what it was before.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    // This removes a link itself, never what it leads to.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    let mut file = options().write(true).create_new(true).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refused(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{} is {what}, which is not opened", path.display()))
}

/// The mode of `path`, where it lets somebody else than its owner in; a link is not followed.
///
/// # Errors
/// Where the mode cannot be read.
pub fn wider_mode(path: &Path) -> io::Result<Option<u32>> {
    let mode = fs::symlink_metadata(path)?.permissions().mode() & 0o7777;
    Ok((mode & OTHERS != 0).then_some(mode))
}

/// What a look at a private folder showed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Entries that are neither a plain file nor a folder: symbolic links, sockets, pipes, devices.
    pub strange: Vec<PathBuf>,
    /// What somebody else than the owner may look into, and its mode; the folder itself is the first.
    pub wider: Vec<(PathBuf, u32)>,
}

/// Looks at a folder, at what is in it, and at what is in those of its folders that are named in `inner`. The folder itself
/// may be a link: where its data lies is the operator's choice.
///
/// # Errors
/// Where a folder cannot be read.
pub fn survey(folder: &Path, inner: &[&str]) -> io::Result<Survey> {
    let mut seen = Survey::default();
    let mode = fs::metadata(folder)?.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        seen.wider.push((folder.to_owned(), mode));
    }
    look_into(folder, &mut seen, inner)?;
    Ok(seen)
}

fn look_into(folder: &Path, seen: &mut Survey, inner: &[&str]) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if !kind.is_file() && !kind.is_dir() {
            seen.strange.push(path);
            continue;
        }
        if let Some(mode) = wider_mode(&path)? {
            seen.wider.push((path.clone(), mode));
        }
        if kind.is_dir() && inner.iter().any(|name| entry.file_name() == *name) {
            look_into(&path, seen, &[])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_created_is_the_owners_alone() {
        let dir = TempDir::new().unwrap();
        let folder = dir.path().join("deep/data");
        create_folder(&folder).unwrap();
        replace(&folder.join("secret"), b"one").unwrap();
        let opened = open(options().create(true).append(true), &folder.join("list")).unwrap();
        drop(opened);
        let modes = [dir.path().join("deep"), folder.clone(), folder.join("secret"), folder.join("list")]
            .map(|path| mode(&path));
        assert_eq!(modes, [0o700, 0o700, 0o600, 0o600]);
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_no_draft() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("secret");
        for bytes in [&b"a long first one"[..], b"two"] {
            replace(&path, bytes).unwrap();
            assert_eq!(read(&path).unwrap(), bytes);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_never_written_through_nor_read() {
        let dir = TempDir::new().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("secret"));
        fs::write(&victim, "of somebody").unwrap();
        symlink(&victim, dir.path().join("secret.new")).unwrap();
        replace(&path, b"ours").unwrap();
        assert_eq!(
            (fs::read(&victim).unwrap(), read(&path).unwrap()),
            (b"of somebody".to_vec(), b"ours".to_vec())
        );

        fs::remove_file(&path).unwrap();
        symlink(&victim, &path).unwrap();
        let refused = read(&path).unwrap_err();
        assert!(refused.to_string().ends_with("secret is a symbolic link, which is not opened"), "{refused}");
        open(options().write(true).truncate(true), &path).unwrap_err();
        assert_eq!(fs::read(&victim).unwrap(), b"of somebody");
        replace(&path, b"ours").unwrap();
        assert_eq!(
            (fs::read(&victim).unwrap(), read(&path).unwrap()),
            (b"of somebody".to_vec(), b"ours".to_vec())
        );
    }

    #[test]
    fn a_survey_names_links_and_what_others_may_look_into() {
        let dir = TempDir::new().unwrap();
        let folder = dir.path().join("data");
        create_folder(&folder.join("blobs")).unwrap();
        replace(&folder.join("db"), b"").unwrap();
        assert_eq!(survey(&folder, &["blobs"]).unwrap(), Survey::default());

        symlink("/nowhere", folder.join("blobs/link")).unwrap();
        for (path, mode) in [(folder.join("db"), 0o640), (folder.clone(), 0o755)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let wider = vec![(folder.clone(), 0o755), (folder.join("db"), 0o640)];
        let seen = survey(&folder, &[]).unwrap();
        assert_eq!(seen, Survey { strange: vec![], wider: wider.clone() }, "what is deeper is not ours");
        assert_eq!(
            survey(&folder, &["blobs"]).unwrap(),
            Survey { strange: vec![folder.join("blobs/link")], wider }
        );
    }
}
