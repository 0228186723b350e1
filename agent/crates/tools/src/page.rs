//! Long answers: how long they are, and lists a page at a time.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::error::ToolError;

/// What a list is cut by.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct Page {
    /// Where to go on: `next_cursor` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How many items at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
}

/// How many items a page has where the caller does not say.
const DEFAULT: usize = 100;

/// Cuts a page out of a list whose order does not change between calls: the items, and the cursor of the next
/// page if there is one.
pub fn page<T>(items: Vec<T>, page: &Page) -> Result<(Vec<T>, Option<String>), ToolError> {
    let start: usize = match &page.cursor {
        None => 0,
        Some(cursor) => cursor.parse().map_err(|_| {
            ToolError::Invalid(format!(
                "`{cursor}` is no cursor: take `next_cursor` from the page before"
            ))
        })?,
    };
    let limit = page.limit.unwrap_or(DEFAULT).clamp(1, 1000);
    let left = items.len().saturating_sub(start);
    let next = (left > limit).then(|| (start + limit).to_string());
    Ok((items.into_iter().skip(start).take(limit).collect(), next))
}

/// How long a value is as JSON, in bytes, without making it.
pub fn json_size(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}
