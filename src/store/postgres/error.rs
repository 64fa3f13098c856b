//! Postgres' failures: which kind each is, whether another try may help, and what to do about it. Those of connecting stand
//! in [`connecting`]; [`codes`] has what the server's codes mean, and [`reach`] which rows a failure is about.

mod codes;
mod connecting;
mod reach;

use std::error::Error as _;
use std::io;

use tokio_postgres::error::DbError;

use self::codes::{describe, others_were_in_the_way};
pub(super) use self::connecting::is_an_answer;
pub(super) use self::reach::{Reach, Table};
use crate::store::error::{CallerFailure, DatabaseCode, DatabaseError, ErrorKind, StoreError};
use crate::store::message::{Message, StoreOption, message};

/// What went wrong on the way to an answer.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) remedy: Remedy,
    pub(super) kind: ErrorKind,
    advice: Message,
    database: Option<DatabaseError>,
    caller: Option<CallerFailure>,
    reach: Reach,
    table: Option<Table>,
}

/// What may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing that we can do: the same would fail again.
    None,
    /// A unique index holds the row already: another place for the event.
    AnotherPlace,
    /// Another try.
    Retry,
    /// Another try later, in smaller company: a row is locked, or what was sent takes longer than the server allows.
    AnotherTime,
    /// Another try, on another connection.
    Reconnect,
}

impl Failure {
    pub(super) fn new(remedy: Remedy, kind: ErrorKind, advice: impl Into<Message>) -> Self {
        Self {
            remedy,
            kind,
            advice: advice.into(),
            database: None,
            caller: None,
            reach: match kind {
                ErrorKind::InvalidArgument => Reach::Row,
                _ => Reach::Everything,
            },
            table: None,
        }
    }

    /// What `error` means for a statement that writes to `table`.
    pub(super) fn of_writing(error: &tokio_postgres::Error, table: Table) -> Self {
        Self::of_statement(error, Some(table))
    }

    /// The server did not answer in the time that a try gets.
    pub(super) fn silent() -> Self {
        Self::new(
            Remedy::Retry,
            ErrorKind::Timeout,
            message![
                "the server did not answer within ",
                StoreOption::QueryTimeout,
                "; it may be overloaded, a lock may be held, or a synchronous standby may be away",
            ],
        )
    }

    /// The server has committed, and the wait for its standby was ended before that had it.
    pub(super) fn unreplicated() -> Self {
        Self::new(
            Remedy::Reconnect,
            ErrorKind::Timeout,
            "the server's wait for a synchronous standby was cancelled; what was written may be lost with the server: try again, and \
             see to the standbys that `synchronous_standby_names` names",
        )
    }

    /// There was no connection in the time that a try gets.
    pub(super) fn not_connected() -> Self {
        Self::new(
            Remedy::Reconnect,
            ErrorKind::Timeout,
            message![
                "no connection could be made within ",
                StoreOption::QueryTimeout,
                "; check the address, and that nothing blocks the way",
            ],
        )
    }

    /// Whether it is [`Self::not_connected`].
    pub(super) fn is_not_connected(&self) -> bool {
        self.remedy == Remedy::Reconnect && self.kind == ErrorKind::Timeout
    }

    /// The server did what it was told, and a row is not there all the same.
    pub(super) fn swallowed(remedy: Remedy) -> Self {
        Self::new(
            remedy,
            ErrorKind::InvalidArgument,
            "a trigger or rule of the table's owner ignored the row; it was not stored",
        )
    }

    /// What was read was changed by somebody else before it could be written.
    pub(super) fn others_in_the_way() -> Self {
        Self::new(Remedy::Retry, ErrorKind::Busy, others_were_in_the_way())
    }

    /// A row holds what no row of ours would.
    pub(super) fn odd_row(what: impl std::fmt::Display) -> Self {
        Self::new(
            Remedy::None,
            ErrorKind::Corrupt,
            format!("in one row {what}, which another program must have written; mend or delete the row"),
        )
    }

    /// Why a row cannot be read, if it is the row that is to blame.
    pub(super) fn row_problem(self) -> Result<String, Self> {
        if self.kind == ErrorKind::Corrupt && self.database.is_none() {
            return Ok(self.advice.to_string());
        }
        Err(self)
    }

    fn of_refusal(refusal: &DbError, table: Option<Table>) -> Self {
        let code = refusal.code().code();
        let (remedy, kind, advice) = match describe(code) {
            // It has a position when it is a table's lock that was waited for: then all have to wait, whoever they come with.
            (Remedy::AnotherTime, kind, advice) if refusal.position().is_some() => (Remedy::Retry, kind, advice),
            described => described,
        };
        Self {
            remedy,
            kind,
            advice,
            // Without the detail, which may hold values.
            database: Some(DatabaseError {
                message: refusal.message().to_owned(),
                code: Some(DatabaseCode::SqlState(code.to_owned())),
            }),
            caller: None,
            reach: Reach::of(refusal, kind, table),
            table,
        }
    }

