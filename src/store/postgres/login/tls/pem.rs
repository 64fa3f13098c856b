//! Certificates and keys in PEM.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::store::error::StoreError;

/// PEM text, and where it is from.
pub struct Pem {
    text: String,
    origin: String,
}

impl Pem {
    /// The value of the option `name`.
    pub fn from_option(name: &str, text: &str) -> Result<Self, StoreError> {
        if !text.contains("-----BEGIN ") {
            return Err(StoreError::invalid(format!(
                "{name} must be PEM text, which begins with -----BEGIN; for a file pass what it holds"
            )));
        }
        Ok(Self {
            // Environment variables often hold \n for a line break; PEM itself has no backslash.
            text: text.replace("\\n", "\n"),
            origin: String::from(name),
        })
    }

    /// The file that the setting `name` names.
    pub fn from_file(name: &str, path: &str) -> Result<Self, StoreError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            StoreError::invalid(format!(
                "reading {path}, which {name} names, failed: {error}; give the path of a PEM file that this process may read"
            ))
        })?;
        Ok(Self {
            text,
            origin: format!("{path}, which {name} names,"),
        })
    }

    /// The same for a private key: nobody but its owner may have access to the file.
    pub fn from_key_file(name: &str, path: &str) -> Result<Self, StoreError> {
        if let Ok(found) = std::fs::metadata(path) {
            let problem = match () {
                () if !found.is_file() => "is not a plain file; give the path of a PEM file",
                () if is_open_to_others(&found) => {
                    "can be read or written by others, so the key may be known; run chmod 0600 on it (0640 will do for a file \
                     that root owns)"
                }
                () => return Self::from_file(name, path),
            };
            return Err(StoreError::invalid(format!("{path}, which {name} names, {problem}")));
        }
        Self::from_file(name, path)
    }

    /// Where the text is from, for messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The certificates, of which there is at least one.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, StoreError> {
        let certificates = CertificateDer::pem_slice_iter(self.text.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.wrong(&format!("is damaged ({error}); its certificates must be whole, in PEM")))?;
        if certificates.is_empty() {
            return Err(
                self.wrong("holds no certificate; it must have a part that begins with -----BEGIN CERTIFICATE-----")
            );
        }
        Ok(certificates)
    }

    /// The private key: the first, if there are several.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, StoreError> {
        if self.text.contains("ENCRYPTED") {
            return Err(self.wrong(
                "is an encrypted key, which is not supported; decrypt it with `openssl pkey -in client.key -out decrypted.key`",
            ));
        }
        // The parser's own message might quote the key.
        PrivateKeyDer::from_pem_slice(self.text.as_bytes())
            .map_err(|_| self.wrong("holds no private key in PEM; PKCS#8, PKCS#1 and SEC1 are known"))
    }

    /// An error about this text.
    #[must_use]
    pub fn wrong(&self, problem: &str) -> StoreError {
        StoreError::invalid(format!("{} {problem}", self.origin))
    }
}

/// Whether others than libpq allows may use the file: it lets a group read what root owns, which is how a system shares a
/// key, and nobody else anything.
#[cfg(unix)]
fn is_open_to_others(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let forbidden = if found.uid() == 0 { 0o037 } else { 0o077 };
    found.mode() & forbidden != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}
