//! Reads what a list call asks for, which rows, in which order, and which page of them; and what is followed.

use napi::ValueType;
use napi::bindgen_prelude::Unknown;

use super::arguments::{self, wrong};
use super::error::Failure;
use super::fields::Fields;
use super::labels;
use crate::store::ReadRequest;
use crate::store::follow::BEFORE_ALL;
use crate::store::list::{EventFilter, EventList, List, ListRequest, Order, Sender, SessionFilter, SessionList};
use crate::store::page::{self, DEFAULT_LIMIT, PageSize};

/// What messages call the argument.
const REQUEST: &str = "request";

const EVENT_FIELDS: [&str; 8] = [
    "sessionId",
    "cursor",
    "limit",
    "order",
    "afterIndex",
    "beforeIndex",
    "sender",
    "method",
];

const SESSION_FIELDS: [&str; 9] = [
    "cursor",
    "limit",
    "order",
    "agent",
    "sandboxId",
    "destroyed",
    "createdAfter",
    "createdBefore",
    "labels",
];

/// The signal is read in `lib/tail.ts`.
const FOLLOW_FIELDS: [&str; 3] = ["sessionId", "afterIndex", "signal"];

/// The argument of `tailEvents`: the session, and the index that its events come after.
pub(super) fn follow(request: Unknown<'_>) -> Result<(String, i64), Failure> {
    let fields = Fields::of(REQUEST, Some(request))?;
    let session_id = fields.required_string("sessionId")?;
    let after = fields.safe_integer("afterIndex")?;
    fields.only(&FOLLOW_FIELDS, "tailEvents")?;
    Ok((session_id, after.unwrap_or(BEFORE_ALL)))
}

/// The argument of `listEvents`.
pub(super) fn events(request: Unknown<'_>) -> Result<ReadRequest, Failure> {
    let fields = Fields::of(REQUEST, Some(request))?;
    let list = EventList {
        session_id: fields.required_string("sessionId")?,
        filter: EventFilter {
            after_index: fields.safe_integer("afterIndex")?,
            before_index: fields.safe_integer("beforeIndex")?,
            sender: fields.choice(
                "sender",
                &[Sender::Client, Sender::Agent].map(|sender| (sender.name(), sender)),
            )?,
            method: fields.string("method")?,
        },
        order: order(&fields)?,
    };
    let request = page_of(&fields, list)?;
    fields.only(&EVENT_FIELDS, "listEvents")?;
    Ok(ReadRequest::ListEvents(request))
}

/// The argument of `listSessions`.
pub(super) fn sessions(request: Option<Unknown<'_>>) -> Result<ReadRequest, Failure> {
    let fields = Fields::of(REQUEST, request)?;
    let list = SessionList {
        filter: SessionFilter {
            agent: fields.string("agent")?,
            sandbox_id: fields.string("sandboxId")?,
            destroyed: fields.boolean("destroyed")?,
            created_after: fields.safe_integer("createdAfter")?,
            created_before: fields.safe_integer("createdBefore")?,
            labels: fields
                .given("labels")?
                .map(|labels| labels::wanted(&fields.name("labels"), labels))
                .transpose()?
                .unwrap_or_default(),
        },
        order: order(&fields)?,
    };
    let request = page_of(&fields, list)?;
    fields.only(&SESSION_FIELDS, "listSessions")?;
    Ok(ReadRequest::ListSessions(request))
}

fn order(fields: &Fields<'_>) -> Result<Order, Failure> {
    let orders = [Order::Ascending, Order::Descending].map(|order| (order.name(), order));
    Ok(fields.choice("order", &orders)?.unwrap_or_default())
}

/// The page of a list that `cursor` and `limit` name. Of these two `null` is taken as left out too.
fn page_of<L: List>(fields: &Fields<'_>, list: L) -> Result<ListRequest<L>, Failure> {
    let given = |name| {
        let value = fields.given(name)?;
        Ok::<_, Failure>(value.filter(|value| !matches!(value.get_type(), Ok(ValueType::Null))))
    };
    let cursor = given("cursor")?
        .map(|value| arguments::string(&fields.name("cursor"), value))
        .transpose()?;
    let limit = match given("limit")? {
        Some(value) => {
            let number: f64 = arguments::read(&value, ValueType::Number)
                .ok_or_else(|| wrong(&fields.name("limit"), "a number", &value))?;
            page::limit(number)
        }
        None => DEFAULT_LIMIT,
    };
    Ok(ListRequest::new(list, cursor.as_deref(), PageSize::items(limit))?)
}
