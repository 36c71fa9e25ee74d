//! The reader, fed by parts of every size.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{Answer, Bill, Fault, PIECE_BYTES, ReadError, Reading, limited, read_parts};
use crate::openai::Spending;

async fn read(body: &str, size: usize) -> Result<Answer, ReadError> {
    watched(body, size, false).await.0
}

/// Reads, and notes what was shown and whether the model was said to think.
async fn watched(
    body: &str,
    size: usize,
    begins_in_thought: bool,
) -> (Result<Answer, ReadError>, Vec<(String, bool)>) {
    let parts: Vec<_> = body.as_bytes().chunks(size).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    let (spending, mut shown) = (Spending::new("test"), Vec::new());
    let mut bill = Bill::new(&spending, 0);
    let reading = Reading::new(begins_in_thought, &mut bill);
    let mut watch = |text: &str, thinks| shown.push((text.to_owned(), thinks));
    let answer = read_parts(stream::iter(parts), reading, &mut watch).await;
    (answer, shown)
}

const STREAM: &str = "\u{feff}\u{feff}data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\r\n\r\n\
    : a comment\n\ndata: \n\ndata: {\"choices\":[{\"delta\":{\"content\":\"Sch\"}}]}\n\nevent: ping\ndata: {}\n\n\
    data:{\"choices\":[{\"delta\":{\"content\":\"ön\"},\"finish_reason\":\"\"}]}\r\r\
    data: {\"choices\":[],\"usage\":{\"total_tokens\":7}}\n\ndata: [DONE]\n\n";

#[tokio::test]
async fn what_was_said_is_read_wherever_the_parts_are_cut() {
    for size in [1, 2, 3, 7, 1_000] {
        let answer = read(STREAM, size).await.unwrap();
        assert_eq!((answer.text().as_str(), answer.tokens), ("Schön", Some(7)), "{size}");
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_anywhere_before_its_end_is_no_answer() {
    let body =
        "data: {\"choices\":[{\"delta\":{\"content\":\"Schön\"},\"finish_reason\":\"\"}]}\n\ndata: [DONE]";
    for (end, _) in body.char_indices().skip(1) {
        assert!(read(&body[..end], 1_000).await.is_err(), "{:?}", &body[..end]);
    }
    assert_eq!(read(body, 1_000).await.unwrap().text(), "Schön", "without an empty line at the end");
}

#[tokio::test]
async fn documents_without_empty_lines_between_them_are_read_one_by_one() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"A\"}}]}\ndata: {\"choices\":[{\"delta\":{\"content\":\"B\"}}]}\n\
        data: [DONE]\n";
    assert_eq!(read(body, 1_000).await.unwrap().text(), "AB");
}

#[tokio::test]
async fn an_error_within_a_stream_is_no_answer_though_the_stream_ends_properly() {
    let said = "data: {\"choices\":[{\"delta\":{\"content\":\"Half\"}}]}\n\n";
    for error in ["data: {\"error\":{\"code\":503}}\n\n", "data: {\"object\":\"error\",\"code\":503}\n\n"] {
        let Err(ReadError::Fault(fault)) = read(&format!("{said}{error}data: [DONE]\n\n"), 9).await else {
            panic!()
        };
        assert_eq!(fault, Fault { status: Some(503) });
    }
    let named = format!("{said}event: error\ndata: {{\"message\":\"no\"}}\n\ndata: [DONE]\n\n");
    assert!(matches!(read(&named, 9).await, Err(ReadError::Fault(_))));
}

#[tokio::test]
async fn what_is_no_json_is_no_completion() {
    assert!(matches!(read("data: hello\n\n", 9).await, Err(ReadError::NoCompletion)));
}

#[tokio::test]
async fn a_stream_without_an_end_is_given_up_at_its_bound() {
    let filler = format!(": {}\n", "x".repeat(1 << 20)).repeat(17);
    assert!(matches!(read(&filler, 1 << 16).await, Err(ReadError::TooLong)));
}

fn thought_of_r1(last: &str) -> String {
    let word = |word: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n");
    format!("{}{}{}{last}", word("Hm"), word(" right</think>"), word("Yes"))
}

#[tokio::test]
async fn of_an_endpoint_whose_thoughts_begin_in_the_prompt_no_thought_is_shown() {
    let body = thought_of_r1("data: [DONE]\n\n");
    let (answer, _) = watched(&body, 9, false).await;
    assert!(answer.unwrap().began_in_thought());
    let (answer, shown) = watched(&body, 9, true).await;
    assert_eq!(answer.unwrap().text(), "Yes");
    assert_eq!(shown, [(String::new(), true), (String::new(), false), ("Yes".to_owned(), false)]);
}

#[tokio::test]
async fn a_thought_that_began_in_the_prompt_and_was_cut_off_is_no_text() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"Hm\"},\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n";
    assert_eq!(watched(body, 9, true).await.0.unwrap().text(), "");
    assert_eq!(watched(body, 9, false).await.0.unwrap().text(), "Hm");
}

#[tokio::test]
async fn a_document_with_only_a_piece_of_an_answer_is_no_completion() {
    let piece = r#"{"choices":[{"delta":{"content":"Half"}}]}"#;
    assert!(matches!(read(piece, 9).await, Err(ReadError::NoCompletion)));
    let whole = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;
    assert_eq!(read(whole, 9).await.unwrap().text(), "Hi");
}

#[tokio::test]
async fn an_event_that_is_larger_than_an_answer_may_be_is_refused() {
    let large = "x".repeat(1 << 20);
    let event = format!("data: {{\"choices\":[],\"x\":\"{large}\"}}\n\ndata: [DONE]\n\n");
    assert!(matches!(read(&event, 1 << 16).await, Err(ReadError::TooLong)));
    let lines = format!("data: {}\n", "x".repeat(1 << 10)).repeat(1 << 11);
    assert!(matches!(read(&format!("{lines}\n"), 1 << 16).await, Err(ReadError::TooLong)));
}

#[tokio::test]
async fn the_parser_of_streams_gets_few_lines_at_once_and_each_whole() {
    let line = |bytes: usize| format!("{}\n", "x".repeat(bytes));
    let body = line(100).repeat(1_000) + &line(100_000) + &line(100).repeat(1_000) + "x";
    for size in [100, 1 << 20] {
        let parts: Vec<_> = body.as_bytes().chunks(size).map(Bytes::copy_from_slice).map(Ok).collect();
        let pieces: Vec<_> = limited(stream::iter(parts)).map(Result::unwrap).collect().await;
        assert_eq!(pieces.concat(), [body.as_bytes(), b"\n\n"].concat());
        for piece in pieces {
            assert_eq!(piece.last(), Some(&b'\n'));
            let first = piece.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            assert!(piece.len() - first <= PIECE_BYTES, "{}", piece.len());
        }
    }
    let endless = limited(stream::iter([Ok(Bytes::from(vec![b'x'; 2 << 20]))]));
    let read: Vec<_> = endless.take(1).collect().await;
    assert!(matches!(read[0], Err(ReadError::TooLong)));
}
