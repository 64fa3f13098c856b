use super::*;

/// What was read, as `name=value` in the order of the names.
fn read(text: &str) -> String {
    let Parameters(parameters) = Parameters::parse(text).unwrap();
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}

fn error(text: &str) -> String {
    Parameters::parse(text).err().unwrap().to_string()
}

#[test]
fn urls() {
    assert_eq!(
        read("postgres://app:s3cret@db.example.com:6432/events?sslmode=require&connect_timeout=5"),
        "connect_timeout=5; dbname=events; host=db.example.com; password=s3cret; port=6432; sslmode=require; user=app"
    );
    assert_eq!(read("postgresql://"), "");
    assert_eq!(read("postgresql:///"), "");
    assert_eq!(read("postgres://db"), "host=db");
    assert_eq!(read("postgres://:5433"), "port=5433");
    assert_eq!(read("postgres://app@/events?"), "dbname=events; user=app");
    assert_eq!(read("postgres://app:@db"), "host=db; user=app");
    assert_eq!(read("postgres://db?user=me&password="), "host=db; user=me");
    assert_eq!(read("  postgres://db/app\n"), "dbname=app; host=db");
}

#[test]
fn several_hosts() {
    assert_eq!(read("postgres://a:1,b,c:3/x"), "dbname=x; host=a,b,c; port=1,,3");
    assert_eq!(read("postgres://a,b"), "host=a,b");
    assert_eq!(read("postgres://a,"), "host=a,");
    assert_eq!(read("postgres://[::1]:5433,[fe80::2]"), "host=::1,fe80::2; port=5433,");
}

#[test]
fn unix_sockets() {
    assert_eq!(
        read("postgres://%2Frun%2Fpostgresql/x"),
        "dbname=x; host=/run/postgresql"
    );
    assert_eq!(
        read("postgres:///x?host=/run/postgresql"),
        "dbname=x; host=/run/postgresql"
    );
    assert_eq!(
        read("postgres://elsewhere/x?host=/cloudsql/a:b:c"),
        "dbname=x; host=/cloudsql/a:b:c"
    );
}

#[test]
fn odd_passwords() {
    assert_eq!(
        read("postgres://u:p%40%2f%3F%25%C3%A9@h"),
        "host=h; password=p@/?%é; user=u"
    );
    assert_eq!(read("postgres://u:p:q@h"), "host=h; password=p:q; user=u");
    assert_eq!(
        read("postgres://u:p@q#r,s[t@h:1"),
        "host=h; password=p@q#r,s[t; port=1; user=u"
    );
    assert_eq!(
        read("postgres://u+v:p+q@h?options=-c%20a%3Db"),
        "host=h; options=-c a=b; password=p+q; user=u+v"
    );
    assert_eq!(
        read(r"password='it\'s \\ here' user=a\ b"),
        r"password=it's \ here; user=a b"
    );
}

#[test]
fn lists_of_name_and_value() {
    assert_eq!(
        read("host = a,b\tport=1,2  user ='' dbname='my db'  password= x"),
        "dbname=my db; host=a,b; password=x; port=1,2"
    );
    assert_eq!(read("user=a user=b"), "user=b");
    assert_eq!(read("user=a user=''"), "");
    assert_eq!(read("password=a=b options='-c a=b'"), "options=-c a=b; password=a=b");
}

#[test]
fn parameters_of_hosts_and_other_clients() {
    assert_eq!(
        read("postgres://h?pgbouncer=true&supa=base-pooler.x&client_encoding=utf8&gssencmode=prefer"),
        "host=h"
    );
    assert_eq!(
        read("postgres://h?keepalives_retries=4&sslcrl="),
        "host=h; keepalives_count=4"
    );
    assert_eq!(read("postgres://h?ssl=true"), "host=h; sslmode=require");
    assert_eq!(read("postgres://h?ssl=0"), "host=h; sslmode=disable");
    assert_eq!(
        read("postgres://h?ssl=true&sslmode=no-verify"),
        "host=h; sslmode=no-verify"
    );
    assert!(error("postgres://h?ssl=yes").contains("`ssl`"));
    assert!(error("postgres://h?schema=x").contains("use schema"));
    assert!(error("postgres://h?connection_limit=5").contains("use max_connections"));
    assert!(error("postgres://h?sslpassword=x").contains("openssl pkey"));
    assert!(error("service=x").contains("service files are not read"));
    assert!(error("gssencmode=require").contains("`gssencmode`"));
    assert!(error("require_auth=none").contains("channel_binding=require"));
    assert_eq!(
        error("postgres://u:p@h?sslmod=require"),
        "connection_string has an unknown parameter; perhaps `sslmode` is meant"
    );
    assert!(error("postgres://u:p@h?SSLMode=require").contains("perhaps `sslmode`"));
    assert!(error("postgres://u:p@h?pool=5").contains("those that are used are application_name, channel_binding"));
    assert!(error("postgres:u:p@h?x=5").contains("must begin with postgres://"));
    assert!(error("postgres://h?sslmode=require=x").contains("two ="));
    assert!(error("host=h sslcert=/a=b").contains("single quotes"));
    assert_eq!(read("host=h sslcert='/a=b'"), "host=h; sslcert=/a=b");
    assert_eq!(
        read("postgres://h?options=a=b&password=c=d"),
        "host=h; options=a=b; password=c=d"
    );
}

#[test]
fn what_is_no_connection_string() {
    assert!(error(" \n").contains("PG* environment variables"));
    assert!(error("mysql://u:p@h").contains("postgres://"));
    assert!(error("jdbc:postgresql://h/x").contains("postgres://"));
    assert!(error("localhost").contains("without a ="));
    assert!(error("postgres://[::1/x").contains("no ]"));
    assert!(error("postgres://[::1]x").contains("after the ]"));
    assert!(error("postgres://h?sslmode").contains("without a ="));
    assert!(error("user='x").contains("closing single quote"));
    assert!(error("postgres://%FF@h").contains("UTF-8"));
    assert!(error("postgres://a%00b@h").contains("%25"));
    assert!(error("postgres://é%é@h").contains("%25"));
}

/// Each string has `hunt` in its password, with something around it that the parser takes for the end of the password.
#[test]
fn no_message_holds_a_piece_of_the_password() {
    for text in [
        "postgres://u:12/hunt@h/x",
        "postgres://u:12/a@hunt@h/x",
        "postgres://u:12?hunt@h/x",
        "postgres://u:12?hunt=1@h/x",
        "postgres://u:12?x=1&hunt=1@h/x",
        "postgres://u:50%hunt@h/x",
        "postgres://u:a@b/hunt@h/x",
        "postgres://u:a@b?hunt=c@h/x",
        "postgres://h?password=a&hunt=b",
        "postgres://h?password=a&hunt",
        "postgres://h?password=a%hunt",
        "password=a hunt host=h",
        "password=a hunt=b host=h",
        "password='it's hunt=b' host=h",
        "password='it's=hunt",
        "password='hunt",
        "password=a' hunt'=b",
        "user= password=hunt",
        "dbname= password=hunt host=h",
        "hunt",
        "hunt=1",
        "postgres:app:hunt@db/app?sslmode=require",
        "postgres:/app:hunt=1@db",
        "user=apppassword=hunt",
        "postgres://h?sslrootcert=/ca.crtpassword=hunt",
        "postgre://u:hunt@h",
        "//u:hunt@h",
    ] {
        let message = error(text);
        assert!(!message.contains("hunt"), "{text}: {message}");
    }
}
