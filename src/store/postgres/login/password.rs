//! The password of the caller's own: one for all connections, or one that is asked for anew for each.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::store::error::CallerFailure;

/// What the caller says about the password. It wins over the connection string, the environment and the password file.
#[derive(Clone)]
pub enum Password {
    /// The same for all connections.
    Fixed(String),
    /// One that is asked for anew, since it is valid for minutes only.
    Asked(Arc<dyn PasswordSource>),
}

/// Knows the password that is valid now.
pub trait PasswordSource: Send + Sync {
    /// The password for a connection that is about to be made. It may take its time, which counts as that of connecting.
    fn ask(&self) -> BoxFuture<'static, Result<String, CallerFailure>>;
}
