//! Where the database is and how to log in: from the options, else the connection string, else the environment.

mod address;
mod settings;
mod ssl;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, LoadBalanceHosts, SslMode as DriverMode, TargetSessionAttrs};

use self::address::Address;
pub use self::settings::Environment;
use self::settings::Settings;
use self::ssl::Ssl;
pub use self::ssl::{SslMode, SslOptions};
use super::passfile::{Passfile, PassfileKey};
pub use super::password::{Password, PasswordSource};
pub use super::tls::TlsConnector as Tls;
use crate::store::error::StoreError;

/// What `pg_stat_activity` shows when nobody has given a name.
const DEFAULT_APPLICATION_NAME: &str = "sandbox-agent-persist";

/// How long connecting to one host may take when nobody has said.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the network may be silent before the connection counts as broken. The system's own limits are hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 3;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

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
    pub password_hint: Option<String>,
}

impl Target {
    /// Finds out all that connecting needs.
    pub fn parse(options: ConnectionOptions, environment: &Environment) -> Result<Self, StoreError> {
        let settings = Settings::read(options.connection_string.as_deref(), environment)?;
        let addresses = Address::all(&settings)?;
        let ssl = Ssl::choose(&settings, options.ssl)?;
        let Login {
            user,
            database,
            database_shown,
        } = Login::choose(&settings, environment)?;
        let order = order(&settings)?;
        // Of several servers another one may not have yet what this one has acknowledged. Where load is balanced, one name may
        // stand for several.
        let several = addresses.len() > 1 || order == HostOrder::Random;
        let needs_writable = needs_writable(&settings)?.unwrap_or(several);
        let connect_timeout = match options.connect_timeout {
            Some(given) => given,
            None => seconds(&settings, "connect_timeout")?.unwrap_or(DEFAULT_CONNECT_TIMEOUT),
        };

        let mut config = Config::new();
        config
            .user(&user)
            .dbname(&database)
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
        if let Some(options) = settings.get("options") {
            // The server would quote it.
            if options.value.contains("password=") {
                return Err(options.must_be("settings of the server; put a separator before `password=`"));
            }
            config.options(options.value);
        }
        set_keepalives(&settings, &mut config)?;

        let (password, password_source) = match options.password {
            Some(Password::Fixed(password)) => (Some(password), None),
            Some(Password::Asked(source)) => (None, Some(source)),
            None => (settings.get("password").map(|setting| setting.value), None),
        };
        let passfile = match (&password, &password_source) {
            (None, None) => find_passfile(&settings, environment),
            _ => Passfile::Absent,
        };
        let host_target = |address: &Address| {
            let mut config = config.clone();
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
            let found = match &password {
                Some(password) => Some(Ok(password.clone())),
                None if password_source.is_some() => None,
                None => Some(passfile.password(PassfileKey {
                    host: &address.host,
                    port: address.port,
                    database: &database,
                    user: &user,
                })),
            };
            let password_hint = match found {
                Some(Ok(password)) => {
                    config.password(password);
                    None
                }
                Some(Err(hint)) => Some(hint),
                None => None,
            };
            HostTarget {
                config,
                tls: ssl.connector.clone(),
                name: address.to_string(),
                password_hint,
            }
        };
        let hosts: Vec<HostTarget> = addresses.iter().map(host_target).collect();
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        let name = format!("{database_shown} at {}", names.join(", "));
        Ok(Self {
            hosts,
            order,
            needs_writable,
            connect_timeout,
            password_source,
            name,
        })
    }

    /// The database's name in messages, such as `database "app" at db1.example.com:5432, db2:5432`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Who logs in to what.
struct Login {
    user: String,
    database: String,
    /// What messages call the database.
    database_shown: String,
}

impl Login {
    fn choose(settings: &Settings, environment: &Environment) -> Result<Self, StoreError> {
        let given_user = settings.get("user").map(|setting| setting.value);
        let Some(user) = given_user.clone().or_else(|| environment.user.clone()) else {
            return Err(StoreError::invalid(
                "no user is known: give one in options.connectionString or PGUSER",
            ));
        };
        let Some(database) = settings.get("dbname") else {
            return Ok(Self {
                database: user.clone(),
                // Where the : after a user is missing, the password is a part of what looks like the user.
                database_shown: match given_user {
                    Some(_) => String::from("the database with the user's name"),
                    None => format!("database {user:?}"),
                },
                user,
            });
        };
        // libpq takes a whole connection string as the database's name. Its password must not get into our messages.
        if database.value.contains("://") || database.value.contains('=') {
            return Err(
                database.must_be("the name of a database; a connection string belongs into options.connectionString")
            );
        }
        Ok(Self {
            user,
            database_shown: format!("database {:?}", database.value),
            database: database.value,
        })
    }
}

fn application_name(settings: &Settings, option: Option<String>) -> Result<String, StoreError> {
    let name = option
        .or_else(|| settings.get("application_name").map(|setting| setting.value))
        .or_else(|| settings.get("fallback_application_name").map(|setting| setting.value))
        .unwrap_or_else(|| String::from(DEFAULT_APPLICATION_NAME));
    if name.contains('\0') {
        return Err(StoreError::invalid(
            "options.applicationName must not hold a NUL character",
        ));
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

/// A time in seconds. What libpq takes for no limit, or for the system's, zero or less, leaves us our default.
fn seconds(settings: &Settings, name: &str) -> Result<Option<Duration>, StoreError> {
    let seconds = settings.integer(name)?.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs))
}

fn set_keepalives(settings: &Settings, config: &mut Config) -> Result<(), StoreError> {
    let count = settings.integer("keepalives_count")?;
    let count = count
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| *count > 0);
    config
        .keepalives(settings.integer("keepalives")? != Some(0))
        .keepalives_idle(seconds(settings, "keepalives_idle")?.unwrap_or(KEEPALIVE_IDLE))
        .keepalives_interval(seconds(settings, "keepalives_interval")?.unwrap_or(KEEPALIVE_INTERVAL))
        .keepalives_retries(count.unwrap_or(KEEPALIVE_COUNT));
    match settings.integer("tcp_user_timeout")?.map(u64::try_from) {
        None => config.tcp_user_timeout(TCP_USER_TIMEOUT),
        // Here zero is the way to have the system's own.
        Some(Ok(0) | Err(_)) => config,
        Some(Ok(milliseconds)) => config.tcp_user_timeout(Duration::from_millis(milliseconds)),
    };
    Ok(())
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
