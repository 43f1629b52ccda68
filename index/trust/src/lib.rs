//! May I rely on these bytes, and why?
