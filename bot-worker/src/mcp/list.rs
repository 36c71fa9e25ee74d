//! The tools of a server, as far as they are taken in: a server may list without end.

use std::{collections::HashSet, time::Duration};

use rmcp::{
    Peer, RoleClient, ServiceError,
    model::{PaginatedRequestParams, Tool},
};
use tokio::time::timeout;

use super::settings::{TOOLS, ToolServer};
use crate::text::cut;

/// How long a server may take to list its tools.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most tools and bytes that a server may list, the tools included that are not allowed.
const LISTED: usize = 1_024;
const LISTED_BYTES: usize = 4 << 20;
/// Most bytes of the description of a tool, which is cut, and of the schema of its arguments with its name.
const DESCRIPTION_BYTES: usize = 2_048;
const SCHEMA_BYTES: usize = 16_384;

/// The list of a server.
#[derive(Default)]
pub(super) struct Listed {
    /// Those that are allowed and fit, as much of them as is used.
    pub(super) tools: Vec<Tool>,
    /// Why the rest of the list was not read.
    pub(super) stopped: Option<&'static str>,
    count: usize,
    bytes: usize,
    cursors: HashSet<String>,
}

/// Lists the tools of a server.
///
/// # Errors
/// Why it does not list them, in its own words: not for a log as they are.
pub(super) async fn list(peer: &Peer<RoleClient>, server: &ToolServer) -> Result<Listed, String> {
    let listed = timeout(PATIENCE, pages(peer, server)).await;
    let listed = listed.map_err(|_| format!("it did not list its tools within {PATIENCE:?}"))?;
    listed.map_err(|error| format!("it does not list its tools: {error}"))
}

async fn pages(peer: &Peer<RoleClient>, server: &ToolServer) -> Result<Listed, ServiceError> {
    let (mut listed, mut cursor) = (Listed::default(), None);
    loop {
        let asked = PaginatedRequestParams::default().with_cursor(cursor);
        let page = peer.list_tools(Some(asked)).await?;
        cursor = page.next_cursor;
        if !listed.take(page.tools, cursor.as_deref(), |tool| server.allows(tool)) {
            return Ok(listed);
        }
    }
}

impl Listed {
    /// Takes in a page; true if the next one is wanted.
    fn take(&mut self, page: Vec<Tool>, next: Option<&str>, allows: impl Fn(&str) -> bool) -> bool {
        // One without tools counts too: there could be such for ever.
        self.count += page.len().max(1);
        for tool in page {
            let bytes = |tool: &Tool| serde_json::to_vec(tool).map_or(LISTED_BYTES, |text| text.len());
            self.bytes += bytes(&tool);
            let description = tool.description.map(|text| cut(&text, DESCRIPTION_BYTES).to_owned().into());
            let mut used = Tool::new_with_raw(tool.name, None, tool.input_schema);
            let fits = bytes(&used) <= SCHEMA_BYTES;
            if !fits {
                tracing::debug!(tool = cut(&used.name, 64), "not offered: its schema is too long");
            }
            if fits && self.tools.len() < TOOLS && allows(&used.name) {
                used.description = description;
                self.tools.push(used);
            }
        }
        let Some(next) = next else { return false };
        self.bytes += next.len();
        self.stopped = if self.count >= LISTED || self.bytes >= LISTED_BYTES {
            Some("it lists more than 1,024 tools or 4 MiB")
        } else if !self.cursors.insert(next.to_owned()) {
            Some("its list goes in circles")
        } else {
            None
        };
        self.stopped.is_none()
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::{JsonObject, Tool};

    use super::Listed;

    fn tool(name: &str, description: &str) -> Tool {
        Tool::new(name.to_owned(), description.to_owned(), JsonObject::new())
    }

    #[test]
    fn a_list_without_end_is_left() {
        let mut circle = Listed::default();
        assert!(circle.take(vec![tool("a", "")], Some("1"), |_| true));
        assert!(circle.take(vec![tool("b", "")], Some("2"), |_| true));
        assert!(!circle.take(vec![tool("c", "")], Some("1"), |_| true));
        assert_eq!((circle.tools.len(), circle.stopped), (3, Some("its list goes in circles")));

        let endless = |page: &[Tool]| {
            let mut listed = Listed::default();
            let pages = (0..).find(|at: &usize| !listed.take(page.to_vec(), Some(&at.to_string()), |_| true));
            assert!(listed.stopped.unwrap().contains("1,024 tools or 4 MiB"));
            (pages.unwrap() + 1, listed.tools.len())
        };
        assert_eq!(endless(&[]), (1_024, 0));
        assert_eq!(endless(&[tool("a", ""), tool("b", "")]), (512, 64));
        assert!(endless(&[tool("a", &"x".repeat(1 << 20))]).0 <= 4);
    }

    #[test]
    fn what_is_not_allowed_or_too_long_is_not_kept_and_a_description_is_cut() {
        let mut listed = Listed::default();
        let schema: JsonObject =
            serde_json::from_value(serde_json::json!({"type": "x".repeat(20_000)})).unwrap();
        let page = vec![
            tool("a", &"x".repeat(5_000)),
            tool("b", ""),
            Tool::new("c", "", schema),
            tool(&"d".repeat(20_000), ""),
        ];
        assert!(!listed.take(page, None, |name| name != "b"));
        assert_eq!(listed.tools.len(), 1);
        assert_eq!(listed.tools[0].description.as_ref().unwrap().len(), 2_048);
        assert_eq!(listed.stopped, None);
    }
}
