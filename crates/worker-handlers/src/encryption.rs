//! Encryption, hashes and key derivation.

use aes_gcm::{
    AeadInPlace, Aes256Gcm, KeyInit,
    aead::{Nonce, Tag},
};
use argon2::{Algorithm as Argon2Kind, Argon2, Params as Argon2Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::ChaCha20Poly1305;
use hmac::{Hmac, Mac};
use md5::Md5;
use serde::{Deserialize, Deserializer, de::Error};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::{Control, HandlerError, Output, PIECE};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// Most memory of a key derivation: 1 GiB.
const MAX_DERIVATION_BYTES: u64 = 1 << 30;
/// Most rounds of PBKDF2.
const MAX_ITERATIONS: u32 = 10_000_000;

/// A request to encrypt, decrypt, hash or derive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    operation: Operation,
    algorithm: Option<String>,
    #[serde(default, deserialize_with = "bytes")]
    key: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "bytes")]
    iv: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "bytes")]
    tag: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "bytes")]
    aad: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "bytes")]
    salt: Option<Vec<u8>>,
    /// Bytes of a derived key. Default: 32.
    length: Option<usize>,
    /// Rounds of PBKDF2 (default: 600,000) or Argon2 (default: 3).
    iterations: Option<u32>,
    /// Cost of scrypt, a power of two. Default: 16,384.
    cost: Option<u64>,
    /// Of scrypt. Default: 8.
    block_size: Option<u32>,
    /// Of scrypt and Argon2. Default: 1.
    parallelization: Option<u32>,
    /// Memory of Argon2 in KiB. Default: 19,456.
    memory: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Encrypt,
    Decrypt,
    Hash,
    Hmac,
    Derive,
}

/// Bytes travel as base64.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| STANDARD.decode(text).map_err(D::Error::custom)).transpose()
}

impl Encryption {
    pub(crate) fn run(&self, data: &[u8], control: &Control) -> Result<Output, HandlerError> {
        match self.operation {
            Operation::Encrypt => self.encrypt(data),
            Operation::Decrypt => self.decrypt(data),
            Operation::Hash => {
                let mut hasher = Hasher::new(self.algorithm.as_deref().unwrap_or("sha256"))?;
                for piece in data.chunks(PIECE) {
                    control.check()?;
                    hasher.update(piece);
                }
                Ok(Output::default().with("digest", hasher.hex()))
            }
            Operation::Hmac => self.hmac(data, control),
            Operation::Derive => self.derive(data),
        }
    }

    fn encrypt(&self, data: &[u8]) -> Result<Output, HandlerError> {
        let iv = match &self.iv {
            Some(iv) => iv.clone(),
            None => random_nonce()?,
        };
        let mut data = data.to_vec();
        let tag = match self.cipher()? {
            Cipher::Aes(cipher) => seal(cipher.as_ref(), &iv, self.aad(), &mut data)?,
            Cipher::ChaCha(cipher) => seal(cipher.as_ref(), &iv, self.aad(), &mut data)?,
        };
        Ok(Output::of_data(data).with("iv", STANDARD.encode(iv)).with("tag", STANDARD.encode(tag)))
    }

    fn decrypt(&self, data: &[u8]) -> Result<Output, HandlerError> {
        let iv = self.iv.as_deref().ok_or_else(|| missing("iv"))?;
        let tag = self.tag.as_deref().ok_or_else(|| missing("tag"))?;
        let mut data = data.to_vec();
        match self.cipher()? {
            Cipher::Aes(cipher) => open(cipher.as_ref(), iv, self.aad(), &mut data, tag)?,
            Cipher::ChaCha(cipher) => open(cipher.as_ref(), iv, self.aad(), &mut data, tag)?,
        }
        Ok(Output::of_data(data))
    }

    fn aad(&self) -> &[u8] {
        self.aad.as_deref().unwrap_or_default()
    }

