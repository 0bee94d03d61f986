//! What the daemon tells the program: a variable, which a packet finds without a look-up, at the address that the
//! program was loaded with; and constants, which the verifier goes by.

use skyshield_common::{Masks, Settings};

use crate::variable::Variable;

/// Written by the daemon.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.SETTINGS")]
static SETTINGS: Variable<Settings> = Variable::new();

/// Filled in before the program is loaded.
#[unsafe(no_mangle)]
static MASKS: Masks = Masks { hosts: 0, rates: 0 };

/// Where the settings are.
#[inline(always)]
pub(crate) fn settings() -> *mut Settings {
    SETTINGS.place()
}

/// How large the tables are.
#[inline(always)]
pub(crate) fn masks() -> Masks {
    let masks = &raw const MASKS;
    // SAFETY: two words, of which the compiler must not know what they are.
    unsafe {
        Masks {
            hosts: (&raw const (*masks).hosts).read_volatile(),
            rates: (&raw const (*masks).rates).read_volatile(),
        }
    }
}
