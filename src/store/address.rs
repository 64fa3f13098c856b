//! Which store it is, in the terms of OpenTelemetry's database conventions: what traces and metrics say of a call.

use serde::Serialize;

/// What a store is called by those who watch it. There is no user and no password in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreAddress {
    /// What kind of database it is: `db.system.name`.
    pub system: System,
    /// Which database: `db.namespace`.
    pub namespace: String,
    /// Where its server is, if it has one: `server.address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_address: Option<String>,
    /// The server's port, where it is not a part of the address: `server.port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_port: Option<u16>,
}

/// The conventions' names of the databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// `sqlite`
    Sqlite,
    /// `postgresql`
    Postgresql,
}
