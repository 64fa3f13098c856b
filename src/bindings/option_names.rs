//! What JavaScript calls the options of a store, for its errors.

use crate::store::message::StoreOption;

pub(super) fn name(option: StoreOption) -> &'static str {
    match option {
        StoreOption::Migrate => "options.migrate",
        StoreOption::TablePrefix => "options.tablePrefix",
        StoreOption::Filename => "options.filename",
        StoreOption::BusyTimeout => "options.busyTimeoutMs",
        StoreOption::Readonly => "options.readonly",
        StoreOption::ConnectionString => "options.connectionString",
        StoreOption::Schema => "options.schema",
        StoreOption::MaxConnections => "options.maxConnections",
        StoreOption::ConnectTimeout => "options.connectTimeoutMs",
        StoreOption::AcquireTimeout => "options.acquireTimeoutMs",
        StoreOption::QueryTimeout => "options.queryTimeoutMs",
        StoreOption::ApplicationName => "options.applicationName",
        StoreOption::SslCa => "options.ssl.ca",
        StoreOption::SslCert => "options.ssl.cert",
        StoreOption::SslKey => "options.ssl.key",
        StoreOption::SslServername => "options.ssl.servername",
    }
}
