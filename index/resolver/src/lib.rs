//! Which release of each brick, or why none?
