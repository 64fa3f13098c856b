//! Reads a file line by line, and says of each whether it is as it must be. After most problems the next lines can be read.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::BufRead;
use std::mem;

use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use super::format::{self, EVENT, Line, SessionEnd, SessionLine, Total, hexadecimal};
use super::input::Unreadable;
use super::lines::{LineBound, Lines, NextLine};
use super::problem::{Problem, WrongLine};
use crate::store::jobs::copy::SourceSession;
use crate::store::labels;
use crate::store::model::{SessionEvent, SessionRecord};

/// See the module's description.
pub(super) struct Reader {
    lines: Lines<Box<dyn BufRead + Send>>,
    place: Place,
    seen: Seen,
    total: Total,
    /// Whether all lines so far are as they must be. Else counts and checksums would be wrong for that reason alone.
    is_sound: bool,
}

/// What a line is.
pub(super) enum Entry<'a> {
    /// A session begins.
    Session(SourceSession),
    /// One of its events.
    Event(SessionEvent<'a>),
    /// It is over.
    SessionEnd,
    /// The first line of the file, or its last.
    Frame,
}

/// Where the next line stands.
enum Place {
    /// It is the first.
    Start,
    /// No session is open.
    Between,
    /// One is.
    Inside(OpenSession),
    /// One may be whose first line was wrong: nothing can be said of the others.
    InsideUnknown,
    /// The sessions are over.
    AfterEnd,
    /// It does not matter.
    Over,
}

struct OpenSession {
    id: String,
    events: u64,
    last_index: Option<i64>,
    digest: Sha256,
    is_sound: bool,
}

/// The sessions so far: a hash of the id of each, which takes the same memory however long the ids are. Two that have the same by
/// chance are as good as none, with keys that nobody knows.
#[derive(Default)]
struct Seen {
    hashes: HashSet<u64>,
    keys: RandomState,
}

impl Reader {
    pub(super) fn of(file: Box<dyn BufRead + Send>, bound: LineBound) -> Self {
        Self {
            lines: Lines::new(file, bound),
            place: Place::Start,
            seen: Seen::default(),
            total: Total::default(),
            is_sound: true,
        }
    }

    /// How much there was so far.
    pub(super) fn total(&self) -> Total {
        self.total
    }

    /// Whether the next line is of an event. It is not read.
    pub(super) fn is_at_event(&mut self) -> Result<bool, WrongLine> {
        let number = self.lines.next_number();
        let is_at_event = self.lines.next_begins_with(EVENT.0);
        is_at_event.map_err(|error| WrongLine {
            number,
            problem: Unreadable::from(error).into(),
        })
    }

    /// Frees the memory of the last line, where that takes much.
    pub(super) fn let_go(&mut self) {
        self.lines.let_go();
    }

    /// The next line. After a wrong one the lines that follow can be read, as far as that makes sense: then there are none.
    pub(super) fn next(&mut self) -> Result<Option<Entry<'_>>, WrongLine> {
        if matches!(self.place, Place::Over) {
            return Ok(None);
        }
        let mut sessions = Sessions {
            place: &mut self.place,
            seen: &mut self.seen,
            total: &mut self.total,
            is_sound: self.is_sound,
        };
        let number = self.lines.next_number();
        let next = self.lines.next();
        let judged = next
            .map_err(|error| Problem::from(Unreadable::from(error)))
            .and_then(|line| sessions.judge(&line));
        judged.map_err(|problem| {
            self.is_sound = false;
            match &mut self.place {
                Place::Inside(session) => session.is_sound = false,
                place @ Place::Between => *place = Place::InsideUnknown,
                _ => {}
            }
            if problem.ends_reading() {
                self.place = Place::Over;
            }
            WrongLine { number, problem }
        })
    }
}

/// The sessions so far, which say what the next line may be.
struct Sessions<'a> {
    place: &'a mut Place,
    seen: &'a mut Seen,
    total: &'a mut Total,
    is_sound: bool,
}