    /// The same failure, if it is the database's word about one step of a migration.
    pub(super) fn of_migration(self, step: &str) -> Self {
        let Some(DatabaseError {
            message,
            code: Some(DatabaseCode::SqlState(code)),
        }) = &self.database
        else {
            return self;
        };
        let advice = match code.as_str() {
            "42501" => "let the owner of the schema and its tables open a driver once, or grant what is missing",
            _ if matches!(
                self.kind,
                ErrorKind::InvalidArgument | ErrorKind::Internal | ErrorKind::Schema
            ) =>
            {
                "nothing was changed. If something of the owner's depends on the table, such as a view, an index or a trigger, \
                 drop it, open a driver, and create it again"
            }
            _ => return self,
        };
        Self {
            remedy: Remedy::None,
            kind: ErrorKind::Schema,
            advice: format!("the server refused to {step}: {message}; {advice}").into(),
            reach: Reach::Everything,
            ..self
        }
    }

    /// Whether the database's encoding does not have a text of ours. The code alone does not tell this from a text of its
    /// own that UTF8 does not have.
    pub(super) fn is_about_our_text(&self) -> bool {
        let message = self.database.as_ref().map(|database| database.message.as_str());
        message.is_some_and(|message| message.contains("in encoding \"UTF8\" has no equivalent"))
    }

    /// The server's code for it.
    pub(super) fn sql_state(&self) -> Option<&str> {
        match &self.database.as_ref()?.code {
            Some(DatabaseCode::SqlState(code)) => Some(code),
            _ => None,
        }
    }

    /// The same failure, with other advice.
    pub(super) fn with_advice(self, advice: impl Into<Message>) -> Self {
        Self {
            advice: advice.into(),
            ..self
        }
    }

    /// Whether it is the server's word that it did not do what it was sent, and goes on.
    pub(super) fn is_refusal(&self) -> bool {
        self.sql_state().is_some() && self.remedy != Remedy::Reconnect
    }

    /// Whether another try might have helped, had there been time for it.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.remedy, Remedy::Retry | Remedy::Reconnect) && self.kind != ErrorKind::Readonly
    }

    /// Whether the server ended the statement since it took too long. Smaller ones may fit into the time.
    pub(super) fn is_too_slow(&self) -> bool {
        self.remedy == Remedy::AnotherTime && self.kind == ErrorKind::Timeout
    }

    /// The same failure, for a statement of many rows: when it takes longer than the server allows, it will the next time too.
    pub(super) fn of_many_rows(self) -> Self {
        if !self.is_too_slow() {
            return self;
        }
        Self {
            remedy: Remedy::None,
            advice: message![self.advice, "; this needs more time: raise it for this user"],
            ..self
        }
    }

    /// Which rows it is about.
    pub(super) fn reach(&self) -> Reach {
        self.reach
    }

    /// The table that was written to.
    pub(super) fn table(&self) -> Option<Table> {
        self.table
    }

    /// Whether the other one was refused for the same reason.
    pub(super) fn is_the_same_as(&self, other: &Self) -> bool {
        (self.kind, &self.database, self.table) == (other.kind, &other.database, other.table)
    }

    /// What it is, and what to do about it.
    pub(super) fn advice(&self) -> &Message {
        &self.advice
    }

    /// The error of a call that was `doing` something.
    pub(super) fn into_error(self, doing: &str) -> StoreError {
        StoreError {
            kind: self.kind,
            message: message![doing.to_owned(), " failed: ", self.advice],
            database: self.database,
            caller: self.caller,
            reassigned_to: None,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    /// What the error means for a statement on a connection that was made.
    fn from(error: tokio_postgres::Error) -> Self {
        Self::of_statement(&error, None)
    }
}

impl Failure {
    fn of_statement(error: &tokio_postgres::Error, table: Option<Table>) -> Self {
        if let Some(refusal) = error.as_db_error() {
            return Self::of_refusal(refusal, table);
        }
        let broke = error.is_closed() || error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>);
        let mut failure = if broke {
            Self::new(
                Remedy::Reconnect,
                ErrorKind::Unavailable,
                "the connection broke; the server may have been restarted, or the network",
            )
        } else {
            Self::new(
                Remedy::None,
                ErrorKind::Internal,
                "the server answered what no statement of ours expects; please report it",
            )
        };
        failure.database = Some(DatabaseError {
            message: reason_of(error),
            code: None,
        });
        failure
    }
}

/// The error and its causes in one line.
fn reason_of(error: &tokio_postgres::Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        source = cause.source();
    }
    reason
}
