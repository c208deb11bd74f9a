//! Ed25519 keys: secret key files that nobody else can read, and public keys that cannot betray a signature.

use crate::hex;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use rustix::fs::{Mode, OFlags};
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// The first line of a secret key file; the second holds 64 hexadecimal digits.
const HEADER: &str = "pbft-secret-key v1 ed25519";

/// The bytes of a well-formed key file: header, newline, digits, newline.
const FILE_BYTES: usize = HEADER.len() + 1 + 64 + 1;

/// A secret key file that must not be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It cannot be read or written.
    #[error("{path}: {source}; {remedy}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// It is a symbolic link, a directory or a device.
    #[error("{path}: is not a regular file; put the key itself there, not a link to it")]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Others can read or write it.
    #[error(
        "{path}: mode is {mode:04o}, others have access to this secret key; run: chmod 600 {path}"
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error(
        "{path}: belongs to user {owner}, this process runs as user {user}; \
         run: chown {user} {path}, or run as its owner"
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The effective user.
        user: u32,
    },
    /// Its content is not a key.
    #[error(
        "{path}: is not a secret key file (expected the line `{HEADER}` and one of 64 hexadecimal \
         digits); restore it, or write new keys with `pbft testnet`"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// A public key that must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PublicKeyError {
    /// Not 64 lower-case hexadecimal digits.
    #[error("is not 64 lower-case hexadecimal digits")]
    NotHex,
    /// Not the canonical encoding of a point of the curve.
    #[error("is not an Ed25519 public key")]
    NotAPoint,
    /// A point of small order: some signature verifies for many messages under it.
    #[error("is a weak key (small order)")]
    Weak,
    /// A point with a torsion component: verifiers can differ about its signatures.
    #[error("is not torsion-free; verifiers could differ about its signatures")]
    Torsion,
}

/// A public key that passed every check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Checks the 32 bytes of an encoded key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, PublicKeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError::NotAPoint)?;
        let point = key.to_edwards();
        if point.compress().to_bytes() != *bytes {
            return Err(PublicKeyError::NotAPoint);
        }
        if key.is_weak() {
            return Err(PublicKeyError::Weak);
        }
        match point.is_torsion_free() {
            true => Ok(Self(key)),
            false => Err(PublicKeyError::Torsion),
        }
    }

    /// Reads hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, PublicKeyError> {
        Self::from_bytes(&hex::decode(text).ok_or(PublicKeyError::NotHex)?)
    }

    /// The encoded key.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key as hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0.as_bytes())
    }

    /// Whether `signature` is this key's of `message`, by the strict rules that leave verifiers no choice.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.to_hex())
    }
}

/// A secret key. It is wiped when dropped and has no printable form.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

impl SecretKey {
    /// A fresh key from the operating system's randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a seed. Tests use fixed seeds; everybody else [`Self::generate`].
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// What this key and `other`'s secret one have in common, and nobody else can compute: the Diffie-Hellman agreement
    /// of the two on the curve. `other` has no torsion, so it is no constant.
    pub(crate) fn agree(&self, other: &PublicKey) -> Zeroizing<[u8; 32]> {
        let shared = other.0.to_edwards() * self.0.to_scalar();
        Zeroizing::new(shared.compress().to_bytes())
    }

    /// The key in the PKCS#8 form that TLS wants.
    pub(crate) fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        const PREFIX: [u8; 16] =
            [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let mut bytes = Zeroizing::new(Vec::with_capacity(48));
        bytes.extend(PREFIX);
        bytes.extend(self.0.as_bytes());
        bytes
    }