    fn cipher(&self) -> Result<Cipher, HandlerError> {
        let key = self.key.as_deref().ok_or_else(|| missing("key"))?;
        let wrong_key = |_| {
            HandlerError::InvalidPayload(format!(
                "key must have {KEY_BYTES} bytes, not {}",
                key.len()
            ))
        };
        match self.algorithm.as_deref().unwrap_or("aes-256-gcm").to_ascii_lowercase().as_str() {
            "aes-256-gcm" => {
                Ok(Cipher::Aes(Box::new(Aes256Gcm::new_from_slice(key).map_err(wrong_key)?)))
            }
            "chacha20-poly1305" => Ok(Cipher::ChaCha(Box::new(
                ChaCha20Poly1305::new_from_slice(key).map_err(wrong_key)?,
            ))),
            other => Err(unknown(other, "aes-256-gcm or chacha20-poly1305")),
        }
    }

    fn hmac(&self, data: &[u8], control: &Control) -> Result<Output, HandlerError> {
        let key = self.key.as_deref().ok_or_else(|| missing("key"))?;
        let digest = match self.algorithm.as_deref().unwrap_or("sha256") {
            "md5" => mac::<Hmac<Md5>>(key, data, control)?,
            "sha1" => mac::<Hmac<Sha1>>(key, data, control)?,
            "sha224" => mac::<Hmac<Sha224>>(key, data, control)?,
            "sha256" => mac::<Hmac<Sha256>>(key, data, control)?,
            "sha384" => mac::<Hmac<Sha384>>(key, data, control)?,
            "sha512" => mac::<Hmac<Sha512>>(key, data, control)?,
            other => return Err(unknown(other, HASHES)),
        };
        Ok(Output::default().with("digest", digest))
    }

    /// The data is the password.
    fn derive(&self, password: &[u8]) -> Result<Output, HandlerError> {
        let salt = self.salt.as_deref().ok_or_else(|| missing("salt"))?;
        let length = self.length.unwrap_or(KEY_BYTES);
        if length == 0 || length > 1024 {
            return Err(HandlerError::InvalidPayload("length must be from 1 to 1024".to_owned()));
        }
        let mut key = vec![0; length];
        match self.algorithm.as_deref().unwrap_or("scrypt") {
            "scrypt" => scrypt::scrypt(password, salt, &self.scrypt_params()?, &mut key)
                .map_err(|error| invalid(&error))?,
            "argon2id" => Argon2::new(Argon2Kind::Argon2id, Version::V0x13, self.argon2_params()?)
                .hash_password_into(password, salt, &mut key)
                .map_err(|error| invalid(&error))?,
            "pbkdf2" => {
                let rounds = self.iterations.unwrap_or(600_000);
                if rounds == 0 || rounds > MAX_ITERATIONS {
                    let message = format!("iterations must be from 1 to {MAX_ITERATIONS}");
                    return Err(HandlerError::InvalidPayload(message));
                }
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut key);
            }
            other => return Err(unknown(other, "scrypt, argon2id or pbkdf2")),
        }
        Ok(Output::of_data(key))
    }

    fn scrypt_params(&self) -> Result<scrypt::Params, HandlerError> {
        let (cost, block_size) = (self.cost.unwrap_or(16_384), self.block_size.unwrap_or(8));
        let parallelization = self.parallelization.unwrap_or(1);
        if !cost.is_power_of_two() || cost < 2 {
            return Err(HandlerError::InvalidPayload("cost must be a power of two".to_owned()));
        }
        limit_memory(cost.saturating_mul(128).saturating_mul(block_size.into()))?;
        limit_memory(
            cost.saturating_mul(block_size.into()).saturating_mul(parallelization.into()),
        )?;
        let log_cost = cost.trailing_zeros() as u8;
        scrypt::Params::new(log_cost, block_size, parallelization, scrypt::Params::RECOMMENDED_LEN)
            .map_err(|error| invalid(&error))
    }

    fn argon2_params(&self) -> Result<Argon2Params, HandlerError> {
        let memory = self.memory.unwrap_or(19_456);
        limit_memory(u64::from(memory) * 1024)?;
        let iterations = self.iterations.unwrap_or(3);
        if iterations > 1000 {
            let message = "iterations must be from 1 to 1000".to_owned();
            return Err(HandlerError::InvalidPayload(message));
        }
        Argon2Params::new(memory, iterations, self.parallelization.unwrap_or(1), None)
            .map_err(|error| invalid(&error))
    }
}

enum Cipher {
    Aes(Box<Aes256Gcm>),
    ChaCha(Box<ChaCha20Poly1305>),
}

