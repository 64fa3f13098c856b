//! Compares what the source has with what the target has, event by event, and says what of it is to be loaded.

use super::Known;
use super::checksum::{self, SessionSum};
use super::difference::{Difference, index_of};
use super::packs::{Pack, Piece, PieceEnd};
use super::source::SourceSession;
use super::store::heads;
use super::target::Target;
use crate::store::error::StoreError;
use crate::store::jobs::{Calls, Ended};
use crate::store::labels::LabelChanges;
use crate::store::load::{SessionEnd, SessionPart};
use crate::store::scan::Head;

/// Goes through the sessions of the source.
#[derive(Debug)]
pub(super) struct Comparison {
    known: Known,
    target: Target,
    current: Option<Current>,
}

/// The session that is compared, which may go through several packs.
#[derive(Debug)]
struct Current {
    session: SourceSession,
    standing: Standing,
    sum: checksum::Events,
    /// How many events the source has of it so far.
    events: u64,
    /// The index of the last of them.
    last_index: Option<i64>,
    stored: Stored,
}

/// How a session of the target stands to the source's, as far as it was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has the same events.
    Same,
    /// It had the same, and then no more: the others are loaded. New is one of which it had nothing.
    Beyond { is_new: bool },
    /// It is left as it is, and was told of.
    Different,
}

/// What is stored of a session that was not there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stored {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

/// What comes of the piece of a session.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) session_id: String,
    /// What is to be loaded of it.
    pub(super) load: Option<Load>,
    /// How it ends, where it does.
    pub(super) end: Option<End>,
}

/// What is to be loaded of a piece.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) part: SessionPart,
    /// Where these are the first events to be loaded of their session: those before them, which the target has.
    pub(super) before: Option<checksum::Events>,
    /// The index before the first event.
    pub(super) after: i64,
    /// Whether the target had nothing of the session before this copy.
    pub(super) is_new: bool,
}

/// How the comparison of a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// Once all is loaded, the target has the same.
    Same {
        sum: SessionSum,
        events: u64,
        stored: Stored,
    },
    /// It is left as it is.
    Different(Difference),
}

impl Comparison {
    pub(super) fn new(known: Known) -> Self {
        Self {
            known,
            target: Target::default(),
            current: None,
        }
    }

    /// Compares the sessions of a pack.
    pub(super) fn compare<P>(&mut self, store: &dyn Calls<P>, pack: Pack) -> Result<Vec<Compared>, Ended> {
        let ids: Vec<String> = pack.pieces.iter().filter_map(Piece::begun).map(str::to_owned).collect();
        let mut others = ids.iter().map(|id| (id.as_str(), i64::MIN));
        let mut all = Vec::with_capacity(pack.pieces.len());
        // Those with the same events, by their place among all.
        let mut same = Vec::new();
        for Piece { begins, events, end } in pack.pieces {
            let current = match begins {
                Some(session) => {
                    others.next();
                    Some(Current::of(session))
                }
                None => self.current.take(),
            };
            let Some(mut current) = current else {
                return Err(StoreError::internal("a source went on with no session").into());
            };
            let mut compared = current.go_on(&mut self.target, store, events, &others)?;
            match end {
                None => self.current = Some(current),
                Some(PieceEnd::Changed) => {
                    self.target.forget(&current.session.id);
                    if current.standing != Standing::Different {
                        compared.end = Some(End::Different(Difference::changed_in_source(current.session.id)));
                    }
                }
                Some(PieceEnd::Whole) => {
                    let is_more = current.standing == Standing::Same
                        && self
                            .target
                            .next(store, (&current.session.id, i64::MIN), others.clone())?
                            .is_some();
                    self.target.forget(&current.session.id);
                    if let Some(session) = current.end(is_more, &mut compared) {
                        same.push((all.len(), session));
                    }
                }
            }
            all.push(compared);
        }
        self.compare_heads(store, same, &mut all)?;
        Ok(all)
    }

    /// Of sessions with the same events, looks at their records and labels.
    fn compare_heads<P>(
        &self,
        store: &dyn Calls<P>,
        same: Vec<(usize, SourceSession)>,
        compared: &mut [Compared],
    ) -> Result<(), Ended> {
        let ids: Vec<String> = same.iter().map(|(_, session)| session.id.clone()).collect();
        let found = heads(store, &ids)?;
        for ((place, session), found) in same.into_iter().zip(found) {
            let Some(compared) = compared.get_mut(place) else {
                continue;
            };
            if is_as(&found, &session) {
                continue;
            }
            if self.known == Known::Kept && found.record.is_some() {
                compared.end = Some(End::Different(Difference::other_record(session.id)));
                continue;
            }
            match end_of(session) {
                Ok((session_id, end)) => {
                    compared.load = Some(Load::of(SessionPart {
                        session_id,
                        follows: None,
                        events: Vec::new(),
                        end: Some(end),
                    }));
                }
                Err(difference) => compared.end = Some(End::Different(difference)),
            }
        }
        Ok(())
    }
}

