//! Certificates and keys in PEM.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::store::error::StoreError;
use crate::store::message::{Message, StoreOption, message};
use crate::store::postgres::login::permissions::is_open_key;

/// PEM text, and where it is from.
pub struct Pem {
    text: String,
    origin: Message,
}

impl Pem {
    /// The value of an option.
    pub fn from_option(option: StoreOption, text: &str) -> Result<Self, StoreError> {
        if !text.contains("-----BEGIN ") {
            return Err(StoreError::invalid(message![
                option,
                " must be PEM text, which begins with -----BEGIN; for a file pass what it holds",
            ]));
        }
        Ok(Self {
            // Environment variables often hold \n for a line break; PEM itself has no backslash.
            text: text.replace("\\n", "\n"),
            origin: option.into(),
        })
    }

    /// The file that a setting names.
    pub fn from_file(setting: &Message, path: &str) -> Result<Self, StoreError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            StoreError::invalid(message![
                "reading ",
                named(path, setting),
                format!(" failed: {error}; give the path of a PEM file that this process may read"),
            ])
        })?;
        Ok(Self {
            text,
            origin: named(path, setting),
        })
    }

    /// The same for a private key: nobody but its owner may have access to the file.
    pub fn from_key_file(setting: &Message, path: &str) -> Result<Self, StoreError> {
        if let Ok(found) = std::fs::metadata(path) {
            let problem = match () {
                () if !found.is_file() => "is not a plain file; give the path of a PEM file",
                () if is_open_key(&found) => {
                    "can be read or written by others, so the key may be known; run chmod 0600 on it (0640 will do for a file \
                     that root owns)"
                }
                () => return Self::from_file(setting, path),
            };
            return Err(StoreError::invalid(message![named(path, setting), " ", problem]));
        }
        Self::from_file(setting, path)
    }

    /// Where the text is from, for messages.
    #[must_use]
    pub fn origin(&self) -> Message {
        self.origin.clone()
    }

    /// The certificates, of which there is at least one.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, StoreError> {
        let certificates = CertificateDer::pem_slice_iter(self.text.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.wrong(format!("is damaged ({error}); its certificates must be whole, in PEM")))?;
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
    pub fn wrong(&self, problem: impl Into<Message>) -> StoreError {
        StoreError::invalid(message![self.origin(), " ", problem])
    }
}

/// What messages call a file.
fn named(path: &str, setting: &Message) -> Message {
    message![format!("{path}, which "), setting.clone(), " names,"]
}
