//! A panic of the code is a difference like any other, and says where it was.

use crate::divergence::{Difference, Kind};
use crate::signpost::{Fact, Handler};
use pbft_host::panic_message;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Where this thread has panicked last.
    static LAST: Cell<Option<(String, u32)>> = const { Cell::new(None) };
}

/// Notes from now on where a thread panics, beside what is done about it anyway.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            let place = panic.location().map(|place| (place.file().to_owned(), place.line()));
            LAST.set(place);
            before(panic);
        }));
    });
}

/// Does some of the code's work.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Difference> {
    watch();
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| panicked(&format!("panicked: {}", panic_message(&*panic))))
}

/// What this thread's last panic is told as, with the place in the code that it came from.
pub(crate) fn panicked(what: &str) -> Difference {
    let difference = Difference::new(Kind::Panicked, what);
    // Cargo may have put a directory before it.
    let of_code = |file: &str| file.find("impl/").map(|at| file[at..].to_owned());
    let place = LAST.take().and_then(|(file, line)| Handler::at(&of_code(&file)?, line));
    match place {
        Some(place) => difference.with(Fact::Panicked(place)),
        None => difference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_panic_is_handed_on_and_what_does_is_told() {
        assert_eq!(guarded(|| 3), Ok(3));
        let told = guarded(|| panic!("of {}", "this")).map(|(): ()| ());
        let told = told.expect_err("it panicked");
        assert_eq!((told.kind, &*told.what), (Kind::Panicked, "panicked: of this"));
        assert!(told.facts.is_empty(), "it was not the code that panicked: {:?}", told.facts);
    }
}