fn seal<C: AeadInPlace>(
    cipher: &C,
    iv: &[u8],
    aad: &[u8],
    data: &mut [u8],
) -> Result<Vec<u8>, HandlerError> {
    let tag = cipher
        .encrypt_in_place_detached(nonce::<C>(iv)?, aad, data)
        .map_err(|_| HandlerError::TooLarge("the data is too long for this cipher".to_owned()))?;
    Ok(tag.to_vec())
}

fn open<C: AeadInPlace>(
    cipher: &C,
    iv: &[u8],
    aad: &[u8],
    data: &mut [u8],
    tag: &[u8],
) -> Result<(), HandlerError> {
    if tag.len() != Tag::<C>::default().len() {
        return Err(HandlerError::InvalidPayload("tag must have 16 bytes".to_owned()));
    }
    cipher
        .decrypt_in_place_detached(nonce::<C>(iv)?, aad, data, Tag::<C>::from_slice(tag))
        .map_err(|_| HandlerError::AuthenticationFailed)
}

fn nonce<C: AeadInPlace>(iv: &[u8]) -> Result<&Nonce<C>, HandlerError> {
    if iv.len() == NONCE_BYTES {
        return Ok(Nonce::<C>::from_slice(iv));
    }
    let message = format!("iv must have {NONCE_BYTES} bytes, not {}", iv.len());
    Err(HandlerError::InvalidPayload(message))
}

fn random_nonce() -> Result<Vec<u8>, HandlerError> {
    let mut nonce = vec![0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| {
        HandlerError::InvalidPayload(format!("the system gives no random bytes: {error}"))
    })?;
    Ok(nonce)
}

fn mac<M: Mac + hmac::digest::KeyInit>(
    key: &[u8],
    data: &[u8],
    control: &Control,
) -> Result<String, HandlerError> {
    let mut mac =
        <M as hmac::digest::KeyInit>::new_from_slice(key).map_err(|error| invalid(&error))?;
    for piece in data.chunks(PIECE) {
        control.check()?;
        mac.update(piece);
    }
    Ok(hex(&mac.finalize().into_bytes()))
}

const HASHES: &str = "md5, sha1, sha224, sha256, sha384 or sha512";

/// A hash under way.
pub(crate) enum Hasher {
    Md5(Md5),
    Sha1(Sha1),
    Sha224(Sha224),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    pub(crate) fn new(algorithm: &str) -> Result<Self, HandlerError> {
        match algorithm {
            "md5" => Ok(Self::Md5(Md5::new())),
            "sha1" => Ok(Self::Sha1(Sha1::new())),
            "sha224" => Ok(Self::Sha224(Sha224::new())),
            "sha256" => Ok(Self::Sha256(Sha256::new())),
            "sha384" => Ok(Self::Sha384(Sha384::new())),
            "sha512" => Ok(Self::Sha512(Sha512::new())),
            other => Err(unknown(other, HASHES)),
        }
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Md5(hash) => hash.update(piece),
            Self::Sha1(hash) => hash.update(piece),
            Self::Sha224(hash) => hash.update(piece),
            Self::Sha256(hash) => hash.update(piece),
            Self::Sha384(hash) => hash.update(piece),
            Self::Sha512(hash) => hash.update(piece),
        }
    }

    pub(crate) fn hex(self) -> String {
        match self {
            Self::Md5(hash) => hex(&hash.finalize()),
            Self::Sha1(hash) => hex(&hash.finalize()),
            Self::Sha224(hash) => hex(&hash.finalize()),
            Self::Sha256(hash) => hex(&hash.finalize()),
            Self::Sha384(hash) => hex(&hash.finalize()),
            Self::Sha512(hash) => hex(&hash.finalize()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn limit_memory(bytes: u64) -> Result<(), HandlerError> {
    if bytes <= MAX_DERIVATION_BYTES {
        return Ok(());
    }
    let message = format!("the key derivation would need more than {MAX_DERIVATION_BYTES} bytes");
    Err(HandlerError::TooLarge(message))
}

fn missing(field: &str) -> HandlerError {
    HandlerError::InvalidPayload(format!("{field} is missing"))
}

fn unknown(algorithm: &str, known: &str) -> HandlerError {
    HandlerError::InvalidPayload(format!("algorithm must be {known}, not {algorithm}"))
}

fn invalid(error: &dyn std::fmt::Display) -> HandlerError {
    HandlerError::InvalidPayload(error.to_string())
}
