//! Whose the data is: files that nobody else may read, and links that nothing is written through.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use e2e::{Process, Service, question};
use rustix::{fs::Mode, process::umask};
use tempfile::TempDir;

/// What the system lets everybody do with new files, unless a program asks for less.
fn let_everybody_read() {
    umask(Mode::empty());
}

/// Everything under `folder` and itself, with its mode.
fn modes(folder: &Path) -> BTreeMap<PathBuf, u32> {
    let mut modes = BTreeMap::from([(folder.to_owned(), fs::metadata(folder).unwrap().mode() & 0o777)]);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            modes.extend(self::modes(&path));
        } else {
            modes.insert(path, kind.mode() & 0o777);
        }
    }
    modes
}

/// Starts on `data`, which has to be refused with exit code 1. Hands out the log.
async fn refused(data: &Path) -> String {
    let settings = ["--grpc-addr", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let mut process = Process::spawn("queue-service", &settings);
    assert_eq!(process.ready_or_ended().await, Err(Some(1)), "{}", process.log());
    process.log()
}

#[tokio::test]
async fn what_is_stored_is_readable_by_the_owner_alone_whatever_the_umask_is() {
    let_everybody_read();
    let mut queue = Service::queue_service(&[]).await;
    queue.grpc().await.post(question("echo", "Between us")).await.unwrap();
    assert_eq!(queue.terminate().await, Some(0));
    // The stop and the next start write more of sled's own files.
    queue.start_again().await;
    let data = PathBuf::from(queue.data_dir());
    let modes = modes(&data);
    for name in ["log/0000000000.log", "log/high-water", "index/db", "index/conf", "edit-secret"] {
        assert!(modes.contains_key(&data.join(name)), "{name} is not there: {modes:?}");
    }
    for (path, mode) in &modes {
        assert_eq!(*mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    assert!(!queue.process().log().contains("may look into the data"), "{}", queue.process().log());
}

#[tokio::test]
async fn data_that_others_may_read_is_warned_about_once_by_path_and_mode_and_left_as_it_is() {
    let mut queue = Service::queue_service(&[]).await;
    assert_eq!(queue.terminate().await, Some(0));
    let data = PathBuf::from(queue.data_dir());
    let log_file = data.join("log/0000000000.log");
    for (path, mode) in [(data.clone(), 0o755), (log_file.clone(), 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    queue.start_again().await;
    let log = queue.process().log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("may look into the data")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    for named in [format!("{} (0755)", data.display()), format!("{} (0644)", log_file.display())] {
        assert!(warnings[0].contains(&named), "{named} is not named: {}", warnings[0]);
    }
    assert!(!warnings[0].contains("high-water"), "{}", warnings[0]);
    assert_eq!(fs::metadata(log_file).unwrap().mode() & 0o777, 0o644);
}

#[tokio::test]
async fn a_link_in_the_data_directory_ends_the_start_and_what_it_leads_to_is_untouched() {
    let names = ["log", "index", "served-entities", "edit-secret", "edit-secret.new"];
    for name in names {
        let folder = TempDir::new().unwrap();
        let (data, victim) = (folder.path().join("data"), folder.path().join("victim"));
        fs::create_dir(&data).unwrap();
        fs::write(&victim, "of somebody else").unwrap();
        symlink(&victim, data.join(name)).unwrap();
        let log = refused(&data).await;
        assert!(log.contains(data.join(name).to_str().unwrap()), "{name}: {log}");
        assert_eq!(fs::read(&victim).unwrap(), b"of somebody else", "{name}");
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "{name}: nothing was made beside it");
    }
}

#[tokio::test]
async fn folders_of_the_store_that_lead_elsewhere_end_the_start_too() {
    let folder = TempDir::new().unwrap();
    let (data, victim) = (folder.path().join("data"), folder.path().join("victim"));
    fs::create_dir_all(&victim).unwrap();
    fs::create_dir_all(&data).unwrap();
    fs::create_dir(data.join("index")).unwrap();
    symlink(&victim, data.join("index/blobs")).unwrap();
    let log = refused(&data).await;
    assert!(log.contains(data.join("index/blobs").to_str().unwrap()), "{log}");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_of_the_log_that_leads_elsewhere_ends_the_start_too() {
    for name in ["log/0000000000.log", "log/high-water", "log/lock", "index/db"] {
        let folder = TempDir::new().unwrap();
        let (data, victim) = (folder.path().join("data"), folder.path().join("victim"));
        fs::create_dir_all(data.join(name).parent().unwrap()).unwrap();
        fs::write(&victim, "of somebody else").unwrap();
        symlink(&victim, data.join(name)).unwrap();
        let log = refused(&data).await;
        assert!(log.contains(data.join(name).to_str().unwrap()), "{name}: {log}");
        assert_eq!(fs::read(&victim).unwrap(), b"of somebody else", "{name}");
    }
}

#[tokio::test]
async fn the_data_directory_itself_may_be_a_link_to_where_the_operator_wants_it() {
    let folder = TempDir::new().unwrap();
    let (data, disk) = (folder.path().join("data"), folder.path().join("disk"));
    fs::create_dir(&disk).unwrap();
    symlink(&disk, &data).unwrap();
    let mut queue = Service::queue_service_on(&data, &[]).await;
    queue.grpc().await.post(question("echo", "Well?")).await.unwrap();
    assert_eq!(queue.terminate().await, Some(0));
    assert!(disk.join("log/0000000000.log").is_file());
}
