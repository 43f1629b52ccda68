//! Does the house stand, seen from outside?