    /// Writes a key file with mode 0600; an existing file is never replaced.
    pub fn create(&self, path: &Path) -> Result<(), KeyError> {
        let remedy = "choose a new directory; keys are never overwritten";
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let io = |source: std::io::Error| KeyError::Io { path: path.to_owned(), source, remedy };
        let mut file = File::from(rustix::fs::open(path, flags, mode).map_err(|e| io(e.into()))?);
        let digits = Zeroizing::new(hex::encode(self.0.as_bytes()));
        let text = Zeroizing::new(format!("{HEADER}\n{}\n", *digits));
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)
    }

    /// Reads a key file, if nobody but this user can have read or written it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let io =
            |source: std::io::Error, remedy| KeyError::Io { path: path.to_owned(), source, remedy };
        let metadata = std::fs::symlink_metadata(path)
            .map_err(|e| io(e, "give the right directory, or write one with `pbft testnet`"))?;
        if !metadata.is_file() {
            return Err(KeyError::NotAFile { path: path.to_owned() });
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|e| io(e.into(), "run as the key's owner"))?;
        let file = File::from(file);
        // From here on everything is about the opened file, not about what the name means by now.
        check_access(path, &file.metadata().map_err(|e| io(e, "check the disk"))?)?;
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES + 1));
        file.take(FILE_BYTES as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|e| io(e, "check the disk"))?;
        parse(&text).ok_or_else(|| KeyError::Malformed { path: path.to_owned() })
    }
}

fn check_access(path: &Path, metadata: &std::fs::Metadata) -> Result<(), KeyError> {
    let path = path.to_owned();
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    let user = rustix::process::geteuid().as_raw();
    if !metadata.is_file() {
        return Err(KeyError::NotAFile { path });
    }
    if owner != user {
        return Err(KeyError::Owner { path, owner, user });
    }
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(KeyError::Permissions { path, mode }),
    }
}

fn parse(text: &[u8]) -> Option<SecretKey> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(HEADER)?.strip_prefix('\n')?.strip_suffix('\n')?;
    let seed = Zeroizing::new(hex::decode::<32>(digits)?);
    Some(SecretKey::from_seed(&seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn key_file() -> (tempfile::TempDir, PathBuf, SecretKey) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("replica.key");
        let key = SecretKey::from_seed(&[7; 32]);
        key.create(&path).expect("created");
        (dir, path, key)
    }

    #[test]
    fn a_key_survives_its_file() {
        let (_dir, path, key) = key_file();
        assert_eq!(SecretKey::load(&path).expect("loaded").public(), key.public());
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let (_dir, path, key) = key_file();
        let other = SecretKey::from_seed(&[8; 32]);
        assert!(matches!(other.create(&path), Err(KeyError::Io { .. })));
        assert_eq!(SecretKey::load(&path).expect("loaded").public(), key.public());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_dir, path, _) = key_file();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
            let error = SecretKey::load(&path).expect_err("refused");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_link_to_a_key_is_refused() {
        let (dir, path, _) = key_file();
        let link = dir.path().join("link.key");
        symlink(&path, &link).expect("linked");
        assert!(matches!(SecretKey::load(&link), Err(KeyError::NotAFile { .. })));
        assert!(matches!(SecretKey::load(dir.path()), Err(KeyError::NotAFile { .. })));
    }

    #[test]
    fn other_content_is_refused() {
        let good = format!("{HEADER}\n{}\n", "ab".repeat(32));
        assert!(parse(good.as_bytes()).is_some());
        for bad in
            [&good[..good.len() - 1], &good[1..], &good.to_uppercase(), "", &format!("{good}\n")]
        {
            assert!(parse(bad.as_bytes()).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn keys_that_betray_signatures_are_refused() {
        // The neutral point, and the point of order two.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey::from_bytes(&neutral), Err(PublicKeyError::Weak));
        let mut minus_one = [0xff; 32];
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        assert_eq!(PublicKey::from_bytes(&minus_one), Err(PublicKeyError::Weak));
        // p itself encodes zero a second time.
        let mut not_canonical = [0xff; 32];
        (not_canonical[0], not_canonical[31]) = (0xed, 0x7f);
        assert_eq!(PublicKey::from_bytes(&not_canonical), Err(PublicKeyError::NotAPoint));
        assert_eq!(PublicKey::from_hex("zz"), Err(PublicKeyError::NotHex));
    }

    #[test]
    fn a_good_key_shifted_by_a_torsion_point_is_refused() {
        let good = SecretKey::from_seed(&[3; 32]).public();
        let mut minus_one = [0xff; 32];
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        let order_two = VerifyingKey::from_bytes(&minus_one).expect("a point").to_edwards();
        let shifted = (good.0.to_edwards() + order_two).compress().to_bytes();
        assert_eq!(PublicKey::from_bytes(&shifted), Err(PublicKeyError::Torsion));
    }
}