impl Sessions<'_> {
    fn judge<'a>(&mut self, line: &NextLine<'a>) -> Result<Option<Entry<'a>>, Problem> {
        let line = match line {
            NextLine::Line(line) => *line,
            NextLine::TooLong { bound } => return Err(Problem::TooLong { bound: *bound }),
            NextLine::None => {
                return match mem::replace(self.place, Place::Over) {
                    Place::AfterEnd => Ok(None),
                    _ => Err(Problem::CutOff),
                };
            }
        };
        let text = std::str::from_utf8(line).map_err(|error| Problem::NotUtf8(error.valid_up_to() + 1));
        if matches!(self.place, Place::Start) {
            format::check_header(text.unwrap_or_default())?;
            *self.place = Place::Between;
            return Ok(Some(Entry::Frame));
        }
        if matches!(self.place, Place::AfterEnd) {
            return Err(Problem::AfterEnd);
        }
        let text = text?;
        let line = format::parse(text)?;
        let entry = match line {
            Line::Event(_) | Line::SessionEnd(_) if matches!(self.place, Place::InsideUnknown) => {
                if matches!(line, Line::SessionEnd(_)) {
                    *self.place = Place::Between;
                }
                Entry::Frame
            }
            Line::Event(event) => Entry::Event(self.event(event)?),
            Line::Session(session) => Entry::Session(self.session(session, text)?),
            Line::SessionEnd(end) => {
                self.session_end(&end)?;
                Entry::SessionEnd
            }
            Line::End(total) => {
                self.end(total)?;
                Entry::Frame
            }
        };
        Ok(Some(entry))
    }

    fn session(&mut self, line: SessionLine<'_>, text: &str) -> Result<SourceSession, Problem> {
        let before = mem::replace(self.place, Place::InsideUnknown);
        let session = source_session(line)?;
        let is_new = self.seen.add(&session.id);
        *self.place = Place::Inside(OpenSession::new(session.id.clone(), text));
        self.total.sessions += 1;
        if let Place::Inside(open) = before {
            return Err(Problem::SessionWithoutEnd(open.id));
        }
        if !is_new {
            return Err(Problem::SessionTwice(session.id));
        }
        Ok(session)
    }

    fn event<'a>(&mut self, text: &'a str) -> Result<SessionEvent<'a>, Problem> {
        let Place::Inside(session) = self.place else {
            return Err(Problem::EventOutside);
        };
        session.events += 1;
        self.total.events += 1;
        session.digest.update(EVENT.0);
        session.digest.update(text);
        session.digest.update(EVENT.1);
        session.digest.update("\n");
        let event = SessionEvent::parse(&session.id, text).map_err(|error| {
            // Of what is no JSON at all that is worth saying.
            match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => Problem::Refused(error),
                Err(syntax) => Problem::NotJson {
                    column: EVENT.0.len() + syntax.column(),
                },
            }
        })?;
        let index = event.event_index;
        match session.last_index.replace(index) {
            Some(before) if before == index => Err(Problem::PlaceTwice(index)),
            Some(before) if before > index => {
                session.last_index = Some(before);
                Err(Problem::OutOfOrder { before, index })
            }
            _ => Ok(event),
        }
    }

    fn session_end(&mut self, end: &SessionEnd<'_>) -> Result<(), Problem> {
        let Place::Inside(open) = mem::replace(self.place, Place::Between) else {
            return Err(Problem::EndOutside(end.session.to_string()));
        };
        let OpenSession { id, events, .. } = open;
        if id != end.session {
            let found = end.session.to_string();
            return Err(Problem::OtherEnd { open: id, found });
        }
        if !open.is_sound {
            return Ok(());
        }
        if events != end.events {
            let (wanted, found) = (end.events, events);
            return Err(Problem::OtherCount { id, wanted, found });
        }
        if hexadecimal(&open.digest.finalize()) != end.sha256 {
            return Err(Problem::OtherChecksum(id));
        }
        Ok(())
    }

    fn end(&mut self, wanted: Total) -> Result<(), Problem> {
        if let Place::Inside(open) = mem::replace(self.place, Place::AfterEnd) {
            return Err(Problem::SessionWithoutEnd(open.id));
        }
        let counts = [
            ("sessions", wanted.sessions, self.total.sessions),
            ("events", wanted.events, self.total.events),
        ];
        match counts.into_iter().find(|(_, wanted, found)| wanted != found) {
            Some((what, wanted, found)) if self.is_sound => Err(Problem::OtherTotal { what, wanted, found }),
            _ => Ok(()),
        }
    }
}

impl OpenSession {
    fn new(id: String, line: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(line);
        digest.update("\n");
        Self {
            id,
            events: 0,
            last_index: None,
            digest,
            is_sound: true,
        }
    }
}

impl Seen {
    /// Whether it was not there before.
    fn add(&mut self, id: &str) -> bool {
        self.hashes.insert(self.keys.hash_one(id))
    }
}

fn source_session(line: SessionLine<'_>) -> Result<SourceSession, Problem> {
    let SessionLine { session, id, labels } = line;
    let count = i64::try_from(labels.len()).unwrap_or(i64::MAX);
    let session = match (session.get(), id) {
        ("null", Some(id)) if labels.is_empty() => SourceSession {
            id: id.into_owned(),
            ..SourceSession::default()
        },
        ("null", _) | (_, Some(_)) => return Err(Problem::NoSession),
        (record, None) => {
            let record = SessionRecord::parse(record).map_err(Problem::Refused)?;
            let mut text = String::new();
            record.write_json(&mut text);
            SourceSession {
                id: record.id.into_owned(),
                record: Some(text),
                labels,
            }
        }
    };
    for (name, value) in &session.labels {
        labels::check(name, Some(value)).map_err(Problem::Refused)?;
    }
    labels::check_count(&session.id, 0, count).map_err(Problem::Refused)?;
    Ok(session)
}
