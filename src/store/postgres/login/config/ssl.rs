//! What options, connection string and environment together say about TLS.

use tokio_postgres::config::{SslMode as DriverMode, SslNegotiation};

use super::settings::Settings;
use crate::store::error::StoreError;
use crate::store::message::{Message, StoreOption, message};
use crate::store::postgres::login::tls::pem::Pem;
use crate::store::postgres::login::tls::verifier::{Roots, Verification};
use crate::store::postgres::login::tls::{TlsConnector, TlsOptions};

/// Whether to use TLS, and what to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server has it; nothing is verified, since somebody in between could as well say that it has none.
    Prefer,
    /// TLS, with chain and host verified, as node-postgres does; `uselibpqcompat=true` gives libpq's meaning.
    Require,
    /// TLS, with the chain verified, for authorities that were named.
    VerifyCa,
    /// TLS, with chain and host verified.
    VerifyFull,
    /// TLS, with nothing verified.
    NoVerify,
}

impl SslMode {
    /// All modes, by the names that options and `sslmode` have for them.
    pub const NAMES: [(&str, Self); 6] = [
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
        ("no-verify", Self::NoVerify),
    ];

    fn parse(name: &str) -> Option<Self> {
        // libpq's `allow` tries without TLS first. Neither cares who is listening.
        let name = if name == "allow" { "prefer" } else { name };
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, mode)| *mode)
    }
}

/// The option `ssl`. What it leaves out, connection string and environment may say.
#[derive(Default)]
pub struct SslOptions {
    /// Whether to use TLS, and what to verify.
    pub mode: Option<SslMode>,
    /// The certificates of authorities, or the server's own, in PEM.
    pub ca: Option<String>,
    /// Our certificate, in PEM.
    pub cert: Option<String>,
    /// Its key, in PEM.
    pub key: Option<String>,
    /// The name to ask for and to verify, in place of the host's.
    pub servername: Option<String>,
}

/// What was decided.
pub(super) struct Ssl {
    pub(super) mode: DriverMode,
    pub(super) negotiation: SslNegotiation,
    pub(super) connector: TlsConnector,
}

impl Ssl {
    pub(super) fn choose(settings: &Settings, options: SslOptions) -> Result<Self, StoreError> {
        let trust = Trust::choose(settings, options.ca.as_deref())?;
        let meaning = RequireMeaning::choose(settings)?;
        let mode = settings.parsed(
            "sslmode",
            "disable, prefer, require, verify-ca, verify-full or no-verify",
            SslMode::parse,
        )?;
        let mode = options.mode.or(mode).unwrap_or_else(|| trust.default_mode(meaning));
        let verification = verification(mode, meaning, &trust)?;
        let negotiation = settings
            .parsed("sslnegotiation", "postgres or direct", |value| match value {
                "postgres" => Some(SslNegotiation::Postgres),
                "direct" => Some(SslNegotiation::Direct),
                _ => None,
            })?
            .unwrap_or_default();
        let driver_mode = match mode {
            SslMode::Disable => DriverMode::Disable,
            SslMode::Prefer => DriverMode::Prefer,
            _ => DriverMode::Require,
        };
        if negotiation == SslNegotiation::Direct && driver_mode != DriverMode::Require {
            return Err(StoreError::invalid(
                "sslnegotiation=direct needs TLS: set sslmode to require, verify-full, verify-ca or no-verify",
            ));
        }
        let client = match mode {
            SslMode::Disable => None,
            _ => client(settings, options.cert.as_deref(), options.key.as_deref())?,
        };
        let connector = TlsConnector::new(TlsOptions {
            verification,
            // What is not verified needs no roots, and a file that nobody needs may be missing.
            roots: match verification {
                Verification::Nothing => Roots::System,
                Verification::Chain | Verification::ChainAndHost => trust.roots()?,
            },
            client,
            server_name: options.servername,
            negotiation,
        })?;
        Ok(Self {
            mode: driver_mode,
            negotiation,
            connector,
        })
    }
}

/// What `require` means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RequireMeaning {
    NodePostgres,
    Libpq,
}

