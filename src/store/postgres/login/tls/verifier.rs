//! Whether a server's certificate is accepted.

use std::sync::OnceLock;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerIncompatible, RootCertStore, SignatureScheme};
use x509_cert::der::{Decode, Encode};

use super::pem::Pem;
use crate::store::error::StoreError;

/// What of the server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Nothing: whoever answers is taken for the server.
    Nothing,
    /// That a root vouches for it.
    Chain,
    /// That a root vouches for it, and that it is for this host.
    ChainAndHost,
}

/// Who may vouch for a server's certificate.
#[derive(Debug)]
pub enum Roots {
    /// Whom this machine trusts.
    System,
    /// These certificates. A server may also have one of them itself, as self-hosted ones do.
    Given {
        /// For the chain.
        store: RootCertStore,
        /// For the comparison with the server's own.
        certificates: Vec<CertificateDer<'static>>,
    },
}

impl Roots {
    /// The certificates in a PEM text.
    pub fn given(pem: &Pem) -> Result<Self, StoreError> {
        let certificates = pem.certificates()?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            store
                .add(certificate.clone())
                .map_err(|error| pem.wrong(format!("has a certificate that cannot be read: {error}")))?;
        }
        Ok(Self::Given { store, certificates })
    }

    fn store(&self) -> &RootCertStore {
        match self {
            Self::System => system_roots(),
            Self::Given { store, .. } => store,
        }
    }

    fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        matches!(self, Self::Given { certificates, .. } if certificates.contains(certificate))
    }
}

/// The roots that this machine trusts, or else the bundled ones, which are Mozilla's. They are read at the first handshake
/// that needs them, once a process: reading them takes tens of milliseconds.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots
    })
}

/// Accepts or refuses servers.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    pub(super) verification: Verification,
    pub(super) roots: Roots,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerVerifier {
    fn verify_chain(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        // webpki refuses a server that shows the certificate of an authority, which most self-signed ones are.
        if self.roots.has(certificate) {
            return verify_validity(certificate, now);
        }
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(certificate)?,
            self.roots.store(),
            intermediates,
            now,
            self.algorithms.all,
        )
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.verification {
            Verification::Nothing => {}
            Verification::Chain => self.verify_chain(certificate, intermediates, now)?,
            Verification::ChainAndHost => {
                self.verify_chain(certificate, intermediates, now)?;
                verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    // The signatures are verified even where the certificate is not: they show that the server has the certificate's key,
    // which channel binding relies on.

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if ParsedCertificate::try_from(certificate).is_ok() {
            return verify_tls12_signature(message, certificate, signed, &self.algorithms);
        }
        let key = public_key(certificate)?;
        let key = key.subject_public_key.raw_bytes();
        let of_scheme = |(scheme, _): &&(SignatureScheme, _)| *scheme == signed.scheme;
        let (_, algorithms) = self
            .algorithms
            .mapping
            .iter()
            .find(of_scheme)
            .ok_or(PeerIncompatible::NoSignatureSchemesInCommon)?;
        let mut verified = algorithms
            .iter()
            .map(|algorithm| algorithm.verify_signature(key, message, signed.signature()));
        if verified.any(|verified| verified.is_ok()) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if ParsedCertificate::try_from(certificate).is_ok() {
            return verify_tls13_signature(message, certificate, signed, &self.algorithms);
        }
        let key = public_key(certificate)?.to_der().map_err(bad_encoding)?;
        verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(key), signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// That a certificate, which is trusted for itself, is not out of date.
fn verify_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let certificate = parse(certificate)?;
    let validity = certificate.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// The key of a certificate that webpki does not read: one of X.509 version 1, as `openssl x509 -req` made them for years.
fn public_key(certificate: &CertificateDer<'_>) -> Result<x509_cert::spki::SubjectPublicKeyInfoOwned, Error> {
    Ok(parse(certificate)?.tbs_certificate.subject_public_key_info)
}

fn parse(certificate: &CertificateDer<'_>) -> Result<x509_cert::Certificate, Error> {
    x509_cert::Certificate::from_der(certificate).map_err(bad_encoding)
}

fn bad_encoding(_: x509_cert::der::Error) -> Error {
    CertificateError::BadEncoding.into()
}
