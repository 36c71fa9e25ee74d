//! Deleted is gone, from the disk too: what a message said is in no file within a second after the deletion or the edit was
//! acknowledged, and no kill and no restart brings it back.

#![expect(clippy::unwrap_used, reason = "what sets a test up may fail like the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use e2e::{Grpc, Service, held, platform_post, question};
use repartee_proto::v1::{DeleteMessageRequest, UpdateMessageRequest};

/// Whether a text is in a file of the data directory.
fn is_stored(data: &Path, text: &str) -> bool {
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(path)
                && bytes.windows(text.len()).any(|window| window == text.as_bytes())
            {
                return true;
            }
        }
    }
    false
}

/// Returns once a text is in no file.
async fn until_gone(data: &Path, text: &str) {
    let gone = async {
        while is_stored(data, text) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it is erased");
}

async fn delete(client: &Grpc, id: &str) {
    let request = DeleteMessageRequest { message_id: id.to_owned(), ..Default::default() };
    client.raw().delete_message(request).await.unwrap();
}

#[tokio::test]
async fn what_is_deleted_or_edited_is_in_no_file_any_more_and_the_rest_is() {
    let mut queue = Service::queue_service(&[]).await;
    let (client, data) = (queue.grpc().await, PathBuf::from(queue.data_dir()));
    let kept = client.post(platform_post("Ann", "the sentence that stays")).await.unwrap();
    let deleted = client.post(platform_post("Ann", "call 555-0101 for details")).await.unwrap();
    let edited = client.post(platform_post("Bea", "first said 555-0102")).await.unwrap();
    assert!(is_stored(&data, "555-0101") && is_stored(&data, "555-0102"));
    delete(&client, &deleted.id).await;
    let text = Some("then said nothing".to_owned());
    let request = UpdateMessageRequest { message_id: edited.id.clone(), text, ..Default::default() };
    client.raw().update_message(request).await.unwrap();
    until_gone(&data, "555-0101").await;
    until_gone(&data, "555-0102").await;
    assert!(is_stored(&data, "the sentence that stays") && is_stored(&data, "then said nothing"));
    queue.kill().await;
    queue.start_again().await;
    let client = queue.grpc().await;
    assert_eq!(client.get(&kept.id).await.unwrap().text, "the sentence that stays");
    assert_eq!(client.get(&edited.id).await.unwrap().text, "then said nothing");
    assert!(client.get(&deleted.id).await.unwrap().deleted);
    assert!(!is_stored(&data, "555-0101") && !is_stored(&data, "555-0102"));
}

#[tokio::test]
async fn an_error_that_quotes_a_text_goes_with_it() {
    let queue = Service::queue_service(&[]).await;
    let (client, data) = (queue.grpc().await, PathBuf::from(queue.data_dir()));
    let asked = client.post(question("echo", "Is 555-0103 yours?")).await.unwrap();
    let work = client.claim_next("worker", &["echo"], 0).await.unwrap().expect("it waits");
    client.give_up(held(&work), "cannot answer \"Is 555-0103 yours?\"").await.unwrap();
    delete(&client, &asked.id).await;
    until_gone(&data, "555-0103").await;
}

#[tokio::test]
async fn what_was_deleted_the_moment_before_a_kill_is_gone_after_the_next_start() {
    let mut queue = Service::queue_service(&[]).await;
    let data = PathBuf::from(queue.data_dir());
    for round in 0..10 {
        let client = queue.grpc().await;
        let text = format!("secret number {round:04}");
        let posted = client.post(platform_post("Ann", &text)).await.unwrap();
        delete(&client, &posted.id).await;
        queue.kill().await;
        queue.start_again().await;
        assert!(!is_stored(&data, &text), "{text}");
    }
}
