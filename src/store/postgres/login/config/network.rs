//! How long the network may take, and when a silent connection counts as broken.

use std::time::Duration;

use tokio_postgres::Config;

use super::settings::Settings;
use crate::store::error::StoreError;

/// How long connecting to one host may take when nobody has said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the network may be silent before the connection counts as broken. The system's own limits are hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 3;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long connecting may take, unless the caller says so.
pub(super) fn connect_timeout(settings: &Settings) -> Result<Duration, StoreError> {
    Ok(seconds(settings, "connect_timeout")?.unwrap_or(CONNECT_TIMEOUT))
}

pub(super) fn set_keepalives(settings: &Settings, config: &mut Config) -> Result<(), StoreError> {
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

/// A time in seconds. What libpq takes for no limit, or for the system's, zero or less, leaves us our default.
fn seconds(settings: &Settings, name: &str) -> Result<Option<Duration>, StoreError> {
    let seconds = settings.integer(name)?.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs))
}
