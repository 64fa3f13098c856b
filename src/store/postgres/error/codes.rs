//! What the server's codes mean, and what to do about each.

use super::Remedy;
use crate::store::error::ErrorKind;
use crate::store::message::{Message, StoreOption, message};

/// What a code means: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(super) fn describe(code: &str) -> (Remedy, ErrorKind, Message) {
    let meaning = |remedy, kind, advice: &'static str| (remedy, kind, Message::from(advice));
    match code {
        "23505" => meaning(
            Remedy::AnotherPlace,
            ErrorKind::InvalidArgument,
            "a unique index of the table forbids it: an adopted table can hold an event's id only once, and may have rules of its own",
        ),
        "40001" => (Remedy::Retry, ErrorKind::Busy, others_were_in_the_way()),
        "40P01" | "55P03" => (Remedy::AnotherTime, ErrorKind::Busy, others_were_in_the_way()),
        "57014" => meaning(
            Remedy::AnotherTime,
            ErrorKind::Timeout,
            "the server ended the statement, most likely for its `statement_timeout`",
        ),
        "25006" => meaning(
            Remedy::Reconnect,
            ErrorKind::Readonly,
            "the server can only be read: it may be a standby; name all servers and `target_session_attrs=read-write`",
        ),
        "25P03" | "25P04" | "57P01" | "57P02" | "57P03" | "57P05" => meaning(
            Remedy::Reconnect,
            ErrorKind::Unavailable,
            "the server ended the connection; it may be restarting",
        ),
        // A transaction whose COMMIT was cancelled stays open, and takes nothing more: what is sent after it was not done.
        "25P02" => meaning(
            Remedy::Reconnect,
            ErrorKind::Unavailable,
            "a transaction before it on this connection was cancelled",
        ),
        "53300" => (
            Remedy::Reconnect,
            ErrorKind::Unavailable,
            message![
                "the server has no connection left; lower ",
                StoreOption::MaxConnections,
                ", raise the server's `max_connections`, or put a pooler in front",
            ],
        ),
        "53100" => meaning(
            Remedy::None,
            ErrorKind::Full,
            "the server's disk is full; nothing was stored, make room and try again",
        ),
        "42501" => meaning(
            Remedy::None,
            ErrorKind::Unavailable,
            "this user has no right to do that; grant SELECT, INSERT, UPDATE and DELETE on the tables, and USAGE on their schema",
        ),
        "42P01" | "42703" | "3F000" | "42804" => meaning(
            Remedy::None,
            ErrorKind::Schema,
            "the tables were changed or dropped meanwhile; the next call makes them ready again",
        ),
        "22021" | "22P05" => meaning(
            Remedy::None,
            ErrorKind::InvalidArgument,
            "the database's encoding cannot hold this text; use a database with the encoding UTF8",
        ),
        "XX001" | "XX002" => meaning(
            Remedy::None,
            ErrorKind::Corrupt,
            "the database is damaged; see the server's log",
        ),
        _ => match code.get(..2).unwrap_or_default() {
            "08" => meaning(
                Remedy::Reconnect,
                ErrorKind::Unavailable,
                "the connection broke; the server may have been restarted, or the network",
            ),
            "22" | "23" | "44" | "54" | "P0" => meaning(
                Remedy::None,
                ErrorKind::InvalidArgument,
                "the server does not take the row (see `cause`): a value may be too large for it, or a rule of the table's owner forbids it",
            ),
            "28" | "53" | "57" | "58" => meaning(
                Remedy::None,
                ErrorKind::Unavailable,
                "the server cannot do it now (see `cause` and the server's log)",
            ),
            _ => meaning(
                Remedy::None,
                ErrorKind::Internal,
                "the server refused the statement; the tables may have been changed by another program, else please report it",
            ),
        },
    }
}

/// What to do about those who were.
pub(super) fn others_were_in_the_way() -> Message {
    message![
        "other transactions were in the way until ",
        StoreOption::QueryTimeout,
        " was over; nothing was stored, try again",
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_behind_a_transaction_that_was_left_open_is_sent_again_on_another_connection() {
        let (remedy, _, _) = describe("25P02");
        assert_eq!(remedy, Remedy::Reconnect);
    }
}
