//! Failures of connecting: what a server, or the way to it, says before the first statement.

use std::error::Error as _;
use std::io;

use tokio_postgres::config::SslNegotiation;
use tokio_postgres::error::DbError;

use super::{Failure, Remedy, reason_of};
use crate::store::error::{CallerFailure, DatabaseError, ErrorKind};
use crate::store::message::{Message, StoreOption, message};
use crate::store::postgres::login::HostTarget;
use crate::store::postgres::login::tls;

impl Failure {
    /// Whoever knows the password failed to tell it.
    pub(in crate::store::postgres) fn of_password(caller: CallerFailure) -> Self {
        Self {
            caller: Some(caller),
            ..Self::new(
                Remedy::None,
                ErrorKind::Unavailable,
                "asking for the password failed (see `cause`); the next call asks again",
            )
        }
    }

    /// Nobody told the password in the time that connecting may take.
    pub(in crate::store::postgres) fn password_late() -> Self {
        Self::new(
            Remedy::Reconnect,
            ErrorKind::Unavailable,
            message![
                "the password that was asked for did not come within ",
                StoreOption::ConnectTimeout,
            ],
        )
    }

    /// A connection to `host` could not be made in time.
    pub(in crate::store::postgres) fn unreachable(host: &str) -> Self {
        Self::new(
            Remedy::Reconnect,
            ErrorKind::Unavailable,
            message![
                format!("{host} did not answer within "),
                StoreOption::ConnectTimeout,
                "; check the address, and that nothing blocks the way",
            ],
        )
    }

    /// What `error` means for a try to connect to `target`.
    pub(in crate::store::postgres) fn of_connecting(error: &tokio_postgres::Error, target: &HostTarget) -> Self {
        match error.as_db_error() {
            Some(refusal) => Self::of_refused_login(refusal, target),
            None => Self::of_no_login(error, target),
        }
    }

    /// The server answered, and let nobody in.
    fn of_refused_login(refusal: &DbError, target: &HostTarget) -> Self {
        let host = &target.name;
        let mut failure = Self::of_refusal(refusal, None);
        let said = without_user(refusal.message(), target.config.get_user().unwrap_or_default());
        // PgBouncer's word for it.
        if refusal.message().starts_with("unsupported startup parameter") {
            failure.remedy = Remedy::None;
        }
        if failure.remedy == Remedy::None {
            failure.kind = ErrorKind::Unavailable;
            failure.advice = match refusal.code().code() {
                "28P01" => message![
                    format!("{host} does not know this user with this password; check both, and the server's pg_hba.conf"),
                    password_hint(target),
                ],
                "28000" => message![
                    format!(
                        "{host} does not let this user in: {said}; check the server's pg_hba.conf and `sslmode`, and give a client \
                         certificate ("
                    ),
                    StoreOption::SslCert,
                    " and ",
                    StoreOption::SslKey,
                    ", or sslcert and sslkey) where it wants one",
                ],
                "08P01" => format!(
                    "{host} is a pooler that does not take all of our settings: {said}; take them out of the connection string \
                     and the environment (`options`, PGOPTIONS), or let the pooler ignore them"
                )
                .into(),
                "3D000" => format!("{host} has no such database; create it, or check the name").into(),
                _ => format!("{host} refused the connection (see `cause`)").into(),
            };
        }
        if let Some(database) = &mut failure.database {
            database.message = said;
        }
        failure
    }

    /// There was no answer, or none that makes a login.
    fn of_no_login(error: &tokio_postgres::Error, target: &HostTarget) -> Self {
        let host = &target.name;
        let reason = reason_of(error);
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        let (remedy, advice) = match source {
            _ if let Some(advice) = tls::advice(error) => (
                Remedy::None,
                message![format!("the TLS handshake with {host} failed: {reason}; "), advice],
            ),
            Some(source) if source.kind() == io::ErrorKind::PermissionDenied => (
                Remedy::Reconnect,
                format!(
                    "{host} can only be read, and a server that can be written to is wanted, as always when there are several; \
                     `target_session_attrs=any` reads from whichever is there, though it may lack what was written last"
                )
                .into(),
            ),
            // It looks the same when a server is being stopped.
            Some(_) if target.config.get_ssl_negotiation() == SslNegotiation::Direct => (
                Remedy::Reconnect,
                message![
                    format!("{host} cannot be reached: {reason}; check the address, that the server runs, and "),
                    tls::DIRECT,
                ],
            ),
            Some(_) => (
                Remedy::Reconnect,
                format!("{host} cannot be reached: {reason}; check the address, and that the server runs").into(),
            ),
            None if error.is_closed() => (
                Remedy::Reconnect,
                format!("{host} closed the connection; check that it is a Postgres server, and its log").into(),
            ),
            None => (
                Remedy::None,
                message![format!("logging in at {host} failed: {reason}"), password_hint(target)],
            ),
        };
        Self {
            database: Some(DatabaseError {
                message: reason,
                code: None,
            }),
            ..Self::new(remedy, ErrorKind::Unavailable, advice)
        }
    }
}

/// Why there is no password, where the server may want one.
fn password_hint(target: &HostTarget) -> Message {
    match &target.password_hint {
        Some(hint) => message![" (", hint.clone(), ")"],
        None => Message::default(),
    }
}

/// Whether a try to connect that failed with this error reached a server: it refused, or it is not the one that was wanted.
pub(in crate::store::postgres) fn is_an_answer(error: &tokio_postgres::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.as_db_error().is_some() || source.is_some_and(|source| source.kind() == io::ErrorKind::PermissionDenied)
}

/// A server's refusal without the user's name, which it quotes: where the `:` of a connection string is missing, the
/// password is a part of what looks like the user.
fn without_user(message: &str, user: &str) -> String {
    if user.is_empty() {
        return message.to_owned();
    }
    // Quotes of whatever language, but no letter and no space.
    let is_quote = |c: char| !c.is_alphanumeric() && c != ' ' && c != '_';
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find(user) {
        let (before, after) = (&rest[..at], &rest[at + user.len()..]);
        let quoted = before.chars().next_back().is_some_and(is_quote) && after.chars().next().is_some_and(is_quote);
        out.push_str(before);
        out.push_str(if quoted { "…" } else { user });
        rest = after;
    }
    out.push_str(rest);
    out
}
