//! Whether a worker's model is the one that is wanted.

/// Names match if they are equal or one contains the other, case-sensitively;
/// so `sonnet` finds `claude-sonnet-4`, and the empty name matches every model.
pub(super) fn model_matches(model: &str, wanted: &str) -> bool {
    model.contains(wanted) || wanted.contains(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_contains_the_other() {
        assert!(model_matches("claude-sonnet-4", "claude-sonnet-4"));
        assert!(model_matches("claude-sonnet-4", "sonnet"));
        assert!(model_matches("sonnet", "claude-sonnet-4"));
        assert!(!model_matches("claude-sonnet", "sonnet-4"));
        assert!(!model_matches("sonnet", "Sonnet"));
        assert!(model_matches("", "x"));
        assert!(model_matches("x", ""));
        assert!(model_matches("", ""));
    }
}
