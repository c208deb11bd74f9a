//! TLS 1.3 with raw public keys (RFC 7250): the Ed25519 key that signs a replica's votes also proves who is at the
//! end of a connection. There are no certificates, no authorities, no names, no resumption and no other version.
//!
//! TLS signs 64 spaces and a context string first, the protocol signs its own name first, so neither signature can
//! be taken for the other.

use crate::frame::WIRE_VERSION;
use crate::keyring::KeyRing;
use crate::keys::{PublicKey, SecretKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer,
    UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use std::sync::Arc;

/// What precedes the 32 bytes of an Ed25519 key in its DER form.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// The protocol's name in the handshake, with its version.
pub(crate) fn alpn() -> Vec<u8> {
    format!("pbft/{WIRE_VERSION}").into_bytes()
}

fn spki(key: PublicKey) -> Vec<u8> {
    [&SPKI_PREFIX[..], &key.to_bytes()].concat()
}

/// The key in a DER form; `None` if it is not an Ed25519 key.
pub(crate) fn raw_key(spki: &[u8]) -> Option<[u8; 32]> {
    spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}

/// This end's key in the form that TLS wants.
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
}

impl TlsIdentity {
    /// The identity of `key`.
    pub fn new(key: &SecretKey) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let pkcs8 = key.to_pkcs8();
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(&pkcs8[..]));
        let signing = ring::sign::any_eddsa_type(match &der {
            PrivateKeyDer::Pkcs8(der) => der,
            _ => return Err(Error::General("not a PKCS#8 key".into())),
        })?;
        let spki = CertificateDer::from(spki(key.public()));
        let certified = Arc::new(CertifiedKey::new(vec![spki], signing));
        Ok(Self { provider, certified })
    }
}

/// The settings of the accepting end: whoever is in `ring` may come in.
pub fn server_config(identity: &TlsIdentity, ring: Arc<KeyRing>) -> Result<ServerConfig, Error> {
    let verifier = AnyKnownKey { provider: Arc::clone(&identity.provider), ring };
    let resolver =
        rustls::server::AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&identity.certified));
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&identity.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![alpn()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// The settings of the dialing end: only the holder of `expected` will do.
pub fn client_config(identity: &TlsIdentity, expected: PublicKey) -> Result<ClientConfig, Error> {
    let verifier = PinnedKey { provider: Arc::clone(&identity.provider), spki: spki(expected) };
    let resolver =
        rustls::client::AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&identity.certified));
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&identity.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![alpn()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_sni = false;
    config.enable_early_data = false;
    Ok(config)
}

fn refused() -> Error {
    Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

fn check_signature(
    provider: &CryptoProvider,
    message: &[u8],
    key: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let key = SubjectPublicKeyInfoDer::from(key.as_ref());
    verify_tls13_signature_with_raw_key(
        message,
        &key,
        signed,
        &provider.signature_verification_algorithms,
    )
}

/// Lets one key in: the accepting replica's.
#[derive(Debug)]
struct PinnedKey {
    provider: Arc<CryptoProvider>,
    spki: Vec<u8>,
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match key.as_ref() == self.spki {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(refused()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(&self.provider, message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Lets in every key of the cluster file.
#[derive(Debug)]
struct AnyKnownKey {
    provider: Arc<CryptoProvider>,
    ring: Arc<KeyRing>,
}

impl ClientCertVerifier for AnyKnownKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match raw_key(key).and_then(|key| self.ring.owner(&key)) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(refused()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(&self.provider, message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
