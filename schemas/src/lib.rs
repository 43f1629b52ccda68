//! What a brick, a release and a request look like
