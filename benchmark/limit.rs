//! The limit: the same inserts as `side.mts insert`, from Rust alone, without Node. `run.mts` starts it.
//!
//! `limit FILE SESSIONS SECONDS full|normal` prints `{"perSecond":...}`.

use std::sync::{Arc, mpsc};
use std::time::Instant;

use sandbox_agent_persist::store::cap::Caps;
use sandbox_agent_persist::store::sqlite::{Durability, Location, SqliteOptions, SqliteStore, Tables, Target};
use sandbox_agent_persist::store::tables::TablePrefix;
use sandbox_agent_persist::store::write::{RowRequest, WriteRequest};
use sandbox_agent_persist::store::{IndexConflict, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo test --benches` and `cargo bench` without arguments have nothing to measure.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [filename, sessions, seconds, durability] = &arguments[..] else {
        eprintln!("usage: limit FILE SESSIONS SECONDS full|normal");
        return Ok(());
    };
    let sessions: usize = sessions.parse()?;
    let seconds: f64 = seconds.parse()?;
    let options = SqliteOptions {
        target: Target {
            durability: match &**durability {
                "normal" => Durability::Normal,
                _ => Durability::Full,
            },
            ..Target::new(Location::parse(filename)?)
        },
        tables: Tables::with_prefix(&TablePrefix::default()),
        index_conflict: IndexConflict::Reassign,
        caps: Caps::default(),
    };
    let (answered, answers) = mpsc::channel();
    let deliver = move |completions| {
        // The receiver is gone once the time is up.
        let _ = answered.send(completions);
    };
    let store = SqliteStore::open(options, Arc::new(deliver))?;

    let mut indexes = vec![0_u64; sessions];
    let mut total = 0_u64;
    let start = Instant::now();
    store.write((0..sessions).map(|session| next_event(&mut indexes, session)).collect());
    while start.elapsed().as_secs_f64() < seconds {
        let mut writes = Vec::new();
        for (session, result) in answers.recv()? {
            result?;
            total += 1;
            writes.push(next_event(&mut indexes, session));
        }
        // What a store delivers may be no answer at all; to answer that with no write would go on for ever.
        if !writes.is_empty() {
            store.write(writes);
        }
    }
    #[allow(clippy::cast_precision_loss)] // far fewer events than an f64 counts exactly
    let per_second = total as f64 / start.elapsed().as_secs_f64();
    println!("{{\"perSecond\":{per_second}}}");
    Ok(())
}

/// The session's next event, of the same size as those of `side.mts`.
fn next_event(indexes: &mut [u64], session: usize) -> (WriteRequest, usize) {
    indexes[session] += 1;
    let index = indexes[session];
    // Session ids are random in the field: neighbours in time are not neighbours in the index.
    let scattered = (session as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let session_id = format!("{scattered:016x}-4bf5-a2d6-2e6a9e9d3c11");
    let event = format!(
        r#"{{"id":"{index:012x}-7a25-4bf5-a2d6-{session:012x}","eventIndex":{index},"sessionId":"{session_id}","createdAt":1763900000000,"connectionId":"0d4cf2ad-7a25-4bf5-a2d6-2e6a9e9d3c11","sender":"agent","payload":{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":"agent-session-17","update":{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"chunk {index}: the quick brown fox jumps over the lazy dog, again"}}}}}}}}}}"#
    );
    (RowRequest::InsertEvent { session_id, event }.into(), session)
}
