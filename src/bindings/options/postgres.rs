//! The options of `PostgresSessionPersistDriver`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{Function, Unknown};
use napi::{Env, ValueType};

use super::Parsed;
use super::known::{OF_PG, POSTGRES, POSTGRES_SSL, SQLITE, SSL_OF_PG};
use crate::bindings::arguments::{self, object, read, wrong};
use crate::bindings::error::Failure;
use crate::bindings::fields::Fields;
use crate::bindings::password::PasswordFunction;
use crate::bindings::realm::Realm;
use crate::store::access::Access;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::postgres::{
    ConnectionOptions, DEFAULT_SCHEMA, Environment, Password, PostgresOptions, SslMode, SslOptions, Tables, Target,
};

/// Reads the constructor's argument.
pub(in crate::bindings) fn parse(
    env: &Env,
    realm: &Rc<Realm>,
    options: Option<Unknown<'_>>,
) -> Result<Parsed<PostgresOptions>, Failure> {
    let options = super::options("options", options, |given| {
        of_pg("options", given, &OF_PG).or_else(|| POSTGRES.refuse("options", given, Some(&SQLITE)))
    })?;
    let ssl = options.given("ssl")?;
    if let Some(value) = ssl.filter(|value| object("options.ssl", *value).is_err()) {
        // `pg` takes true and false.
        let wanted = "an object with `mode`, such as `{ mode: \"verify-full\" }`";
        return Err(wrong("options.ssl", wanted, &value));
    }
    let ssl = super::options("options.ssl", ssl, |given| {
        of_pg("options.ssl", given, &SSL_OF_PG).or_else(|| POSTGRES_SSL.refuse("options.ssl", given, None))
    })?;
    let connection = ConnectionOptions {
        connection_string: options.string("connectionString")?,
        password: password(env, realm, &options)?,
        application_name: options.string("applicationName")?,
        ssl: SslOptions {
            mode: ssl.choice("mode", &SslMode::NAMES)?,
            ca: ssl.string("ca")?,
            cert: ssl.string("cert")?,
            key: ssl.string("key")?,
            servername: ssl.string("servername")?,
        },
        connect_timeout: options.milliseconds("connectTimeoutMs", 1)?,
    };
    let schema = options.string("schema")?;
    let tables = Tables::new(schema.as_deref().unwrap_or(DEFAULT_SCHEMA), &options.table_prefix()?)?;
    let access = match options.boolean("migrate")? {
        Some(false) => Access::Write,
        Some(true) | None => Access::Migrate,
    };
    let index_conflict = options.index_conflict()?;
    let caps = options.caps()?;
    let max_connections = options.whole("maxConnections", "a whole number", 2, 10_000)?;
    let acquire_timeout = options.milliseconds("acquireTimeoutMs", 1)?;
    let query_timeout = options.milliseconds("queryTimeoutMs", 1)?;
    let unless_zero = |limit: Duration| Some(limit).filter(|limit| !limit.is_zero());
    let idle_timeout = options.milliseconds("idleTimeoutMs", 0)?.map(unless_zero);
    let max_lifetime = options.milliseconds("maxLifetimeMs", 0)?.map(unless_zero);
    // Last, since it may read files.
    let target = Target::parse(connection, &Environment::of_process())?;
    let defaults = PostgresOptions::new(target, tables);
    options.parsed(PostgresOptions {
        access,
        index_conflict,
        caps,
        max_connections: max_connections.unwrap_or(defaults.max_connections),
        acquire_timeout: acquire_timeout.unwrap_or(defaults.acquire_timeout),
        query_timeout: query_timeout.unwrap_or(defaults.query_timeout),
        idle_timeout: idle_timeout.unwrap_or(defaults.idle_timeout),
        max_lifetime: max_lifetime.unwrap_or(defaults.max_lifetime),
        ..defaults
    })
}

/// The option `password`: a text, or a function that is asked for it.
fn password(env: &Env, realm: &Rc<Realm>, options: &Fields<'_>) -> Result<Option<Password>, Failure> {
    let Some(value) = options.given("password")? else {
        return Ok(None);
    };
    if let Some(function) = read::<Function<(), Unknown>>(&value, ValueType::Function) {
        let asked = function
            .create_ref()
            .and_then(|function| PasswordFunction::new(env, realm, function));
        let asked = asked.map_err(|error| {
            StoreError::new(
                ErrorKind::Internal,
                format!("keeping the function of options.password failed: {error}; please report it"),
            )
        })?;
        return Ok(Some(Password::Asked(Arc::new(asked))));
    }
    if !matches!(value.get_type(), Ok(ValueType::String)) {
        let wanted = "a string, or a function that returns a string or a promise of one";
        return Err(wrong("options.password", wanted, &value));
    }
    let password = arguments::string("options.password", value)?;
    if password.contains('\0') {
        return Err(StoreError::invalid("options.password must not hold a NUL character").into());
    }
    Ok(Some(Password::Fixed(password)))
}

/// What is wrong with the name, if it is of an option of `pg`.
fn of_pg(path: &str, given: &str, names: &[(&str, &str)]) -> Option<StoreError> {
    let (_, instead) = names.iter().find(|(name, _)| *name == given)?;
    Some(StoreError::invalid(format!(
        "{path}.{given} is an option of `pg`, not of this driver: {instead}"
    )))
}
