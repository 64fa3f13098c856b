//! What the command line calls the options of a store, for its errors.

use crate::store::message::StoreOption;

pub(super) fn name(option: StoreOption) -> &'static str {
    match option {
        StoreOption::Migrate => "`sandbox-agent-persist migrate`",
        StoreOption::TablePrefix => "--table-prefix",
        StoreOption::Schema => "`?schema=` in --store",
        StoreOption::Filename | StoreOption::ConnectionString => "--store",
        StoreOption::Readonly => "a command that only reads",
        StoreOption::ApplicationName => "PGAPPNAME",
        StoreOption::ConnectTimeout => "`connect_timeout` in --store",
        StoreOption::SslCa => "`sslrootcert` in --store",
        StoreOption::SslCert => "`sslcert` in --store",
        StoreOption::SslKey => "`sslkey` in --store",
        StoreOption::SslServername => "the host in --store",
        // The command line sets these itself.
        StoreOption::BusyTimeout => "the time to wait for locks",
        StoreOption::MaxConnections => "the number of connections",
        StoreOption::AcquireTimeout => "the time to wait for a connection",
        StoreOption::QueryTimeout => "the time that a call may take",
    }
}
