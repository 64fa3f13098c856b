//! What a check tells: one thing that its reader should know, and what to do about it.

use serde::Serialize;

/// How many sessions a finding names.
pub const MOST_SESSIONS: usize = 20;

/// One thing that a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What kind of thing it is.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// The table that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Sessions that it is about, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub session_ids: Vec<String>,
    /// How many of them there are: events, sessions, or problems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is damaged, or what was acknowledged may be lost.
    Error,
    /// It works, and somebody should see to it.
    Warning,
    /// It may be meant to be so.
    Info,
}

/// What kind of thing a finding is. `lib/findings.ts` says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // each is documented for users in lib/findings.ts
pub enum Code {
    Damaged,
    UnreadableEvents,
    UnreadableSessions,
    EventsWithoutSession,
    SessionsWithoutEvents,
    TablesNotReady,
    AdoptedLayout,
    RedundantIndex,
    InvalidIndex,
    InterruptedRebuild,
    OpenToOthers,
    HardLink,
    NetworkFileSystem,
    NoWriteAheadLog,
    LargeLog,
    NormalDurability,
    FsyncOff,
    FullPageWritesOff,
    SynchronousCommitOff,
    UnloggedTable,
    StandbyMissing,
    StandbyAsynchronous,
    ReadOnlyServer,
    Encoding,
    CollationChanged,
    MissingRight,
    Superuser,
    RowSecurity,
    Pooler,
}

impl Code {
    fn severity(self) -> Severity {
        match self {
            Self::Damaged
            | Self::UnreadableEvents
            | Self::UnreadableSessions
            | Self::TablesNotReady
            | Self::HardLink
            | Self::NetworkFileSystem
            | Self::FsyncOff
            | Self::FullPageWritesOff
            | Self::SynchronousCommitOff
            | Self::UnloggedTable => Severity::Error,
            Self::EventsWithoutSession
            | Self::RedundantIndex
            | Self::InvalidIndex
            | Self::InterruptedRebuild
            | Self::OpenToOthers
            | Self::NoWriteAheadLog
            | Self::LargeLog
            | Self::StandbyMissing
            | Self::Encoding
            | Self::CollationChanged
            | Self::MissingRight
            | Self::RowSecurity => Severity::Warning,
            Self::SessionsWithoutEvents
            | Self::AdoptedLayout
            | Self::NormalDurability
            | Self::StandbyAsynchronous
            | Self::ReadOnlyServer
            | Self::Superuser
            | Self::Pooler => Severity::Info,
        }
    }
}

impl Finding {
    /// A finding about the database as a whole.
    pub fn new(code: Code, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            remedy: remedy.into(),
            table: None,
            session_ids: Vec::new(),
            count: None,
        }
    }

    /// A record that has no event.
    #[must_use]
    pub fn session_without_events(table: &str, session_id: &str) -> Self {
        let found = Self::new(
            Code::SessionsWithoutEvents,
            "sessions have a record and no event",
            "nothing, if they were just created or their agents never said anything; else prune them",
        );
        found.of_table(table).of_session(session_id)
    }

    /// Events whose session has no record.
    #[must_use]
    pub fn events_without_session(table: &str, session_id: &str) -> Self {
        let found = Self::new(
            Code::EventsWithoutSession,
            "sessions have events and no record, so that no list shows them",
            "nothing, if they have just begun: the SDK writes the first events before the record; else delete those sessions",
        );
        found.of_table(table).of_session(session_id)
    }

    /// A rebuild that nobody goes on with.
    #[must_use]
    pub fn interrupted_rebuild(table: &str) -> Self {
        let found = Self::new(
            Code::InterruptedRebuild,
            "a rebuild of the table was interrupted, and what it left behind slows each write down",
            "run a rebuild again; a driver that may migrate removes it too when it opens the database",
        );
        found.of_table(table)
    }

    /// The same about a table.
    #[must_use]
    pub fn of_table(mut self, table: &str) -> Self {
        self.table = Some(table.to_owned());
        self
    }

    /// The same about so many things.
    #[must_use]
    pub fn counted(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// The same about one thing of this session.
    #[must_use]
    pub fn of_session(mut self, session_id: &str) -> Self {
        self.session_ids = vec![session_id.to_owned()];
        self.counted(1)
    }
}

/// What was found so far. It stays small: of what is found in many rows there is one finding.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding, to one that says the same of other sessions if there is one.
    pub fn add(&mut self, finding: Finding) {
        let same = self.0.iter_mut().find(|known| {
            (known.code, &known.message, &known.table) == (finding.code, &finding.message, &finding.table)
                && known.count.is_some()
        });
        let Some(known) = same else {
            return self.0.push(finding);
        };
        known.count = Some(known.count.unwrap_or(0) + finding.count.unwrap_or(1));
        for session_id in finding.session_ids {
            if known.session_ids.len() < MOST_SESSIONS && !known.session_ids.contains(&session_id) {
                known.session_ids.push(session_id);
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them, what matters most first.
    #[must_use]
    pub fn into_list(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| finding.severity as u8);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_in_many_rows_is_one_finding_with_the_first_sessions() {
        let mut findings = Findings::default();
        findings.add(Finding::new(Code::Pooler, "m", "r"));
        for number in 0..100 {
            let found = Finding::new(Code::EventsWithoutSession, "m", "r").of_table("events");
            findings.add(found.of_session(&format!("s{}", number / 2)));
        }
        findings.add(Finding::new(Code::EventsWithoutSession, "m", "r").of_session("s"));
        let list = findings.into_list();
        let counts: Vec<_> = list.iter().map(|found| (found.code, found.count)).collect();
        assert_eq!(
            counts,
            [
                (Code::EventsWithoutSession, Some(100)),
                (Code::EventsWithoutSession, Some(1)),
                (Code::Pooler, None)
            ]
        );
        assert_eq!(list[0].session_ids.len(), MOST_SESSIONS);
        assert_eq!(list[0].session_ids[19], "s19");
    }
}
