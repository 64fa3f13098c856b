//! The parameters that a connection string may have: libpq's, and those that other clients and hosts put there.

use crate::store::message::StoreOption;

/// What is done with a parameter.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is used, under this name.
    Setting(&'static str),
    /// It asks for what happens anyway, or is about what this driver does not have.
    Harmless,
    /// It is another client's name for this option, which a connection string cannot set.
    Option(&'static str, StoreOption),
    /// It asks for what cannot be done: its name, and what to do instead.
    Refused(&'static str, &'static str),
    /// Nobody knows it.
    Unknown,
}

/// Those that are used.
pub(super) const SETTINGS: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "options",
    "passfile",
    "password",
    "port",
    "ssl",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "uselibpqcompat",
    "user",
];

/// Parameters that change nothing, by their values that do so; no list means every value.
const HARMLESS: &[(&str, &[&str])] = &[
    // What poolers need is always done: no named prepared statements, no session state.
    ("pgbouncer", &[]),
    ("prepared_statements", &[]),
    ("prepareThreshold", &[]),
    ("statement_cache_size", &[]),
    // Supabase and Vercel mark their URLs with these.
    ("supa", &[]),
    ("workaround", &[]),
    // Kerberos is not spoken. A server that wants it says so when we log in.
    ("gssencmode", &["disable", "prefer"]),
    ("gssdelegation", &[]),
    ("gsslib", &[]),
    ("krbsrvname", &[]),
    // Text is always sent as UTF-8.
    (
        "client_encoding",
        &["utf8", "UTF8", "utf-8", "UTF-8", "unicode", "UNICODE", "auto"],
    ),
    ("replication", &["false", "off", "no", "0"]),
    // As it always is: TLS 1.2 or 1.3, the host's name sent along, a client certificate given when there is one, nothing
    // compressed (which libpq has given up too).
    ("ssl_min_protocol_version", &["TLSv1", "TLSv1.1", "TLSv1.2"]),
    ("ssl_max_protocol_version", &["TLSv1.3"]),
    ("sslsni", &["1"]),
    ("sslcertmode", &["allow"]),
    ("sslcompression", &[]),
    // The protocol spoken is 3.0, which every server speaks.
    ("min_protocol_version", &["3.0"]),
    ("max_protocol_version", &[]),
];

/// What other clients call our options.
const OPTIONS: [(&str, StoreOption); 12] = [
    ("connection_limit", StoreOption::MaxConnections),
    ("max_connections", StoreOption::MaxConnections),
    ("pool_max_conns", StoreOption::MaxConnections),
    ("pool_size", StoreOption::MaxConnections),
    ("pool_timeout", StoreOption::AcquireTimeout),
    ("query_timeout", StoreOption::QueryTimeout),
    ("socketTimeout", StoreOption::QueryTimeout),
    ("socket_timeout", StoreOption::QueryTimeout),
    ("statement_timeout", StoreOption::QueryTimeout),
    ("currentSchema", StoreOption::Schema),
    ("schema", StoreOption::Schema),
    ("search_path", StoreOption::Schema),
];

const SERVICE: &str =
    "is not supported, since service files are not read; write what the service holds into the string";
const REVOCATION: &str = "is not supported, since revocation lists are not checked; remove it if you can do without";
const AUTHENTICATION: &str = "cannot be enforced; remove it, or write channel_binding=require, which no server without \
                              SCRAM and TLS can satisfy";
const NOT_SUPPORTED: &str = "is not supported with this value; remove it";

/// Parameters that cannot be honoured, and where ignoring them would not be honest.
const REFUSED: &[(&str, &str)] = &[
    ("service", SERVICE),
    ("servicefile", SERVICE),
    ("sslcrl", REVOCATION),
    ("sslcrldir", REVOCATION),
    ("require_auth", AUTHENTICATION),
    (
        "requirepeer",
        "cannot be enforced; remove it, and see to it that only the server may write to the socket's directory",
    ),
    (
        "sslpassword",
        "is not supported, nor are encrypted keys; decrypt the key with `openssl pkey -in client.key -out decrypted.key`, \
         make that file readable to its owner alone, and remove sslpassword",
    ),
    (
        "sslaccept",
        "belongs to another client; use sslmode=verify-full or sslmode=no-verify",
    ),
    (
        "sslidentity",
        "belongs to another client; use sslcert and sslkey, with files in PEM",
    ),
    ("client_encoding", "must be utf8: text is always sent as UTF-8"),
    (
        "gssencmode",
        "must be disable or prefer: GSSAPI encryption is not supported; use sslmode",
    ),
    ("max_protocol_version", NOT_SUPPORTED),
    ("min_protocol_version", NOT_SUPPORTED),
    ("oauth_client_id", NOT_SUPPORTED),
    ("oauth_client_secret", NOT_SUPPORTED),
    ("oauth_issuer", NOT_SUPPORTED),
    ("oauth_scope", NOT_SUPPORTED),
    ("replication", NOT_SUPPORTED),
    ("scram_client_key", NOT_SUPPORTED),
    ("scram_server_key", NOT_SUPPORTED),
    ("ssl_max_protocol_version", NOT_SUPPORTED),
    ("ssl_min_protocol_version", NOT_SUPPORTED),
    ("sslcertmode", NOT_SUPPORTED),
    ("sslkeylogfile", NOT_SUPPORTED),
    ("sslsni", NOT_SUPPORTED),
];

/// What is done with the parameter `name` when it has this value.
pub(super) fn meaning(name: &str, value: &str) -> Meaning {
    // The name that the driver of tokio-postgres has for it.
    let name = if name == "keepalives_retries" {
        "keepalives_count"
    } else {
        name
    };
    if let Some(setting) = SETTINGS.iter().find(|setting| **setting == name) {
        return Meaning::Setting(setting);
    }
    let harmless = |(known, values): &(&str, &[&str])| *known == name && (values.is_empty() || values.contains(&value));
    if HARMLESS.iter().any(harmless) {
        return Meaning::Harmless;
    }
    let option = OPTIONS.iter().find(|(known, _)| *known == name);
    let option = option.map(|(known, option)| Meaning::Option(known, *option));
    let refused = || REFUSED.iter().find(|(known, _)| *known == name);
    let refused = || refused().map(|(known, advice)| Meaning::Refused(known, advice));
    match option.or_else(refused) {
        // A parameter without a value asks for nothing.
        Some(_) if value.is_empty() => Meaning::Harmless,
        Some(meaning) => meaning,
        None => Meaning::Unknown,
    }
}

/// Whether a parameter could be called that.
pub(super) fn is_a_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
}

/// The used parameter that `name` is a misspelling of, if there is one: one letter in four may be wrong.
pub(super) fn near(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&name, known);
    let closest = SETTINGS.iter().min_by_key(|known| distance(known))?;
    (distance(closest) <= (closest.len() / 4).max(1)).then_some(closest)
}
