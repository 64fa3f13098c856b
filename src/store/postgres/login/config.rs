//! Where the database is and how to log in: from the options, else the connection string, else the environment.

mod address;
mod login;
mod network;
mod settings;
mod ssl;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, LoadBalanceHosts, SslMode as DriverMode, TargetSessionAttrs};

use self::address::{Address, ServerAddress};
use self::login::Login;
pub use self::settings::Environment;
use self::settings::Settings;
use self::ssl::Ssl;
pub use self::ssl::{SslMode, SslOptions};
pub use super::password::{Password, PasswordSource};
pub use super::tls::TlsConnector as Tls;
use crate::store::address::{StoreAddress, System};
use crate::store::error::StoreError;
use crate::store::message::{Message, StoreOption, message};

/// What `pg_stat_activity` shows when nobody has given a name.
const DEFAULT_APPLICATION_NAME: &str = "sandbox-agent-persist";

/// What the caller says; each field wins over the connection string, and that over the environment.
#[derive(Default)]
pub struct ConnectionOptions {
    /// A URL, or a list of `name=value`.
    pub connection_string: Option<String>,
    /// The password, or who knows it.
    pub password: Option<Password>,
    /// What the server calls this client, in `pg_stat_activity` and its log.
    pub application_name: Option<String>,
    /// Whether to use TLS, and what to verify.
    pub ssl: SslOptions,
    /// How long connecting to each host may take.
    pub connect_timeout: Option<Duration>,
}

/// The order in which hosts are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostOrder {
    /// As they were written.
    AsGiven,
    /// Anew at random for each connection.
    Random,
}

/// All that connecting needs.
#[derive(Clone)]
pub struct Target {
    /// At least one.
    pub hosts: Vec<HostTarget>,
    /// In which order to try them.
    pub order: HostOrder,
    /// Whether a standby is to be passed over.
    pub needs_writable: bool,
    /// How long connecting to each host may take: looking up its name, TLS and logging in included.
    pub connect_timeout: Duration,
    /// Whom to ask for the password of each connection; nobody, if the hosts' configurations have it.
    pub password_source: Option<Arc<dyn PasswordSource>>,
    name: String,
    /// The database's name, where it may be shown.
    database: Option<String>,
    /// What those call the servers who watch the store.
    server: ServerAddress,
}

/// One host.
#[derive(Clone)]
pub struct HostTarget {
    /// With this host alone.
    pub config: Config,
    /// To be given to `config.connect`, and to the cancelling of a query.
    pub tls: Tls,
    /// `db.example.com:5432` or `/run/postgresql`.
    pub name: String,
    /// Why there is no password, if there is none: for the message when the server wants one.
    pub password_hint: Option<Message>,
}

impl Target {
    /// Finds out all that connecting needs.
    pub fn parse(options: ConnectionOptions, environment: &Environment) -> Result<Self, StoreError> {
        let settings = Settings::read(options.connection_string.as_deref(), environment)?;
        let addresses = Address::all(&settings)?;
        let ssl = Ssl::choose(&settings, options.ssl)?;
        let login = Login::choose(&settings, environment, options.password)?;
        let order = order(&settings)?;
        // Of several servers another one may not have yet what this one has acknowledged. Where load is balanced, one name may
        // stand for several.
        let several = addresses.len() > 1 || order == HostOrder::Random;
        let needs_writable = needs_writable(&settings)?.unwrap_or(several);
        let connect_timeout = match options.connect_timeout {
            Some(given) => given,
            None => network::connect_timeout(&settings)?,
        };

        let mut config = Config::new();
        config
            .user(&login.user)
            .dbname(&login.database)
            .application_name(application_name(&settings, options.application_name)?)
            .ssl_negotiation(ssl.negotiation)
            .channel_binding(channel_binding(&settings)?)
            .connect_timeout(connect_timeout)
            // A name may have several addresses.
            .load_balance_hosts(match order {
                HostOrder::AsGiven => LoadBalanceHosts::Disable,
                HostOrder::Random => LoadBalanceHosts::Random,
            })
            .target_session_attrs(if needs_writable {
                TargetSessionAttrs::ReadWrite
            } else {
                TargetSessionAttrs::Any
            });
        set_server_settings(&settings, &mut config)?;
        network::set_keepalives(&settings, &mut config)?;

        let hosts: Vec<HostTarget> = addresses
            .iter()
            .map(|address| HostTarget::new(address, config.clone(), &ssl, &login))
            .collect();
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        let database = match &login.database_shown {
            Some(database) => format!("database {database:?}"),
            None => String::from("the database with the user's name"),
        };
        let name = format!("{database} at {}", names.join(", "));
        Ok(Self {
            hosts,
            order,
            needs_writable,
            connect_timeout,
            password_source: login.password_source(),
            name,
            server: ServerAddress::of(&addresses),
            database: login.database_shown,
        })
    }

