//! SIGINT and SIGTERM while a command works: it ends in order, with one line and nothing half done.

use std::sync::atomic::{AtomicBool, Ordering};

use certadm_files::cancel;
use signal_hook::consts::{SIGINT, SIGTERM};

/// From now on the first signal asks the command to stop, and a second one ends it at once. Commands call this when
/// their long work begins: at a prompt a signal still ends them. A signal that whoever started the command has it ignore stays
/// ignored: a shell without job control does so with SIGINT for every command behind `&`.
pub(crate) fn watch() {
    for signal in [SIGINT, SIGTERM].into_iter().filter(|signal| !cancel::is_ignored(*signal)) {
        // Where a handler cannot be set, a signal ends the process as ever.
        let number = usize::try_from(signal).unwrap_or(usize::MAX);
        #[cfg(unix)]
        end_at_once_on_the_second(signal);
        signal_hook::flag::register_usize(signal, cancel::switch(), number).ok();
    }
}

/// Whether standard input belongs to [`when_input_ends`].
static IS_LED: AtomicBool = AtomicBool::new(false);

/// From now on the end of standard input asks the command to stop, as SIGTERM does. What is written there does not matter.
pub(crate) fn when_input_ends() {
    IS_LED.store(true, Ordering::Relaxed);
    std::thread::spawn(|| {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).ok();
        cancel::request(usize::try_from(SIGTERM).unwrap_or(usize::MAX));
    });
}

/// Whether standard input is only there to end: nobody can be asked, and on Windows even a look at it would wait for that end.
pub(crate) fn is_led() -> bool {
    IS_LED.load(Ordering::Relaxed)
}

/// What is registered first runs first: at the first signal the flag is still down.
#[cfg(unix)]
fn end_at_once_on_the_second(signal: i32) {
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register_conditional_default(signal, std::sync::Arc::clone(&seen)).ok();
    signal_hook::flag::register(signal, seen).ok();
}

/// Whether SIGTERM, and not SIGINT, asked to stop.
pub(crate) fn by_sigterm() -> bool {
    cancel::requested().and_then(|signal| i32::try_from(signal).ok()) == Some(SIGTERM)
}
