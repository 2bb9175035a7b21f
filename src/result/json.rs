//! The document as it is written.

use super::Document;
use crate::text;

/// The document as one line of JSON. What cannot be seen, or turns the text around it, is written as an escape: the value is the same, and a
/// terminal that it is printed on stays as it was.
///
/// # Errors
/// None: it is plain data.
pub fn json(document: &Document) -> serde_json::Result<String> {
    serde_json::to_string(document).map(|json| text::json(&json) + "\n")
}
