//! What a model is told of a tool call. Pure.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use crate::text::cut;

/// What a newer version of the protocol may give.
const NO_TEXT: &str = "[something that is no text]";

/// What came of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// For the model.
    pub(crate) text: String,
    pub(crate) outcome: Outcome,
}

/// How a call ended, as metrics count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    /// The tool says that it failed.
    Failed,
    /// It took too long.
    TimedOut,
    /// Its server is away.
    Away,
    /// It was not called: no such tool, arguments that are none, or one call too many.
    Refused,
}

impl Outcome {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Away => "away",
            Self::Refused => "refused",
        }
    }
}

impl Told {
    pub(crate) fn failed(outcome: Outcome, why: impl AsRef<str>) -> Self {
        Self { text: format!("The tool failed: {}", why.as_ref()), outcome }
    }

    /// The same with at most so many bytes of it, and a note that it was cut.
    pub(crate) fn cut(mut self, bytes: usize) -> Self {
        if self.text.len() > bytes {
            let whole = self.text.len();
            let kept = cut(&self.text, bytes).len();
            self.text.truncate(kept);
            self.text += &format!("\n[cut off: these are {kept} of {whole} bytes]");
            self.text.shrink_to_fit();
        }
        self
    }
}

/// What a tool gave, as text: what is none is named.
pub(super) fn told(result: &CallToolResult) -> Told {
    let mut parts: Vec<String> = result.content.iter().map(part).collect();
    if parts.is_empty() {
        parts.extend(result.structured_content.as_ref().map(ToString::to_string));
    }
    let text = parts.join("\n");
    match result.is_error {
        Some(true) => Told::failed(Outcome::Failed, text),
        _ if text.is_empty() => Told { text: "(the tool gave nothing)".into(), outcome: Outcome::Ok },
        _ => Told { text, outcome: Outcome::Ok },
    }
}

fn part(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => format!("[an image, {}]", image.mime_type),
        ContentBlock::Audio(audio) => format!("[audio, {}]", audio.mime_type),
        ContentBlock::ResourceLink(link) => format!("[{}: {}]", link.name, link.uri),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            ResourceContents::BlobResourceContents { uri, .. } => format!("[data: {uri}]"),
            _ => NO_TEXT.into(),
        },
        _ => NO_TEXT.into(),
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::{CallToolResult, ContentBlock};
    use serde_json::json;

    use super::{Outcome, Told, told};

    #[test]
    fn what_is_no_text_is_named() {
        let result = CallToolResult::success(vec![
            ContentBlock::text("Sunny"),
            ContentBlock::image("AAAA", "image/png"),
            ContentBlock::embedded_text("file:///a", "12 °C"),
        ]);
        assert_eq!(told(&result).text, "Sunny\n[an image, image/png]\n12 °C");
        let structured = CallToolResult::structured(json!({"degrees": 12}));
        assert!(told(&structured).text.contains("\"degrees\""));
        assert_eq!(told(&CallToolResult::success(Vec::new())).text, "(the tool gave nothing)");
    }

    #[test]
    fn a_failure_says_so() {
        let failed = told(&CallToolResult::error(vec![ContentBlock::text("no such city")]));
        assert_eq!(failed, Told { text: "The tool failed: no such city".into(), outcome: Outcome::Failed });
    }

    #[test]
    fn a_long_result_is_cut_between_characters_and_says_so() {
        let long = Told { text: "ä".repeat(200), outcome: Outcome::Ok };
        let cut = long.clone().cut(257).text;
        assert!(cut.capacity() < 400, "what is cut off is not kept in memory");
        assert_eq!(cut, format!("{}\n[cut off: these are 256 of 400 bytes]", "ä".repeat(128)));
        assert_eq!(long.clone().cut(400), long);
    }
}
