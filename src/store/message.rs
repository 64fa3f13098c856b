//! The text of an error. It names options of a store without knowing what its reader calls them: fields of an object in
//! JavaScript, flags on a command line. Whoever shows it says so.

use std::borrow::Cow;
use std::fmt;

/// An option that a store is opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOption {
    /// Whether tables may be created and changed.
    Migrate,
    /// What the names of the tables begin with.
    TablePrefix,
    /// SQLite: the file.
    Filename,
    /// SQLite: how long to wait for another process's lock.
    BusyTimeout,
    /// SQLite: whether the file is only read.
    Readonly,
    /// Postgres: where the server is.
    ConnectionString,
    /// Postgres: the schema of the tables.
    Schema,
    /// Postgres: how many connections there may be.
    MaxConnections,
    /// Postgres: how long connecting may take.
    ConnectTimeout,
    /// Postgres: how long to wait for a connection that others use.
    AcquireTimeout,
    /// Postgres: how long a call is tried.
    QueryTimeout,
    /// Postgres: what the server calls the connections.
    ApplicationName,
    /// Postgres: the certificates of authorities.
    SslCa,
    /// Postgres: the client's certificate.
    SslCert,
    /// Postgres: the key of the client's certificate.
    SslKey,
    /// Postgres: the name that the server's certificate must have.
    SslServername,
}

impl StoreOption {
    /// What Rust calls it.
    fn field(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::TablePrefix => "table_prefix",
            Self::Filename => "filename",
            Self::BusyTimeout => "busy_timeout",
            Self::Readonly => "readonly",
            Self::ConnectionString => "connection_string",
            Self::Schema => "schema",
            Self::MaxConnections => "max_connections",
            Self::ConnectTimeout => "connect_timeout",
            Self::AcquireTimeout => "acquire_timeout",
            Self::QueryTimeout => "query_timeout",
            Self::ApplicationName => "application_name",
            Self::SslCa => "ssl.ca",
            Self::SslCert => "ssl.cert",
            Self::SslKey => "ssl.key",
            Self::SslServername => "ssl.servername",
        }
    }
}

/// A text with the names of options in it. `message!` makes one of its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Cow<'static, str>),
    Name(StoreOption),
}

impl Message {
    /// Adds to the end.
    pub fn push(&mut self, more: impl Into<Self>) {
        self.0.extend(more.into().0);
    }

    /// The text for a reader who knows the options by these names.
    #[must_use]
    pub fn text(&self, name: impl Fn(StoreOption) -> &'static str) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Name(option) => name(*option),
        });
        parts.collect()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text(StoreOption::field))
    }
}

impl From<&'static str> for Message {
    fn from(text: &'static str) -> Self {
        Self(vec![Part::Text(Cow::Borrowed(text))])
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self(vec![Part::Text(Cow::Owned(text))])
    }
}

impl From<StoreOption> for Message {
    fn from(option: StoreOption) -> Self {
        Self(vec![Part::Name(option)])
    }
}

/// A [`Message`] of texts, options and other messages, one after the other.
macro_rules! message {
    ($($part:expr),+ $(,)?) => {{
        let mut message = $crate::store::message::Message::default();
        $(message.push($part);)+
        message
    }};
}

pub(crate) use message;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_shows_a_message_says_what_its_options_are_called() {
        let message = message!["raise ", StoreOption::QueryTimeout, format!(" to {}", 5)];
        assert_eq!(message.text(|_| "--query-timeout"), "raise --query-timeout to 5");
        assert_eq!(message.to_string(), "raise query_timeout to 5");
    }

    #[test]
    fn a_text_of_the_callers_is_never_taken_for_an_option() {
        let message = message!["reading session ", String::from("{QueryTimeout}"), " failed"];
        assert_eq!(message.text(|_| "x"), "reading session {QueryTimeout} failed");
    }
}