/// Whether a session has the record and the labels of the source. It may have other labels beside.
fn is_as(found: &Head, session: &SourceSession) -> bool {
    let has = |(name, value): (&String, &String)| found.labels.get(name) == Some(value);
    (session.record.is_none() || session.record == found.record) && session.labels.iter().all(has)
}

/// What makes a session whole.
fn end_of(session: SourceSession) -> Result<(String, SessionEnd), Difference> {
    let mut labels = LabelChanges::default();
    for (name, value) in session.labels {
        if let Err(error) = labels.push(name, Some(value)) {
            return Err(Difference::refused(&session.id, &error));
        }
    }
    let end = SessionEnd {
        record: session.record,
        labels,
    };
    Ok((session.id, end))
}

impl End {
    /// What it is once the events that were loaded were read back as these.
    pub(super) fn after_reading_back(self, session_id: &str, read_back: Option<checksum::Events>) -> Self {
        match (&self, read_back.map(checksum::Events::sum)) {
            (Self::Same { sum, .. }, Some(read_back)) if read_back != *sum => {
                Self::Different(Difference::changed_meanwhile(session_id))
            }
            _ => self,
        }
    }
}

impl Current {
    fn of(session: SourceSession) -> Self {
        Self {
            session,
            standing: Standing::Same,
            sum: checksum::Events::default(),
            events: 0,
            last_index: None,
            stored: Stored::default(),
        }
    }

    /// Compares the next events; the others are sessions that come next.
    fn go_on<'a, P>(
        &mut self,
        target: &mut Target,
        store: &dyn Calls<P>,
        mut events: Vec<String>,
        others: &(impl Iterator<Item = (&'a str, i64)> + Clone),
    ) -> Result<Compared, Ended> {
        let mut compared = Compared {
            session_id: self.session.id.clone(),
            load: None,
            end: None,
        };
        let (mut same, mut before) = (0, None);
        while self.standing == Standing::Same {
            let Some(event) = events.get(same) else { break };
            match target.next(store, (&self.session.id, i64::MIN), others.clone())? {
                Some(stored) if stored == *event => {
                    self.sum.push(event);
                    self.events += 1;
                    same += 1;
                }
                Some(_) => {
                    self.standing = Standing::Different;
                    compared.end = Some(End::Different(Difference::other_event(&self.session.id, event)));
                }
                None => {
                    self.standing = Standing::Beyond {
                        is_new: self.events == 0,
                    };
                    before = Some(self.sum.clone());
                }
            }
        }
        let more = events.split_off(same);
        let last_index = |events: &[String]| events.last().and_then(|event| index_of(&self.session.id, event));
        let follows = last_index(&events).or(self.last_index);
        self.last_index = last_index(&more).or(follows);
        let (Standing::Beyond { is_new }, Some(first)) = (self.standing, more.first()) else {
            return Ok(compared);
        };
        let after = index_of(&self.session.id, first).map_or(i64::MIN, |index| index.saturating_sub(1));
        for event in &more {
            self.sum.push(event);
            self.stored.bytes += event.len() as u64;
        }
        self.events += more.len() as u64;
        self.stored.events += more.len() as u64;
        compared.load = Some(Load {
            before,
            after,
            is_new,
            ..Load::of(SessionPart {
                session_id: self.session.id.clone(),
                follows,
                events: more,
                end: None,
            })
        });
        Ok(compared)
    }

    /// The source has no more of it; the target may have. Gives back the session whose events are all the same.
    fn end(self, is_more: bool, compared: &mut Compared) -> Option<SourceSession> {
        if self.standing == Standing::Different {
            return None;
        }
        if is_more {
            compared.end = Some(End::Different(Difference::has_more(self.session.id)));
            return None;
        }
        compared.end = Some(End::Same {
            sum: self.sum.sum(),
            events: self.events,
            stored: self.stored,
        });
        if self.standing == Standing::Same {
            return Some(self.session);
        }
        match end_of(self.session) {
            Ok((session_id, end)) => {
                let nothing = || {
                    Load::of(SessionPart {
                        session_id,
                        follows: None,
                        events: Vec::new(),
                        end: None,
                    })
                };
                compared.load.get_or_insert_with(nothing).part.end = Some(end);
            }
            Err(difference) => {
                compared.load = None;
                compared.end = Some(End::Different(difference));
            }
        }
        None
    }
}

impl Load {
    fn of(part: SessionPart) -> Self {
        Self {
            part,
            before: None,
            after: i64::MAX,
            is_new: false,
        }
    }
}
