//! What people see of the content of messages and tool calls.

use std::borrow::Cow;

use serde_json::Value;

use super::envelope::string;

/// How the SDK begins the text that it puts before the first prompt of a resumed session.
const REPLAY: &str = "Previous session history is replayed below as JSON-RPC envelopes.";

/// A block of content, as text.
pub(super) fn block(block: &Value) -> Cow<'_, str> {
    let name = |field: &str| string(block, field).unwrap_or("?");
    match string(block, "type") {
        Some("text") => match name("text") {
            text if text.starts_with(REPLAY) => {
                format!("[history replayed by the SDK: {} characters]", text.chars().count()).into()
            }
            text => text.into(),
        },
        Some(kind @ ("image" | "audio")) => {
            let bytes = name("data").len() / 4 * 3;
            format!("[{kind}: {}, about {bytes} bytes]", name("mimeType")).into()
        }
        Some("resource_link") => format!("[{}: {}]", name("name"), name("uri")).into(),
        Some("resource") => {
            let resource = block.get("resource").unwrap_or(&Value::Null);
            let uri = string(resource, "uri").unwrap_or("?");
            match string(resource, "text") {
                Some(text) => format!("[{uri}]\n{text}").into(),
                None => format!("[{uri}]").into(),
            }
        }
        _ => block.to_string().into(),
    }
}

/// Blocks of content, one below the other.
pub(super) fn blocks(list: &[Value]) -> String {
    list.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// What a tool call has brought, as text.
pub(super) fn of_tool_call(content: &[Value]) -> String {
    content.iter().map(part).collect::<Vec<_>>().join("\n")
}

fn part(part: &Value) -> Cow<'_, str> {
    match string(part, "type") {
        Some("content") => block(part.get("content").unwrap_or(&Value::Null)),
        Some("diff") => diff(part).into(),
        Some("terminal") => format!("[terminal {}]", string(part, "terminalId").unwrap_or("?")).into(),
        _ => part.to_string().into(),
    }
}

/// A change of a file: the lines that were there and are there now, without those at the beginning and the end that are the same.
fn diff(part: &Value) -> String {
    let lines = |field: &str| -> Vec<&str> { string(part, field).unwrap_or_default().lines().collect() };
    let (old, new) = (lines("oldText"), lines("newText"));
    let same_first = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[same_first..], &new[same_first..]);
    let pairs = old.iter().rev().zip(new.iter().rev());
    let same_last = pairs.take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[..old.len() - same_last], &new[..new.len() - same_last]);
    let head = format!(
        "{} (line {}: {} removed, {} added)",
        string(part, "path").unwrap_or("?"),
        same_first + 1,
        old.len(),
        new.len()
    );
    let removed = old.iter().map(|line| format!("- {line}"));
    let added = new.iter().map(|line| format!("+ {line}"));
    let lines = std::iter::once(head).chain(removed).chain(added);
    lines.collect::<Vec<_>>().join("\n")
}

/// A value as text: a text is itself, and everything else JSON.
pub(super) fn value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
