//! Where the database is, and how to log in. `bindings` and `cli` call [`Target::parse`]; `connection` connects to what comes of it.
//!
//! `config` puts together what the options, the connection string (`connection_string`), the environment and the password
//! file (`passfile`) say; `permissions` are those of files with secrets; `password` is the caller's own; `tls` says what is verified, and against what.

mod config;
mod connection_string;
mod passfile;
mod password;
mod permissions;
pub(super) mod tls;

pub use config::{ConnectionOptions, Environment, SslMode, SslOptions, Target};
pub(super) use config::{HostOrder, HostTarget};
pub use connection_string::take_parameter;
pub use password::{Password, PasswordSource};
