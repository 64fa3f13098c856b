//! Single settings, from the connection string or else from the environment.

use std::path::PathBuf;

use crate::store::error::StoreError;
use crate::store::message::{Message, StoreOption, message};
use crate::store::postgres::login::connection_string::{Parameters, parameter};

/// Looks up an environment variable.
pub type Variables = Box<dyn Fn(&str) -> Option<String>>;

/// What the process knows about where it runs; handed in, so that tests need not change their own.
pub struct Environment {
    /// The environment variables.
    pub variable: Variables,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// The name of the operating system's user.
    pub user: Option<String>,
}

impl Environment {
    /// This process's.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            variable: Box::new(|name| std::env::var(name).ok()),
            home: std::env::home_dir(),
            user: whoami::username().ok(),
        }
    }

    /// The value of a variable; an empty one is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }
}

const VARIABLES: &[(&str, &str)] = &[
    ("application_name", "PGAPPNAME"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("user", "PGUSER"),
];

/// A setting's value, and where it was set.
pub(super) struct Setting {
    pub(super) value: String,
    /// For messages, which never show the value.
    pub(super) origin: Message,
}

impl Setting {
    pub(super) fn must_be(&self, wanted: impl Into<Message>) -> StoreError {
        StoreError::invalid(message![self.origin.clone(), " must be ", wanted])
    }
}

/// All settings that the caller left to the connection string and the environment.
pub(super) struct Settings<'a> {
    parameters: Parameters,
    environment: &'a Environment,
}

impl<'a> Settings<'a> {
    pub(super) fn read(connection_string: Option<&str>, environment: &'a Environment) -> Result<Self, StoreError> {
        let parameters = match connection_string {
            Some(text) => Parameters::parse(text)?,
            None if environment.get("PGSERVICE").is_some() => {
                return Err(StoreError::invalid(message![
                    "PGSERVICE is set, but service files are not read; pass what the service holds in ",
                    StoreOption::ConnectionString,
                    " or in PGHOST, PGUSER and so on, and unset PGSERVICE",
                ]));
            }
            None => Parameters::default(),
        };
        Ok(Self {
            parameters,
            environment,
        })
    }

    /// The setting that libpq calls `name`, if anybody has set it.
    pub(super) fn get(&self, name: &str) -> Option<Setting> {
        if let Some(value) = self.parameters.get(name) {
            return Some(Setting {
                value: String::from(value),
                origin: parameter(name),
            });
        }
        let (_, variable) = VARIABLES.iter().find(|(setting, _)| *setting == name)?;
        Some(Setting {
            value: self.environment.get(variable)?,
            origin: (*variable).into(),
        })
    }

    /// The setting as what it must be, which `wanted` says in words.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        wanted: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        self.get(name)
            .map(|setting| parse(setting.value.trim()).ok_or_else(|| setting.must_be(wanted)))
            .transpose()
    }

    /// The setting as an integer.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i32>, StoreError> {
        self.parsed(name, "an integer", |value| value.parse().ok())
    }
}
