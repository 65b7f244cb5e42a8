//! The N-API edge.
