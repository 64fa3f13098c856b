//! Who logs in, to which database, and with which password.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_postgres::Config;

use super::address::Address;
use super::settings::{Environment, Settings};
use crate::store::error::StoreError;
use crate::store::message::{Message, StoreOption, message};
use crate::store::postgres::login::passfile::{Passfile, PassfileKey};
use crate::store::postgres::login::password::{Password, PasswordSource};

/// See the module's description.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) database: String,
    /// The database's name, where it may be shown.
    pub(super) database_shown: Option<String>,
    password: KnownBy,
}

/// Who knows the password.
enum KnownBy {
    Us(String),
    /// Each connection asks.
    Source(Arc<dyn PasswordSource>),
    /// It depends on the host.
    Passfile(Passfile),
}

impl Login {
    pub(super) fn choose(
        settings: &Settings,
        environment: &Environment,
        password: Option<Password>,
    ) -> Result<Self, StoreError> {
        let given_user = settings.get("user").map(|setting| setting.value);
        let Some(user) = given_user.clone().or_else(|| environment.user.clone()) else {
            return Err(StoreError::invalid(message![
                "no user is known: give one in ",
                StoreOption::ConnectionString,
                " or PGUSER",
            ]));
        };
        let password = match (password, settings.get("password")) {
            (Some(Password::Fixed(password)), _) => KnownBy::Us(password),
            (Some(Password::Asked(source)), _) => KnownBy::Source(source),
            (None, Some(setting)) => KnownBy::Us(setting.value),
            (None, None) => KnownBy::Passfile(find_passfile(settings, environment)),
        };
        let Some(database) = settings.get("dbname") else {
            return Ok(Self {
                database: user.clone(),
                // Where the : after a user is missing, the password is a part of what looks like the user.
                database_shown: given_user.is_none().then(|| user.clone()),
                user,
                password,
            });
        };
        // libpq takes a whole connection string as the database's name. Its password must not get into our messages.
        if database.value.contains("://") || database.value.contains('=') {
            return Err(database.must_be(message![
                "the name of a database; a connection string belongs into ",
                StoreOption::ConnectionString,
            ]));
        }
        Ok(Self {
            user,
            database_shown: Some(database.value.clone()),
            database: database.value,
            password,
        })
    }

    /// Whom to ask for the password of each connection, if anybody.
    pub(super) fn password_source(&self) -> Option<Arc<dyn PasswordSource>> {
        match &self.password {
            KnownBy::Source(source) => Some(Arc::clone(source)),
            KnownBy::Us(_) | KnownBy::Passfile(_) => None,
        }
    }

    /// Puts the password for a host into its configuration, or comes back with why there is none.
    pub(super) fn set_password(&self, config: &mut Config, address: &Address) -> Option<Message> {
        match &self.password {
            KnownBy::Us(password) => {
                config.password(password);
            }
            KnownBy::Source(_) => {}
            KnownBy::Passfile(passfile) => {
                let found = passfile.password(PassfileKey {
                    host: &address.host,
                    port: address.port,
                    database: &self.database,
                    user: &self.user,
                });
                match found {
                    Ok(password) => config.password(password),
                    Err(reason) => return Some(reason),
                };
            }
        }
        None
    }
}

fn find_passfile(settings: &Settings, environment: &Environment) -> Passfile {
    if let Some(named) = settings.get("passfile") {
        return Passfile::named(Path::new(&named.value));
    }
    let usual = if cfg!(windows) {
        let directory = environment.get("APPDATA").map(PathBuf::from);
        directory.map(|directory| directory.join("postgresql").join("pgpass.conf"))
    } else {
        environment.home.as_ref().map(|home| home.join(".pgpass"))
    };
    usual.map_or(Passfile::Absent, |path| Passfile::usual(&path))
}
