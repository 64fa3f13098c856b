mod mutations;

use std::collections::HashMap;

use tokio_postgres::config::{Host, SslNegotiation};

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    let variables: HashMap<String, String> = variables
        .iter()
        .map(|(name, value)| (String::from(*name), String::from(*value)))
        .collect();
    Environment {
        variable: Box::new(move |name| variables.get(name).cloned()),
        home: None,
        user: Some(String::from("me")),
    }
}

fn options(connection_string: &str) -> ConnectionOptions {
    ConnectionOptions {
        connection_string: Some(String::from(connection_string)),
        ..ConnectionOptions::default()
    }
}

fn parse(connection_string: &str) -> Target {
    Target::parse(options(connection_string), &environment(&[])).unwrap()
}

fn error(connection_string: &str) -> String {
    Target::parse(options(connection_string), &environment(&[]))
        .err()
        .unwrap()
        .to_string()
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Target, StoreError> {
    Target::parse(ConnectionOptions::default(), &environment(variables))
}

fn host(text: &str) -> Host {
    Config::new().host(text).get_hosts()[0].clone()
}

#[test]
fn defaults() {
    let target = from_environment(&[]).unwrap();
    assert_eq!(target.name(), "database \"me\" at localhost:5432");
    assert_eq!((target.order, target.needs_writable), (HostOrder::AsGiven, false));
    assert_eq!(target.connect_timeout, Duration::from_secs(10));
    let [only] = target.hosts.as_slice() else {
        panic!("{} hosts", target.hosts.len());
    };
    assert_eq!(only.config.get_user(), Some("me"));
    assert_eq!(only.config.get_application_name(), Some("sandbox-agent-persist"));
    assert_eq!(only.config.get_ssl_mode(), DriverMode::Prefer);
    assert_eq!(only.config.get_connect_timeout(), Some(&Duration::from_secs(10)));
    assert_eq!(only.config.get_keepalives_idle(), Duration::from_secs(30));
    assert_eq!(only.config.get_tcp_user_timeout(), Some(&Duration::from_secs(30)));
    assert!(only.password_hint.as_ref().unwrap().to_string().contains("PGPASSWORD"));
}

#[test]
fn those_who_watch_are_told_the_configured_servers_and_database() {
    let told = |connection_string: &str| {
        let address = parse(connection_string).store_address("agents");
        let port = address.server_port.map(|port| format!(" {port}")).unwrap_or_default();
        format!("{} {}{port}", address.namespace, address.server_address.unwrap())
    };
    assert_eq!(told("postgres://u:secret@a:6432/app"), "app|agents a 6432");
    assert_eq!(told("postgres://u:secret@[::1]/app"), "app|agents ::1 5432");
    assert_eq!(
        told("host=/run/postgresql dbname=app"),
        "app|agents /run/postgresql 5432"
    );
    assert_eq!(told("postgres://a,[::1]/app"), "app|agents a,::1");
    assert_eq!(told("postgres://a,[::1]:5433/app"), "app|agents a:5432,[::1]:5433");
    assert_eq!(told("host=a"), "me|agents a 5432");
    // What looks like the user may be the password.
    assert_eq!(told("postgres://secret@a"), "agents a 5432");
}

#[test]
fn each_host_is_a_target_of_its_own() {
    let target = parse(
        "postgres://u:p@a,[::1]:2,10.0.0.1:3/app?target_session_attrs=primary&load_balance_hosts=random&options=-c%20x%3D1",
    );
    assert_eq!(target.name(), "database \"app\" at a:5432, [::1]:2, 10.0.0.1:3");
    assert_eq!((target.order, target.needs_writable), (HostOrder::Random, true));
    for (at, (name, port)) in [("a", 5432), ("::1", 2), ("10.0.0.1", 3)].into_iter().enumerate() {
        let config = &target.hosts[at].config;
        assert_eq!(config.get_hosts(), [host(name)]);
        assert_eq!(config.get_ports(), [port]);
        assert_eq!(config.get_password(), Some(b"p".as_slice()));
        assert_eq!(config.get_options(), Some("-c x=1"));
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(target.hosts[at].password_hint, None);
    }
}

#[test]
fn of_several_servers_one_that_takes_writes_is_wanted_unless_somebody_says_otherwise() {
    for (text, needs_writable) in [
        ("host=a", false),
        ("host=a target_session_attrs=read-write", true),
        ("host=a,b", true),
        ("hostaddr=127.0.0.1,::1", true),
        ("host=a load_balance_hosts=disable", false),
        ("host=a load_balance_hosts=random", true),
        ("host=a,b target_session_attrs=any", false),
        ("host=a load_balance_hosts=random target_session_attrs=any", false),
    ] {
        let target = parse(text);
        assert_eq!(target.needs_writable, needs_writable, "{text}");
        let attributes = target.hosts[0].config.get_target_session_attrs();
        assert_eq!(attributes == TargetSessionAttrs::ReadWrite, needs_writable, "{text}");
    }
}

#[test]
fn addresses() {
    let target = parse("host=a,b hostaddr=127.0.0.1,::1 port=7");
    assert_eq!(target.name(), "database \"me\" at a:7, b:7");
    assert_eq!(target.hosts[1].config.get_hostaddrs().len(), 1);
    assert_eq!(
        parse("hostaddr=127.0.0.1").hosts[0].config.get_hosts(),
        [host("127.0.0.1")]
    );
    assert_eq!(
        parse("postgres://,b:7").name(),
        "database \"me\" at localhost:5432, b:7"
    );
    for (wrong, at) in [
        ("host=a,b hostaddr=127.0.0.1", "`hostaddr`"),
        ("host=a,b port=1,2,3", "`port`"),
        ("port=0", "`port`"),
        ("port=65536", "`port`"),
        ("host=a:1", "`host`"),
        ("host='a b'", "`host`"),
        ("hostaddr=localhost", "`hostaddr`"),
    ] {
        assert!(error(wrong).starts_with(at), "{wrong}: {}", error(wrong));
    }
}

#[cfg(unix)]
#[test]
fn a_unix_socket_has_no_tls() {
    let target = parse("postgres://%2Frun%2Fpostgresql,db:2/app?sslmode=require");
    assert_eq!(target.name(), "database \"app\" at /run/postgresql, db:2");
    assert_eq!(target.hosts[0].config.get_ssl_mode(), DriverMode::Disable);
    assert_eq!(target.hosts[1].config.get_ssl_mode(), DriverMode::Require);
    assert_eq!(parse("host=/tmp port=7").name(), "database \"me\" at /tmp:7");
}

#[test]
fn the_environment_fills_what_the_string_leaves_out() {
    let variables = [
        ("PGHOST", "db"),
        ("PGPORT", "7"),
        ("PGDATABASE", "app"),
        ("PGUSER", "you"),
        ("PGPASSWORD", "p"),
        ("PGAPPNAME", "agents"),
        ("PGOPTIONS", "-c a=b"),
        ("PGCONNECT_TIMEOUT", "3"),
        ("PGTARGETSESSIONATTRS", "read-write"),
        ("PGLOADBALANCEHOSTS", "random"),
        ("PGCHANNELBINDING", "require"),
        ("PGSSLMODE", "no-verify"),
        ("PGSSLNEGOTIATION", "direct"),
    ];
    let target = from_environment(&variables).unwrap();
    let config = &target.hosts[0].config;
    assert_eq!(target.name(), "database \"app\" at db:7");
    assert_eq!((target.order, target.needs_writable), (HostOrder::Random, true));
    assert_eq!(target.connect_timeout, Duration::from_secs(3));
    assert_eq!(
        (config.get_user(), config.get_password()),
        (Some("you"), Some(b"p".as_slice()))
    );
    assert_eq!(config.get_application_name(), Some("agents"));
    assert_eq!(config.get_options(), Some("-c a=b"));
    assert_eq!(config.get_channel_binding(), ChannelBinding::Require);
    assert_eq!(config.get_ssl_mode(), DriverMode::Require);
    assert_eq!(config.get_ssl_negotiation(), SslNegotiation::Direct);

    let given = Target::parse(
        options("postgres://a:b@c/d?connect_timeout=0"),
        &environment(&variables),
    )
    .unwrap();
    assert_eq!(given.name(), "database \"d\" at c:7");
    assert_eq!(given.hosts[0].config.get_user(), Some("a"));
    assert_eq!(given.connect_timeout, Duration::from_secs(10));

    let wrong = |name, value| from_environment(&[(name, value)]).err().unwrap().to_string();
    assert!(wrong("PGPORT", "x").starts_with("PGPORT must be"));
    assert!(wrong("PGSERVICE", "x").contains("unset PGSERVICE"));
    assert!(Target::parse(options("host=a"), &environment(&[("PGSERVICE", "x")])).is_ok());
    let nobody = Environment {
        user: None,
        ..environment(&[])
    };
    assert!(
        Target::parse(options("host=a"), &nobody)
            .err()
            .unwrap()
            .to_string()
            .contains("PGUSER")
    );
}

#[test]
fn options_win_over_the_string() {
    let given = ConnectionOptions {
        application_name: Some(String::from("mine")),
        connect_timeout: Some(Duration::from_millis(1500)),
        ssl: SslOptions {
            mode: Some(SslMode::Disable),
            ..SslOptions::default()
        },
        ..options("postgres://h?application_name=x&connect_timeout=3&sslmode=verify-full")
    };
    let target = Target::parse(given, &environment(&[])).unwrap();
    let config = &target.hosts[0].config;
    assert_eq!(config.get_application_name(), Some("mine"));
    assert_eq!(target.connect_timeout, Duration::from_millis(1500));
    assert_eq!(config.get_ssl_mode(), DriverMode::Disable);
    let fallback = parse("fallback_application_name=x");
    assert_eq!(fallback.hosts[0].config.get_application_name(), Some("x"));
}

#[test]
fn silence_of_the_network() {
    let given = parse("keepalives_idle=7 keepalives_interval=8 keepalives_count=9 tcp_user_timeout=1500");
    let config = &given.hosts[0].config;
    assert_eq!(config.get_keepalives_idle(), Duration::from_secs(7));
    assert_eq!(config.get_keepalives_interval(), Some(Duration::from_secs(8)));
    assert_eq!(config.get_keepalives_retries(), Some(9));
    assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
    let none = parse("keepalives=0 tcp_user_timeout=0");
    assert!(!none.hosts[0].config.get_keepalives());
    assert_eq!(none.hosts[0].config.get_tcp_user_timeout(), None);
    assert!(error("keepalives=yes").starts_with("`keepalives` in connection_string must be an integer"));
}

#[test]
fn tls() {
    let mode = |text: &str| parse(text).hosts[0].config.get_ssl_mode();
    assert_eq!(mode("sslmode=allow"), DriverMode::Prefer);
    assert_eq!(
        mode("sslmode=disable sslcert=/nowhere sslrootcert=/nowhere"),
        DriverMode::Disable
    );
    assert_eq!(mode("sslmode=prefer sslrootcert=/nowhere"), DriverMode::Prefer);
    assert_eq!(mode("uselibpqcompat=true sslrootcert=/nowhere"), DriverMode::Prefer);
    assert_eq!(mode("uselibpqcompat=true sslmode=require"), DriverMode::Require);
    assert_eq!(mode("sslrootcert=system"), DriverMode::Require);
    assert_eq!(mode("ssl=true"), DriverMode::Require);
    assert_eq!(mode("sslmode=verify-full sslnegotiation=direct"), DriverMode::Require);
    for (wrong, why) in [
        ("sslmode=on", "verify-full"),
        ("sslmode=require sslrootcert=/nowhere", "reading /nowhere"),
        ("sslrootcert=/nowhere", "reading /nowhere"),
        (
            "uselibpqcompat=true sslmode=require sslrootcert=/nowhere",
            "reading /nowhere",
        ),
        ("sslrootcert=system sslmode=verify-ca", "verify-full alone"),
        ("sslmode=verify-ca", "ssl.ca or sslrootcert"),
        (
            "sslrootcert=system sslmode=require uselibpqcompat=true",
            "verify-full alone",
        ),
        ("sslnegotiation=direct", "needs TLS"),
        ("sslcert=/nowhere", "reading /nowhere"),
        ("channel_binding=on", "disable, prefer or require"),
        ("target_session_attrs=standby", "this driver writes"),
    ] {
        assert!(error(wrong).contains(why), "{wrong}: {}", error(wrong));
    }
    let with = |text: &str, ssl| {
        let given = ConnectionOptions { ssl, ..options(text) };
        Target::parse(given, &environment(&[])).err().unwrap().to_string()
    };
    let pem = || Some(String::from("-----BEGIN X-----\neA==\n-----END X-----\n"));
    let ca = || SslOptions {
        ca: pem(),
        ..SslOptions::default()
    };
    // It is read although no mode is set: who names an authority wants it asked.
    assert!(with("host=h", ca()).contains("holds no certificate"));
    assert!(with("sslmode=prefer", ca()).contains("verifies nothing"));
    let cert = SslOptions {
        cert: pem(),
        ..SslOptions::default()
    };
    assert!(with("host=h", cert).contains("needs its key"));
}

#[cfg(unix)]
#[test]
fn the_password_file_is_asked_for_each_host() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".pgpass");
    std::fs::write(&path, "a:5432:app:me:first\nb:*:*:*:second\n").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let at_home = Environment {
        home: Some(directory.path().to_path_buf()),
        ..environment(&[])
    };
    let target = Target::parse(options("postgres://a,b,c/app"), &at_home).unwrap();
    let passwords: Vec<_> = target.hosts.iter().map(|host| host.config.get_password()).collect();
    assert_eq!(passwords, [Some(b"first".as_slice()), Some(b"second".as_slice()), None]);
    assert!(
        target.hosts[2]
            .password_hint
            .as_ref()
            .unwrap()
            .to_string()
            .contains("no line of")
    );

    let path = path.to_str().unwrap();
    let named = from_environment(&[("PGPASSFILE", path), ("PGHOST", "b")]).unwrap();
    assert_eq!(named.hosts[0].config.get_password(), Some(b"second".as_slice()));
    let given = parse(&format!("host=b passfile={path}"));
    assert_eq!(given.hosts[0].config.get_password(), Some(b"second".as_slice()));
    let given = parse(&format!("host=b password=p passfile={path}"));
    assert_eq!(given.hosts[0].config.get_password(), Some(b"p".as_slice()));
}

/// Here it is `hunt` that is, or may be, a piece of a password.
#[test]
fn neither_errors_nor_names_hold_a_password() {
    for text in [
        "postgres://u:hunt/x",
        "postgres://u:hunt",
        "postgres://u:[hunt",
        "postgres://[u:hunt]x@h]y",
        "postgres://u:p@h:hunt/x",
        "host='h password=hunt'",
        "host=u:hunt@h",
        "dbname=postgres://u:hunt@h/x",
        "dbname='host=h password=hunt'",
        "host=h sslmode=hunt",
        "host=h connect_timeout=hunt",
        "postgres://h?options=-c%20statement_timeout%3D5spassword=hunt",
    ] {
        assert!(!error(text).contains("hunt"), "{text}: {}", error(text));
    }
    let message = from_environment(&[("PGHOST", "postgres://u:hunt@h/x")])
        .err()
        .unwrap()
        .to_string();
    assert!(
        message.starts_with("PGHOST must be") && !message.contains("hunt"),
        "{message}"
    );
    let target = parse("postgres://user:hunt@h/app");
    assert!(!target.name().contains("user") && !target.name().contains("hunt"));
    assert!(!format!("{:?}", target.hosts[0].config).contains("hunt"));
}
