//! TLS to the server: the connector that tokio-postgres asks for, and what to do when a handshake fails.

pub mod pem;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
pub mod verifier;

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig};
use tokio_postgres::Socket;
use tokio_postgres::config::SslNegotiation;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use self::pem::Pem;
use self::verifier::{Roots, ServerVerifier, Verification};
use crate::store::error::{ErrorKind, StoreError};
use crate::store::message::{Message, StoreOption, message};

/// What TLS is to be like.
pub struct TlsOptions {
    /// What is verified.
    pub verification: Verification,
    /// By whom.
    pub roots: Roots,
    /// The certificate and the key that we show to the server.
    pub client: Option<(Pem, Pem)>,
    /// The name to ask for and to verify, in place of the host's.
    pub server_name: Option<String>,
    /// How TLS begins.
    pub negotiation: SslNegotiation,
}

/// Makes TLS connections; a clone shares everything.
#[derive(Clone)]
pub struct TlsConnector {
    rustls: MakeRustlsConnect,
    server_name: Option<String>,
}

impl TlsConnector {
    /// A connector for all connections of a driver.
    pub fn new(options: TlsOptions) -> Result<Self, StoreError> {
        if let Some(name) = &options.server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            return Err(StoreError::invalid(message![
                StoreOption::SslServername,
                " must be the name or the address of a host, without a port",
            ]));
        }
        // Never the process's own choice of cryptography: nobody may have made one.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = ServerVerifier {
            verification: options.verification,
            roots: options.roots,
            algorithms: provider.signature_verification_algorithms,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| StoreError::new(ErrorKind::Internal, format!("setting up TLS failed: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match options.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificate.certificates()?, key.private_key()?)
                .map_err(|error| {
                    certificate.wrong(message![
                        "and the key from ",
                        key.origin(),
                        format!(" do not go together: {error}"),
                    ])
                })?,
        };
        if options.negotiation == SslNegotiation::Direct {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(Self {
            rustls: MakeRustlsConnect::new(config),
            server_name: options.server_name,
        })
    }
}

impl MakeTlsConnect<Socket> for TlsConnector {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        let name = self.server_name.as_deref().unwrap_or(host);
        MakeTlsConnect::<Socket>::make_tls_connect(&mut self.rustls, name)
    }
}

/// What a server must be for `sslnegotiation=direct`.
pub(in crate::store::postgres) const DIRECT: &str =
    "sslnegotiation=direct needs PostgreSQL 17 or newer, or a proxy that knows it";

/// What to do about a connection that failed in its TLS handshake; nothing if it failed elsewhere.
#[must_use]
pub fn advice(error: &(dyn Error + 'static)) -> Option<Message> {
    use rustls::Error::{AlertReceived, InvalidCertificate, NoApplicationProtocol, PeerIncompatible};
    let advice = match rustls_error(error)? {
        InvalidCertificate(problem) => match problem {
            CertificateError::UnknownIssuer => {
                message![
                    "give the certificate of the server's authority in ",
                    StoreOption::SslCa,
                    " or sslrootcert; sslmode=no-verify encrypts without knowing who the server is",
                ]
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                message![
                    "connect by a name that the certificate has as a subjectAltName, give such a name in ",
                    StoreOption::SslServername,
                    ", or leave the name unverified with sslmode=verify-ca and the authority's certificate",
                ]
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "renew the server's certificate".into()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "check the clocks of this machine and of the server".into()
            }
            _ => {
                message![
                    "give the server's own certificate in ",
                    StoreOption::SslCa,
                    " or sslrootcert, with the mode verify-ca unless it is of X.509 version 3 and has a subjectAltName",
                ]
            }
        },
        AlertReceived(AlertDescription::CertificateRequired) => {
            message![
                "the server wants a client certificate: give ",
                StoreOption::SslCert,
                " and ",
                StoreOption::SslKey,
                ", or sslcert and sslkey",
            ]
        }
        AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked,
        ) => "the server does not accept the client certificate".into(),
        NoApplicationProtocol | AlertReceived(AlertDescription::NoApplicationProtocol) => DIRECT.into(),
        AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion) | PeerIncompatible(_) => {
            "the server must offer TLS 1.2 or 1.3".into()
        }
        _ => return None,
    };
    Some(advice)
}

/// What rustls said, at the bottom of what others said about it.
fn rustls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An I/O error does not count the error that it was made of as its source.
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref());
        if inner.is_some() {
            return inner;
        }
        current = error.source();
    }
    None
}
