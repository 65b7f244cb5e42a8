//! Comparing tokens without telling an attacker how close a guess was.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Whether two secrets are the same bytes.
///
/// Both sides are hashed first, so the time taken depends neither on where they
/// differ nor on how long the other one is.
pub fn safe_compare(a: &str, b: &str) -> bool {
    digest(a).ct_eq(&digest(b)).into()
}

/// The tokens a server accepts, kept as SHA-256 digests only.
///
/// With no tokens nothing is accepted; "no check at all" is the absence of a
/// verifier.
#[derive(Clone)]
pub struct TokenVerifier {
    digests: Box<[TokenDigest]>,
}

impl TokenVerifier {
    /// Remembers the digests of `tokens`; the empty string is a token like any other.
    pub fn new(tokens: &[impl AsRef<str>]) -> Self {
        Self { digests: tokens.iter().map(|token| digest(token.as_ref())).collect() }
    }

    /// Whether `presented` is one of the tokens. The time taken depends on the
    /// number of tokens and the length of `presented`, not on which one matched.
    pub fn accepts(&self, presented: &str) -> bool {
        let presented = digest(presented);
        self.digests
            .iter()
            .fold(Choice::from(0), |found, token| found | token.ct_eq(&presented))
            .into()
    }
}

/// Shows how many tokens there are and nothing about them.
impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("tokens", &self.digests.len()).finish_non_exhaustive()
    }
}

type TokenDigest = [u8; 32];

fn digest(text: &str) -> TokenDigest {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_whole_strings() {
        assert!(safe_compare("", ""));
        assert!(safe_compare("secret", "secret"));
        assert!(!safe_compare("secret", "secret "));
        assert!(!safe_compare("secret", "Secret"));
        assert!(!safe_compare("secret", ""));
        assert!(!safe_compare("é", "e\u{301}"));
    }

    #[test]
    fn accepts_any_of_its_tokens() {
        let verifier = TokenVerifier::new(&["old", "new"]);
        assert!(verifier.accepts("old"));
        assert!(verifier.accepts("new"));
        assert!(!verifier.accepts("ne"));
        assert!(!verifier.accepts(""));
    }

    #[test]
    fn the_empty_token_is_a_token_and_no_token_accepts_nothing() {
        assert!(TokenVerifier::new(&[""]).accepts(""));
        assert!(!TokenVerifier::new(&[""]).accepts("x"));
        let none: [&str; 0] = [];
        assert!(!TokenVerifier::new(&none).accepts(""));
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", TokenVerifier::new(&["hunter2"]));
        assert_eq!(shown, "TokenVerifier { tokens: 1, .. }");
    }
}
