//! The password file, `~/.pgpass`, as libpq reads it.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use super::permissions::is_open_passfile;
use crate::store::message::Message;

/// The directories of the server's socket that `localhost` stands for: PostgreSQL's own, and those of distributions.
const DEFAULT_SOCKET_DIRECTORIES: [&str; 3] = ["/tmp", "/run/postgresql", "/var/run/postgresql"];

/// A password file that was looked for.
pub(super) enum Passfile {
    /// There is none, and nobody said that there is one.
    Absent,
    /// It cannot be used, for this reason.
    Unusable(String),
    /// Its text.
    Read { path: PathBuf, text: String },
}

/// What a line must be about: the login that a password is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct PassfileKey<'a> {
    /// A host's name or address, or the directory of a socket.
    pub host: &'a str,
    pub port: u16,
    pub database: &'a str,
    pub user: &'a str,
}

impl Passfile {
    /// Reads the file that somebody named.
    pub(super) fn named(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(found) => Self::read(path, &found),
            Err(error) => Self::Unusable(format!("{} was not used: {error}", path.display())),
        }
    }

    /// Reads the file at its usual place, if there is one.
    pub(super) fn usual(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(found) => Self::read(path, &found),
            Err(_) => Self::Absent,
        }
    }

    fn read(path: &Path, found: &Metadata) -> Self {
        let unusable = |reason: &str| Self::Unusable(format!("{} was not used: {reason}", path.display()));
        if !found.is_file() {
            return unusable("it is not a plain file");
        }
        if is_open_passfile(found) {
            return unusable("its permissions are too open, run chmod 0600 on it");
        }
        match fs::read_to_string(path) {
            Ok(text) => Self::Read {
                path: path.to_path_buf(),
                text,
            },
            Err(error) => unusable(&error.to_string()),
        }
    }

    /// The password of the first line that matches, or why there is none.
    pub(super) fn password(&self, key: PassfileKey) -> Result<String, Message> {
        match self {
            Self::Absent => Err(
                "no password was given; write it into PGPASSWORD, the password file or the connection string".into(),
            ),
            Self::Unusable(reason) => Err(reason.clone().into()),
            Self::Read { path, text } => text.lines().find_map(|line| password_in(line, key)).ok_or_else(|| {
                let path = path.display();
                format!("no line of {path} matches this host, port, database and user").into()
            }),
        }
    }
}

/// The password of a line `host:port:database:user:password`, if it is about this login.
fn password_in(line: &str, key: PassfileKey) -> Option<String> {
    let line = line.trim_end_matches('\r');
    if line.starts_with('#') {
        return None;
    }
    let host = if DEFAULT_SOCKET_DIRECTORIES.contains(&key.host) {
        "localhost"
    } else {
        key.host
    };
    let mut rest = line;
    for wanted in [host, &key.port.to_string(), key.database, key.user] {
        let (field, after) = split_field(rest)?;
        if field != "*" && unescape(field) != wanted {
            return None;
        }
        rest = after;
    }
    let password = unescape(rest);
    (!password.is_empty()).then_some(password)
}

/// A line's first field, as written, and what follows its colon.
fn split_field(line: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = c == ':' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&line[..end], &line[end + 1..]))
}

fn unescape(field: &str) -> String {
    let mut unescaped = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(c) = characters.next() {
        // A backslash at the very end stands for itself.
        unescaped.push(if c == '\\' { characters.next().unwrap_or(c) } else { c });
    }
    unescaped
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KEY: PassfileKey = PassfileKey {
        host: "db",
        port: 5432,
        database: "app",
        user: "me",
    };

    fn look_up(text: &str, key: PassfileKey) -> Option<String> {
        let file = Passfile::Read {
            path: PathBuf::from("pgpass"),
            text: String::from(text),
        };
        file.password(key).ok()
    }

    fn refusal(file: &Passfile, key: PassfileKey) -> String {
        file.password(key).unwrap_err().to_string()
    }

    #[test]
    fn the_first_line_that_matches_wins() {
        let text = "\n# db:5432:app:me:comment\ndb:5433:app:me:port\ndb:5432:other:me:database\ndb:5432:app:you:user\n\
                    db:5432:app:me:right\n*:*:*:*:any\n";
        assert_eq!(look_up(text, KEY).unwrap(), "right");
        assert_eq!(look_up(text, PassfileKey { host: "x", ..KEY }).unwrap(), "any");
        assert_eq!(look_up(text, PassfileKey { port: 5433, ..KEY }).unwrap(), "port");
        assert_eq!(look_up("db:5432:app:me", KEY), None);
        assert_eq!(look_up("db:5432:app:me:", KEY), None);
    }

    #[test]
    fn backslashes_escape_colons_and_backslashes() {
        assert_eq!(look_up(r"db:*:*:*:a\:b\\c:d\", KEY).unwrap(), r"a:b\c:d\");
        let address = PassfileKey { host: "::1", ..KEY };
        assert_eq!(look_up(r"\:\:1:*:*:*:x", address).unwrap(), "x");
        let star = PassfileKey { database: "*", ..KEY };
        assert_eq!(look_up(r"db:*:\*:*:x", star).unwrap(), "x");
        assert_eq!(look_up(r"db:*:\*:*:x", KEY), None);
    }

    #[test]
    fn lines_may_end_as_on_windows() {
        assert_eq!(look_up("db:*:*:*:x\r\n", KEY).unwrap(), "x");
    }

    #[test]
    fn localhost_stands_for_the_usual_sockets() {
        let socket = |host| PassfileKey { host, ..KEY };
        assert_eq!(look_up("localhost:*:*:*:x", socket("/run/postgresql")).unwrap(), "x");
        assert_eq!(look_up("localhost:*:*:*:x", socket("/srv/db")), None);
        assert_eq!(look_up("/srv/db:*:*:*:x", socket("/srv/db")).unwrap(), "x");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        assert!(refusal(&Passfile::named(&path), KEY).contains("was not used"));
        assert!(refusal(&Passfile::usual(&path), KEY).contains("PGPASSWORD"));
        assert!(refusal(&Passfile::named(directory.path()), KEY).contains("plain file"));
        std::fs::write(&path, "db:*:*:*:secret\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(refusal(&Passfile::usual(&path), KEY).contains("chmod 0600"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(Passfile::usual(&path).password(KEY).unwrap(), "secret");
        let other = PassfileKey { host: "x", ..KEY };
        assert!(refusal(&Passfile::usual(&path), other).contains("no line"));
    }
}
