//! Bugs that can be planted by name, each one place in the code, to show that conformance catches them. Compiled
//! in by the feature `planted-bugs` only.