impl RequireMeaning {
    fn choose(settings: &Settings) -> Result<Self, StoreError> {
        let meaning = settings.parsed("uselibpqcompat", "true or false", |value| match value {
            "true" | "1" => Some(Self::Libpq),
            "false" | "0" => Some(Self::NodePostgres),
            _ => None,
        })?;
        Ok(meaning.unwrap_or(Self::NodePostgres))
    }
}

/// Whom the caller trusts.
enum Trust {
    /// Nobody was named.
    Unsaid,
    /// `sslrootcert=system`.
    System,
    /// What the caller gave.
    Option(Pem),
    /// `sslrootcert`, a file.
    File { setting: Message, path: String },
}

impl Trust {
    fn choose(settings: &Settings, ca: Option<&str>) -> Result<Self, StoreError> {
        if let Some(ca) = ca {
            return Pem::from_option(StoreOption::SslCa, ca).map(Self::Option);
        }
        Ok(match settings.get("sslrootcert") {
            None => Self::Unsaid,
            Some(setting) if setting.value == "system" => Self::System,
            Some(setting) => Self::File {
                setting: setting.origin,
                path: setting.value,
            },
        })
    }

    /// The mode when nobody set one: who names authorities wants them asked.
    fn default_mode(&self, meaning: RequireMeaning) -> SslMode {
        match (self, meaning) {
            (Self::Unsaid, _) | (Self::File { .. }, RequireMeaning::Libpq) => SslMode::Prefer,
            (Self::System | Self::Option(_) | Self::File { .. }, _) => SslMode::VerifyFull,
        }
    }

    fn roots(&self) -> Result<Roots, StoreError> {
        match self {
            Self::Unsaid | Self::System => Ok(Roots::System),
            Self::Option(pem) => Roots::given(pem),
            Self::File { setting, path } => Roots::given(&Pem::from_file(setting, path)?),
        }
    }
}

fn verification(mode: SslMode, meaning: RequireMeaning, trust: &Trust) -> Result<Verification, StoreError> {
    let verification = match (mode, meaning, trust) {
        (SslMode::Disable | SslMode::Prefer | SslMode::NoVerify, ..)
        | (SslMode::Require, RequireMeaning::Libpq, Trust::Unsaid) => Verification::Nothing,
        (SslMode::VerifyCa, ..) | (SslMode::Require, RequireMeaning::Libpq, _) => Verification::Chain,
        (SslMode::VerifyFull, ..) | (SslMode::Require, RequireMeaning::NodePostgres, _) => Verification::ChainAndHost,
    };
    match trust {
        Trust::Option(_) if verification == Verification::Nothing => Err(StoreError::invalid(message![
            StoreOption::SslCa,
            " goes with the modes verify-full, require and verify-ca; the mode that is set verifies nothing",
        ])),
        // Anybody can have a certificate of a public authority, for a host of their own.
        Trust::System if verification != Verification::ChainAndHost => Err(StoreError::invalid(
            "sslrootcert=system goes with sslmode=verify-full alone: without the host's name, any server with a public \
             certificate would pass",
        )),
        Trust::Unsaid if verification == Verification::Chain => Err(StoreError::invalid(message![
            "the mode verify-ca needs the certificate of the server's authority, in ",
            StoreOption::SslCa,
            " or sslrootcert: without it any server with a public certificate would pass; or use verify-full, which verifies \
             the host's name too",
        ])),
        _ => Ok(verification),
    }
}

fn client(settings: &Settings, cert: Option<&str>, key: Option<&str>) -> Result<Option<(Pem, Pem)>, StoreError> {
    let pem = |option, text: Option<&str>, name, read: fn(&Message, &str) -> Result<Pem, StoreError>| match text {
        Some(text) => Pem::from_option(option, text).map(Some),
        None => settings
            .get(name)
            .map(|setting| read(&setting.origin, &setting.value))
            .transpose(),
    };
    let cert = pem(StoreOption::SslCert, cert, "sslcert", Pem::from_file)?;
    let key = pem(StoreOption::SslKey, key, "sslkey", Pem::from_key_file)?;
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (Some(_), None) => Err(StoreError::invalid(message![
            "a client certificate needs its key: give ",
            StoreOption::SslKey,
            " or sslkey",
        ])),
        (None, Some(_)) => Err(StoreError::invalid(message![
            "a client's key needs its certificate: give ",
            StoreOption::SslCert,
            " or sslcert",
        ])),
    }
}
