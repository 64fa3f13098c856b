//! The syntax of connection strings: URLs and lists of `name=value`, as libpq reads them.
//!
//! tokio-postgres has a parser too. It knows few of the parameters, and its messages quote the string.
//!
//! A password with a character that should have been escaped makes the parts of a string come out wrong: what looks like a
//! port or a parameter's name may be the end of the password, or all of it. So messages hold no piece of the string, and
//! values that messages will name, such as a file's path, are refused when they look like two parameters in one.

mod parameters;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::BTreeMap;

use self::parameters::{Meaning, SETTINGS, is_a_name, meaning, near};
use crate::store::error::StoreError;
use crate::store::message::{Message, StoreOption, message};

/// What a connection string says, by libpq's names. An empty value is as good as none, and is not kept.
#[derive(Default)]
pub(super) struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    /// Reads a connection string of either form.
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        // A line break at the end is what a string read from a file has.
        let text = text.trim();
        if text.is_empty() {
            return Err(wrong("is empty; leave it out to use the PG* environment variables"));
        }
        if text.contains('\0') {
            return Err(wrong("holds a NUL character"));
        }
        let scheme = ["postgres://", "postgresql://"]
            .iter()
            .find(|scheme| text.starts_with(**scheme));
        let mut parameters = Self::default();
        match scheme {
            Some(scheme) => parameters.read_url(&text[scheme.len()..])?,
            None if looks_like_another_url(text) => {
                return Err(wrong(
                    "is a URL that begins neither with postgres:// nor with postgresql://",
                ));
            }
            None => parameters.read_pairs(text)?,
        }
        parameters.translate_ssl()?;
        Ok(parameters)
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes one parameter as it was written.
    fn set(&mut self, name: &str, value: String) -> Result<(), StoreError> {
        match meaning(name, &value) {
            Meaning::Setting(name) => {
                self.keep(name, value);
                Ok(())
            }
            Meaning::Harmless => Ok(()),
            Meaning::Option(name, option) => Err(wrong_parameter(
                name,
                message!["belongs to another client; use ", option],
            )),
            Meaning::Refused(name, advice) => Err(wrong_parameter(name, advice)),
            Meaning::Unknown if self.0.contains_key("password") => Err(wrong(
                "has an unknown parameter after its password; if that is a part of the password, percent-encode the password \
                 of a URL (& as %26), and put single quotes around the one of a list of name=value",
            )),
            // The name is not shown either: it may be all that stands before a = in the password.
            Meaning::Unknown => Err(wrong(match near(name) {
                Some(known) => format!("has an unknown parameter; perhaps `{known}` is meant"),
                None if !is_a_name(name) => String::from(
                    "has something before a = that is no parameter's name; a URL must begin with postgres:// or postgresql://, \
                     and have & between its parameters",
                ),
                None => format!(
                    "has an unknown parameter; those that are used are {}",
                    SETTINGS.join(", ")
                ),
            })),
        }
    }

    fn keep(&mut self, name: &'static str, value: String) {
        if value.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name, value);
        }
    }

    fn keep_if_absent(&mut self, name: &'static str, value: String) {
        if !self.0.contains_key(name) {
            self.keep(name, value);
        }
    }

    /// Reads `user:password@host:port,host:port/database?name=value&name=value`, each part of which may be missing.
    ///
    /// The query goes first, for two reasons: it wins over the other parts, and the password of those is not yet known, so
    /// that a misspelt parameter can be named.
    fn read_url(&mut self, url: &str) -> Result<(), StoreError> {
        let (authority, rest) = url.split_at(url.find(['/', '?']).unwrap_or(url.len()));
        if rest.contains('@') {
            return Err(wrong(
                "has an @ after its host; in a user name or password write / as %2F and ? as %3F, and elsewhere write @ as %40",
            ));
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| wrong("has a parameter without a ="))?;
            if value.contains('=') && !may_hold_an_equals_sign(name) {
                return Err(wrong(
                    "has a parameter with two =; put & between parameters, and write = in a value as %3D",
                ));
            }
            self.set(&decode(name)?, decode(value)?)?;
        }
        // No host holds an @, so the last one ends the password, even where earlier ones should have been escaped.
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        self.keep_if_absent("user", decode(user)?);
        self.keep_if_absent("password", decode(password)?);
        self.read_hosts(hosts)?;
        let database = path.strip_prefix('/').unwrap_or(path);
        if database.contains('/') {
            return Err(wrong(
                "has a second / after its host; in the name of a database write / as %2F",
            ));
        }
        self.keep_if_absent("dbname", decode(database)?);
        Ok(())
    }

    fn read_hosts(&mut self, hosts: &str) -> Result<(), StoreError> {
        let mut names = Vec::new();
        let mut ports = Vec::new();
        for host in hosts.split(',') {
            let (name, port) = match host.strip_prefix('[') {
                Some(address) => address
                    .split_once(']')
                    .ok_or_else(|| wrong("has a host with a [ and no ]"))?,
                None => host.split_at(host.find(':').unwrap_or(host.len())),
            };
            names.push(decode(name)?);
            ports.push(match port.strip_prefix(':') {
                Some(port) => decode(port)?,
                None if port.is_empty() => String::new(),
                None => return Err(wrong("has something other than a port after the ] of a host")),
            });
        }
        let list = |items: Vec<String>| {
            let given = items.iter().any(|item| !item.is_empty());
            if given { items.join(",") } else { String::new() }
        };
        // Without a name two empty hosts are still two.
        if names.len() > 1 {
            self.keep_if_absent("host", names.join(","));
        } else {
            self.keep_if_absent("host", list(names));
        }
        self.keep_if_absent("port", list(ports));
        Ok(())
    }

    /// Reads `name=value name='another value'`.
    fn read_pairs(&mut self, text: &str) -> Result<(), StoreError> {
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let after = after.trim_start().strip_prefix('=').ok_or_else(|| {
                wrong("has a word without a = after it; a value with a space must be in single quotes")
            })?;
            let quoted = after.trim_start().starts_with('\'');
            let (value, after) = read_value(after)?;
            if !quoted && value.contains('=') && !may_hold_an_equals_sign(name) {
                return Err(wrong(
                    "has a parameter with two =; put a space between parameters, and single quotes around a value with a =",
                ));
            }
            self.set(name, value)?;
            rest = after.trim_start();
        }
        Ok(())
    }

    /// `ssl=true` is what node-postgres and JDBC call `sslmode=require`.
    fn translate_ssl(&mut self) -> Result<(), StoreError> {
        let Some(ssl) = self.0.remove("ssl") else {
            return Ok(());
        };
        let mode = match ssl.as_str() {
            "true" | "1" => "require",
            "false" | "0" => "disable",
            _ => {
                return Err(wrong_parameter("ssl", "must be true or false"));
            }
        };
        self.keep_if_absent("sslmode", String::from(mode));
        Ok(())
    }
}