    /// The database's name in messages, such as `database "app" at db1.example.com:5432, db2:5432`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What those call a store in `schema` who watch it. It is what the caller configured, whichever server answers
    /// (OpenTelemetry's conventions want it so, and a name that changed would split a graph in two).
    pub(in crate::store::postgres) fn store_address(&self, schema: &str) -> StoreAddress {
        StoreAddress {
            system: System::Postgresql,
            namespace: match &self.database {
                Some(database) => format!("{database}|{schema}"),
                None => schema.to_owned(),
            },
            server_address: Some(self.server.address.clone()),
            server_port: self.server.port,
        }
    }
}

impl HostTarget {
    /// The host at `address`; `config` is what all hosts have alike.
    fn new(address: &Address, mut config: Config, ssl: &Ssl, login: &Login) -> Self {
        config.host(&address.host).port(address.port);
        if let Some(ip) = address.ip {
            config.hostaddr(ip);
        }
        // No server speaks TLS on a Unix socket.
        config.ssl_mode(if address.is_socket() {
            DriverMode::Disable
        } else {
            ssl.mode
        });
        let password_hint = login.set_password(&mut config, address);
        Self {
            config,
            tls: ssl.connector.clone(),
            name: address.to_string(),
            password_hint,
        }
    }
}

/// What is handed on to the server, as `PGOPTIONS` is.
fn set_server_settings(settings: &Settings, config: &mut Config) -> Result<(), StoreError> {
    let Some(options) = settings.get("options") else {
        return Ok(());
    };
    // The server would quote it.
    if options.value.contains("password=") {
        return Err(options.must_be("settings of the server; put a separator before `password=`"));
    }
    config.options(options.value);
    Ok(())
}

fn application_name(settings: &Settings, option: Option<String>) -> Result<String, StoreError> {
    let name = option
        .or_else(|| settings.get("application_name").map(|setting| setting.value))
        .or_else(|| settings.get("fallback_application_name").map(|setting| setting.value))
        .unwrap_or_else(|| String::from(DEFAULT_APPLICATION_NAME));
    if name.contains('\0') {
        return Err(StoreError::invalid(message![
            StoreOption::ApplicationName,
            " must not hold a NUL character",
        ]));
    }
    Ok(name)
}

fn channel_binding(settings: &Settings) -> Result<ChannelBinding, StoreError> {
    let binding = settings.parsed("channel_binding", "disable, prefer or require", |value| match value {
        "disable" => Some(ChannelBinding::Disable),
        "prefer" => Some(ChannelBinding::Prefer),
        "require" => Some(ChannelBinding::Require),
        _ => None,
    })?;
    Ok(binding.unwrap_or(ChannelBinding::Prefer))
}

fn order(settings: &Settings) -> Result<HostOrder, StoreError> {
    let order = settings.parsed("load_balance_hosts", "disable or random", |value| match value {
        "disable" => Some(HostOrder::AsGiven),
        "random" => Some(HostOrder::Random),
        _ => None,
    })?;
    Ok(order.unwrap_or(HostOrder::AsGiven))
}

/// Whether the server must take writes, where that is said.
fn needs_writable(settings: &Settings) -> Result<Option<bool>, StoreError> {
    let wanted = "any, read-write or primary, since this driver writes";
    settings.parsed("target_session_attrs", wanted, |value| match value {
        "any" => Some(false),
        "read-write" | "primary" => Some(true),
        _ => None,
    })
}
