use std::io::Write;
use std::net::TcpListener;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_postgres::tls::TlsConnect;
use x509_cert::der::{Decode, Encode};

use super::*;

struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

/// What no certificate holds.
const NO_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\neA==\n-----END CERTIFICATE-----\n";

impl Identity {
    fn new(certificate: &rcgen::Certificate, key: KeyPair) -> Self {
        Self {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }

    fn pem(&self) -> Pem {
        Pem::from_option(StoreOption::SslCa, &self.pem).unwrap()
    }

    /// Connects to a server with this identity, with the name `host`.
    fn connect(&self, connector: &TlsConnector, host: &str) -> Result<(), String> {
        let signed = |version| self.connect_with(connector, host, version, None);
        let results = [signed(&TLS12), signed(&TLS13)];
        assert_eq!(results[0], results[1], "TLS 1.2 and 1.3 differ");
        results[1].clone()
    }

    fn connect_with(
        &self,
        connector: &TlsConnector,
        host: &str,
        version: &'static SupportedProtocolVersion,
        clients: Option<&Identity>,
    ) -> Result<(), String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.certificate.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let mut config = builder
            .with_single_cert(vec![self.certificate.clone()], key.into())
            .unwrap();
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut tls = ServerConnection::new(Arc::new(config)).unwrap();
            // Until the client is through with the handshake, or has given up.
            let _ = tls.complete_io(&mut socket).map(|_| tls.writer().write_all(b"hello"));
            let _ = tls.complete_io(&mut socket);
            tls.alpn_protocol().map(<[u8]>::to_vec)
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let connected = runtime.block_on(async {
            let socket = TcpStream::connect(address).await.unwrap();
            let name = connector.server_name.as_deref().unwrap_or(host);
            let mut rustls = connector.rustls.clone();
            let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut rustls, name).unwrap();
            let stream = tls.connect(socket).await?;
            drop(stream);
            Ok::<(), std::io::Error>(())
        });
        server.join().unwrap();
        connected.map_err(|error| advice(&error).map_or(String::from("no advice"), |advice| advice.to_string()))
    }
}