/// Reads the value that `text` begins with; gives it back with what follows.
fn read_value(text: &str) -> Result<(String, &str), StoreError> {
    let value = text.trim_start();
    let quoted = value.strip_prefix('\'');
    let ends = |c: char| if quoted.is_some() { c == '\'' } else { c.is_whitespace() };
    let mut unescaped = String::new();
    let source = quoted.unwrap_or(value);
    let mut characters = source.char_indices();
    let rest = loop {
        match characters.next() {
            Some((at, c)) if ends(c) => break Some(&source[at + c.len_utf8()..]),
            Some((_, '\\')) => unescaped.extend(characters.next().map(|(_, escaped)| escaped)),
            Some((_, c)) => unescaped.push(c),
            None => break None,
        }
    };
    match (quoted, rest) {
        (Some(_), None) => Err(wrong("has a value whose closing single quote is missing")),
        (Some(_), Some(rest)) if !rest.is_empty() && !rest.starts_with(char::is_whitespace) => Err(wrong(
            "has something right after a closing single quote; inside of quotes write ' as \\' and \\ as \\\\",
        )),
        // `user= password=secret`: libpq takes the password for the user's name, and the server would print it.
        (None, _) if value.len() < text.len() && unescaped.contains('=') => {
            Err(wrong("has a name with no value; write an empty value as ''"))
        }
        (_, rest) => Ok((unescaped, rest.unwrap_or(""))),
    }
}

/// Whether people write an = into this parameter's value as it is. In another it says that a separator is missing: what
/// follows may be the password.
fn may_hold_an_equals_sign(name: &str) -> bool {
    matches!(name, "password" | "options")
}

/// Whether the text begins as a URL does.
fn looks_like_another_url(text: &str) -> bool {
    text.find("://")
        .is_some_and(|at| !text[..at].contains(|c: char| c == '=' || c.is_whitespace()))
}

/// Takes a parameter that is not libpq's out of a URL: the URL without it, and its value, if it has one.
pub fn take_parameter(url: &str, name: &str) -> Result<(String, Option<String>), StoreError> {
    let Some((before, query)) = url.split_once('?') else {
        return Ok((url.to_owned(), None));
    };
    let is_it = |pair: &&str| pair.split_once('=').is_some_and(|(given, _)| given == name);
    let (taken, left): (Vec<&str>, Vec<&str>) = query.split('&').partition(is_it);
    let value = taken.first().and_then(|pair| pair.split_once('='));
    let value = value.map(|(_, value)| decode(value)).transpose()?;
    Ok((format!("{before}?{}", left.join("&")), value))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, StoreError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    decoded.extend(parts.next().unwrap_or("").bytes());
    for part in parts {
        let byte = part
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|byte| *byte != 0)
            .ok_or_else(|| wrong("has a % without two hexadecimal digits after it (or %00); write % itself as %25"))?;
        decoded.push(byte);
        decoded.extend(part.bytes().skip(2));
    }
    String::from_utf8(decoded).map_err(|_| wrong("is not UTF-8 where it is percent-encoded"))
}

/// What messages call a parameter.
pub(super) fn parameter(name: &str) -> Message {
    message![format!("`{name}` in "), StoreOption::ConnectionString]
}

fn wrong_parameter(name: &str, problem: impl Into<Message>) -> StoreError {
    StoreError::invalid(message![parameter(name), " ", problem])
}

fn wrong(problem: impl Into<Message>) -> StoreError {
    StoreError::invalid(message![StoreOption::ConnectionString, " ", problem])
}
