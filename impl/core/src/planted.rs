//! No bug can be planted any more: what still asks for one is told so.

/// Whether this build can have planted bugs.
pub const PLANTED_BUGS: bool = false;

/// False.
#[macro_export]
macro_rules! planted {
    ($params:expr, $bug:ident) => {{
        let _ = &$params;
        false
    }};
}
pub use planted;
