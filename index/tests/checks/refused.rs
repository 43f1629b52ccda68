//! What is refused, and at which step.
