//! Which payloads are joined, and that joining loses nothing: for made-up ones, and for random sessions.

use std::collections::HashSet;

use super::chunk::Chunk;
use super::*;

const NOW: i64 = 1_700_000_000_000;

fn chunk(text: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":"s","n":1e400,"update":{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"{text}"}}}}}}}}"#
    )
}

#[test]
fn a_chunk_is_split_at_its_text() {
    let payload = chunk(r"a\u0000\ud83d");
    let Chunk { before, text, after } = Chunk::read(&payload).unwrap();
    assert_eq!(text, r"a\u0000\ud83d");
    assert_eq!([before, text, after].concat(), payload);
    assert!(before.ends_with(r#""text":""#));
    assert!(after.starts_with(r#""}"#));
    let spaced = payload.replace(':', " : ").replace("method", r"m\u0065thod");
    assert_eq!(Chunk::read(&spaced).unwrap().text, text);
}

#[test]
fn what_is_no_chunk_or_says_something_twice_is_none() {
    let of = |from: &str, to: &str| {
        let payload = chunk("a");
        assert!(payload.contains(from), "{from}");
        payload.replace(from, to)
    };
    for payload in [
        of("session/update", "session/other"),
        of("agent_message_chunk", "tool_call"),
        of(r#""type":"text""#, r#""type":"image""#),
        of(r#""text":"a""#, r#""text":1"#),
        of(r#""text":"a""#, r#""other":"a""#),
        of(r#"{"jsonrpc""#, r#"{"id":null,"jsonrpc""#),
        of(r#"{"jsonrpc""#, r#"{"method":"session/update","jsonrpc""#),
        of(r#"{"jsonrpc""#, r#"{"params":{},"jsonrpc""#),
        of(r#"{"sessionUpdate""#, r#"{"content":{},"sessionUpdate""#),
        of(r#"{"type""#, r#"{"text":"a","type""#),
        of(r#""content":{"#, r#""content":[{"#).replace("}}}}", "}]}}}"),
        of("}}}}", "}}}}}"),
        of("}}}}", "}}}"),
        String::from("null"),
        String::new(),
    ] {
        assert_eq!(Chunk::read(&payload), None, "{payload}");
    }
    let payload = chunk("a");
    let Chunk { before, after, .. } = Chunk::read(&payload).unwrap();
    for (text, is_one) in [("b", true), (r"\n", true), (r#"b","text":"c"#, false), (r"\", false)] {
        let payload = [before, text, after].concat();
        let found = Chunk::read_like(&payload, before, after);
        assert_eq!(found.map(|chunk| chunk.text), is_one.then_some(text), "{payload}");
    }
}

/// An event of a made-up session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    index: i64,
    created_at: i64,
    sender: &'static str,
    connection_id: &'static str,
    payload: String,
    extra: Option<&'static str>,
}

impl Event {
    fn row(&self) -> Row<'_> {
        Row {
            index: self.index,
            created_at: Some(self.created_at),
            sender: self.sender,
            connection_id: self.connection_id,
            payload: Some(&self.payload),
            extra: self.extra,
        }
    }
}

/// Random numbers that are the same each time (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn of<V: Copy>(&mut self, values: &[V]) -> V {
        values[self.below(values.len())]
    }

    /// Mostly the first.
    fn mostly<V: Copy>(&mut self, values: &[V]) -> V {
        if self.below(8) > 0 { values[0] } else { self.of(values) }
    }

    fn session(&mut self) -> Vec<Event> {
        let mut index = 0;
        let events = (0..self.below(60)).map(|_| {
            index += self.mostly(&[1, 2, 900]);
            let text = self.of(&[
                "a", "", "é", r"\u0000", r"\ud83d", r"\ude00", r#"\""#, r"\\", "\u{2028}", r"\n",
            ]);
            let kind = self.mostly(&["agent_message_chunk", "agent_thought_chunk", "plan"]);
            let number = self.mostly(&["1e400", "1.0", "1"]);
            Event {
                index,
                created_at: self.mostly(&[NOW - 100_000, NOW - 1_000]),
                sender: self.mostly(&["agent", "client"]),
                connection_id: self.mostly(&["c1", "c2"]),
                payload: chunk(text)
                    .replace("agent_message_chunk", kind)
                    .replace("1e400", number),
                extra: self.mostly(&[None, Some("{}"), Some(r#"{"a":1}"#)]),
            }
        });
        events.collect()
    }
}

/// Does what a backend does with a session, in steps of so many events.
fn compact(events: &mut Vec<Event>, step: usize) -> u64 {
    let mut from = i64::MIN;
    let mut removed = 0;
    loop {
        let mut joiner = Joiner::new(NOW, 0);
        let rows: Vec<Event> = events
            .iter()
            .filter(|event| event.index >= from)
            .take(step)
            .cloned()
            .collect();
        let mut runs: Vec<Run> = rows.iter().filter_map(|event| joiner.push(&event.row())).collect();
        let (last, open) = joiner.finish();
        runs.extend(last);
        for run in runs {
            removed += run.removed;
            events.retain(|event| event.index < run.first || event.index >= run.last);
            events.iter_mut().find(|event| event.index == run.last).unwrap().payload = run.payload;
        }
        match rows.last() {
            Some(last) if rows.len() == step => {
                from = open.map_or(last.index + 1, |open| open.last);
            }
            _ => return removed,
        }
    }
}

/// The texts of a session, and what they belong to: what a reader makes of it.
fn transcript(events: &[Event]) -> Vec<(String, String)> {
    let mut said: Vec<(String, String)> = Vec::new();
    for event in events {
        let Some(chunk) = Chunk::read(&event.payload) else {
            said.push((event.payload.clone(), String::new()));
            continue;
        };
        let frame = format!(
            "{} {} {} {} {:?}",
            chunk.before, chunk.after, event.sender, event.connection_id, event.extra
        );
        match said.last_mut() {
            Some((last, text)) if *last == frame => text.push_str(chunk.text),
            _ => said.push((frame, chunk.text.to_owned())),
        }
    }
    said
}

#[test]
fn random_sessions_say_the_same_before_and_after_in_steps_of_any_size() {
    let mut random = Random(88_172_645_463_325_252);
    for _ in 0..1_000 {
        let before = random.session();
        let mut at_once = before.clone();
        let removed = compact(&mut at_once, usize::MAX);
        assert_eq!(transcript(&at_once), transcript(&before));
        assert_eq!(
            at_once.last().map(|event| event.index),
            before.last().map(|event| event.index)
        );
        assert_eq!(at_once.len() as u64 + removed, before.len() as u64);
        // What stays keeps its place and time, and everything but its text.
        for event in &at_once {
            let original = before.iter().find(|original| original.index == event.index).unwrap();
            let same = Event {
                payload: event.payload.clone(),
                ..original.clone()
            };
            assert_eq!(*event, same);
        }
        let mut in_steps = before.clone();
        assert_eq!(compact(&mut in_steps, 2 + random.below(9)), removed);
        assert_eq!(in_steps, at_once);
        assert_eq!(compact(&mut in_steps, usize::MAX), 0);
        assert_eq!(in_steps, at_once);
    }
}

#[test]
fn a_joined_text_is_bounded_however_it_is_read() {
    let events: Vec<Event> = (0..40)
        .map(|index| Event {
            index,
            created_at: NOW,
            sender: "agent",
            connection_id: "c",
            payload: chunk(&"x".repeat(if index == 30 { MAX_TEXT_BYTES + 1 } else { 100_000 })),
            extra: None,
        })
        .collect();
    let mut at_once = events.clone();
    compact(&mut at_once, usize::MAX);
    let texts = |events: &[Event]| -> Vec<usize> {
        events
            .iter()
            .map(|event| Chunk::read(&event.payload).unwrap().text.len())
            .collect()
    };
    assert_eq!(
        texts(&at_once),
        [1_000_000, 1_000_000, 1_000_000, MAX_TEXT_BYTES + 1, 900_000]
    );
    let mut in_steps = events;
    compact(&mut in_steps, 7);
    assert_eq!(in_steps, at_once);
}

#[test]
fn what_goes_on_counts_the_text_that_is_not_stored() {
    let payload = chunk("0123456789");
    let row = |index| Row {
        index,
        created_at: None,
        sender: "agent",
        connection_id: "c",
        payload: Some(&payload),
        extra: None,
    };
    let mut joiner = Joiner::new(NOW, MAX_TEXT_BYTES - 25);
    assert_eq!(
        [1, 2, 3].map(|index| joiner.push(&row(index)).map(|run| run.last)),
        [None, None, Some(2)]
    );
    let (_, open) = joiner.finish();
    assert_eq!(
        open,
        Some(OpenRun {
            last: 3,
            earlier_bytes: 0
        })
    );
}

/// Where the last turn that is over ends, of messages in their order.
fn end_of(messages: &[(&str, &str, &str)]) -> Option<i64> {
    let mut search = TurnSearch::default();
    let mut seen = HashSet::new();
    for (position, (sender, connection, payload)) in messages.iter().enumerate().rev() {
        let index = i64::try_from(position).unwrap();
        assert!(seen.insert(index));
        let message = Message::read(index, &format!("e{index}"), sender, connection, payload);
        if let Some((index, id)) = message.and_then(|message| search.push(message)) {
            assert_eq!(id, format!("e{index}"));
            return Some(index);
        }
    }
    None
}

#[test]
fn the_last_turn_that_is_over_ends_at_the_answer_to_its_prompt() {
    let prompt = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"session/prompt","params":{{}}}}"#);
    let answer = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"method":"x"}}}}"#);
    let (p1, p2, p3) = (prompt("1"), prompt("2"), prompt("\"3\""));
    let (a1, a2, a3) = (answer("1"), answer("2"), answer("\"3\""));
    let failed = r#"{"jsonrpc":"2.0","id":1,"error":{}}"#;
    let other = r#"{"jsonrpc":"2.0","method":"session/update","params":{}}"#;
    let ask = r#"{"jsonrpc":"2.0","id":1,"method":"session/request_permission"}"#;
    let client = |payload| ("client", "c", payload);
    let agent = |payload| ("agent", "c", payload);
    for (messages, end) in [
        (vec![], None),
        (vec![client(&*p1), agent(other)], None),
        (vec![client(&p1), agent(other), agent(&a1)], Some(2)),
        (vec![client(&p1), agent(failed), agent(other)], Some(1)),
        // Another turn has begun, and one that was cut off has not.
        (vec![client(&p1), agent(&a1), client(&p2), agent(other)], Some(1)),
        (vec![client(&p1), agent(other), client(&p3), agent(&a3)], Some(3)),
        (
            vec![client(&p1), agent(&a1), client(&p2), client(&p3), agent(other)],
            Some(1),
        ),
        // What answers another question, another connection's, or comes from the client ends no turn.
        (vec![client(&p1), agent(&a2)], None),
        (vec![client(&p1), ("agent", "c2", &*a1)], None),
        (vec![client(&p1), client(&a1)], None),
        (vec![client(&p1), agent(ask), client(&a1)], None),
        (vec![agent(&a1), client(&p1)], None),
        // The same number again, on the next connection.
        (vec![client(&p1), agent(&a1), ("client", "c2", &p1)], Some(1)),
        // An answer that comes within a later turn does not end that one.
        (vec![client(&p1), client(&p2), agent(&a1)], None),
        (vec![client(&p1), client(&p2), agent(&a1), agent(&a2)], Some(3)),
        (vec![client("{"), client("null"), agent("")], None),
    ] {
        assert_eq!(end_of(&messages), end, "{messages:?}");
    }
}