fn authority() -> (Identity, Issuer<'static, KeyPair>) {
    let mut parameters = CertificateParams::new(vec![String::from("localhost")]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let issuer = KeyPair::from_pem(&key.serialize_pem()).unwrap();
    (Identity::new(&certificate, key), Issuer::new(parameters, issuer))
}

fn signed_by(issuer: &Issuer<'static, KeyPair>, change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let names = ["localhost", "*.example.com", "127.0.0.1", "::1"].map(String::from);
    let mut parameters = CertificateParams::new(names).unwrap();
    change(&mut parameters);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = parameters.signed_by(&key, issuer).unwrap();
    Identity::new(&certificate, key)
}

fn connector(verification: Verification, roots: Roots) -> TlsConnector {
    TlsConnector::new(TlsOptions {
        verification,
        roots,
        client: None,
        server_name: None,
        negotiation: SslNegotiation::Postgres,
    })
    .unwrap()
}

fn trusting(verification: Verification, root: &Identity) -> TlsConnector {
    connector(verification, Roots::given(&root.pem()).unwrap())
}

fn assert_refused(result: Result<(), String>, why: &str) {
    let advice = result.unwrap_err();
    assert!(advice.contains(why), "{advice}");
}

#[test]
fn chain_and_host() {
    let (root, issuer) = authority();
    let server = signed_by(&issuer, |_| {});
    let connector = trusting(Verification::ChainAndHost, &root);
    for host in ["localhost", "db.example.com", "127.0.0.1", "::1"] {
        server.connect(&connector, host).unwrap();
    }
    for host in ["elsewhere", "a.b.example.com", "127.0.0.2"] {
        assert_refused(server.connect(&connector, host), "subjectAltName");
    }
    let stranger = signed_by(&authority().1, |_| {});
    assert_refused(stranger.connect(&connector, "localhost"), "ssl.ca");
    let expired = signed_by(&issuer, |parameters| parameters.not_after = date_time_ymd(2001, 1, 1));
    assert_refused(expired.connect(&connector, "localhost"), "renew");
    let early = signed_by(&issuer, |parameters| parameters.not_before = date_time_ymd(4000, 1, 1));
    assert_refused(early.connect(&connector, "localhost"), "clocks");
}

#[test]
fn the_chain_alone() {
    let (root, issuer) = authority();
    let connector = trusting(Verification::Chain, &root);
    signed_by(&issuer, |_| {}).connect(&connector, "elsewhere").unwrap();
    assert_refused(
        signed_by(&authority().1, |_| {}).connect(&connector, "localhost"),
        "ssl.ca",
    );
    let expired = signed_by(&issuer, |parameters| parameters.not_after = date_time_ymd(2001, 1, 1));
    assert_refused(expired.connect(&connector, "localhost"), "renew");
}

#[test]
fn nothing() {
    let connector = connector(Verification::Nothing, Roots::System);
    let expired = signed_by(&authority().1, |parameters| {
        parameters.not_after = date_time_ymd(2001, 1, 1);
    });
    expired.connect(&connector, "elsewhere").unwrap();
}

#[test]
fn the_system_does_not_vouch_for_strangers() {
    let connector = connector(Verification::Chain, Roots::System);
    assert_refused(authority().0.connect(&connector, "localhost"), "ssl.ca");
}

#[test]
fn a_self_signed_server_vouches_for_itself() {
    let (server, _) = authority();
    server
        .connect(&trusting(Verification::ChainAndHost, &server), "localhost")
        .unwrap();
    assert_refused(
        server.connect(&trusting(Verification::ChainAndHost, &server), "elsewhere"),
        "subjectAltName",
    );
    server
        .connect(&trusting(Verification::Chain, &server), "elsewhere")
        .unwrap();
    let (other, _) = authority();
    assert_refused(
        other.connect(&trusting(Verification::Chain, &server), "localhost"),
        "ssl.ca",
    );

    // One that is no authority, and has had its time.
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec![String::from("localhost")]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let server = Identity::new(&certificate, key);
    server
        .connect(&trusting(Verification::ChainAndHost, &server), "localhost")
        .unwrap();
    parameters.not_after = date_time_ymd(2001, 1, 1);
    let certificate = parameters.self_signed(&server.key).unwrap();
    let server = Identity::new(&certificate, server.key);
    assert_refused(
        server.connect(&trusting(Verification::Chain, &server), "localhost"),
        "renew",
    );
}

/// `openssl x509 -req` made such certificates for years, and webpki does not read them.
#[test]
fn certificates_of_version_1() {
    let (server, issuer) = authority();
    let as_version_1 = |identity: &Identity| {
        let mut certificate = x509_cert::Certificate::from_der(&identity.certificate).unwrap();
        certificate.tbs_certificate.version = x509_cert::Version::V1;
        certificate.tbs_certificate.extensions = None;
        CertificateDer::from(certificate.to_der().unwrap())
    };
    let old = as_version_1(&server);
    // rustls' server does not read the certificate either, so there is no handshake to be had here.
    let verifier = |verification| ServerVerifier {
        verification,
        roots: {
            let mut store = RootCertStore::empty();
            store.add(old.clone()).unwrap();
            let certificates = vec![old.clone()];
            Roots::Given { store, certificates }
        },
        algorithms: rustls::crypto::ring::default_provider().signature_verification_algorithms,
    };
    let verify = |verification, certificate| {
        let name = ServerName::try_from("localhost").unwrap();
        let now = rustls::pki_types::UnixTime::now();
        rustls::client::danger::ServerCertVerifier::verify_server_cert(
            &verifier(verification),
            certificate,
            &[],
            &name,
            &[],
            now,
        )
    };
    verify(Verification::Nothing, &old).unwrap();
    verify(Verification::Chain, &old).unwrap();
    let refused = verify(Verification::ChainAndHost, &old).unwrap_err();
    assert!(advice(&refused).unwrap().to_string().contains("own certificate"));
    let other = as_version_1(&signed_by(&issuer, |_| {}));
    verify(Verification::Chain, &other).unwrap_err();
}

#[test]
fn the_name_may_be_another() {
    let (root, issuer) = authority();
    let server = signed_by(&issuer, |_| {});
    let options = |name: &str| TlsOptions {
        verification: Verification::ChainAndHost,
        roots: Roots::given(&root.pem()).unwrap(),
        client: None,
        server_name: Some(String::from(name)),
        negotiation: SslNegotiation::Direct,
    };
    server
        .connect(&TlsConnector::new(options("db.example.com")).unwrap(), "10.0.0.1")
        .unwrap();
    assert_refused(
        server.connect(&TlsConnector::new(options("x")).unwrap(), "localhost"),
        "ssl.servername",
    );
    let error = TlsConnector::new(options("https://x/")).err().unwrap();
    assert!(error.to_string().contains("ssl.servername"));
}

#[test]
fn client_certificates() {
    let (root, issuer) = authority();
    let server = signed_by(&issuer, |_| {});
    let client = signed_by(&issuer, |_| {});
    let options = |key: &str| TlsOptions {
        verification: Verification::ChainAndHost,
        roots: Roots::given(&root.pem()).unwrap(),
        client: Some((client.pem(), Pem::from_option(StoreOption::SslKey, key).unwrap())),
        server_name: None,
        negotiation: SslNegotiation::Postgres,
    };
    let connector = TlsConnector::new(options(&client.key.serialize_pem())).unwrap();
    server
        .connect_with(&connector, "localhost", &TLS12, Some(&root))
        .unwrap();
    server
        .connect_with(&connector, "localhost", &TLS13, Some(&root))
        .unwrap();
    // With TLS 1.3 a server says only afterwards that it wanted one.
    let without = trusting(Verification::ChainAndHost, &root);
    server
        .connect_with(&without, "localhost", &TLS12, Some(&root))
        .unwrap_err();

    let error = TlsConnector::new(options(&server.key.serialize_pem())).err().unwrap();
    assert!(error.to_string().contains("do not go together"), "{error}");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let error = TlsConnector::new(options(encrypted)).err().unwrap();
    assert!(error.to_string().contains("openssl pkey"), "{error}");
    let error = TlsConnector::new(options(NO_CERTIFICATE)).err().unwrap();
    assert!(error.to_string().contains("no private key"), "{error}");
}

#[test]
fn pem_that_is_none() {
    let option = |text: &str| Pem::from_option(StoreOption::SslCa, text);
    assert!(
        option("/etc/ca.pem")
            .err()
            .unwrap()
            .to_string()
            .contains("ssl.ca must be PEM text")
    );
    let (root, _) = authority();
    assert_eq!(
        option(&root.pem.replace('\n', "\\n"))
            .unwrap()
            .certificates()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(option(&root.pem.repeat(3)).unwrap().certificates().unwrap().len(), 3);
    assert!(Roots::given(&option(NO_CERTIFICATE).unwrap()).is_err());
    let key = option(&root.key.serialize_pem()).unwrap();
    assert!(key.certificates().unwrap_err().to_string().contains("no certificate"));
    let error = Pem::from_file(&"PGSSLROOTCERT".into(), "/nowhere/ca.pem")
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("/nowhere/ca.pem, which PGSSLROOTCERT names"),
        "{error}"
    );
}
