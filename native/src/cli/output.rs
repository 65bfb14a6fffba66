//! What the program prints: lines for people, or JSON for programs.

use std::io::Write;

use serde::Serialize;
use serde_json::json;

use super::Failure;

/// Where and how to print.
#[derive(Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints `value` for programs, or else `text` for people.
    pub(super) fn print(self, value: impl Serialize, text: impl FnOnce() -> String) {
        let line = if self.json { to_line(value) } else { text() };
        // Nobody reads on: that is not for us to mend.
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    /// Prints what is not a result and no failure either.
    pub(super) fn warn(self, text: &str) {
        let line = if self.json {
            to_line(json!({ "warning": text }))
        } else {
            format!("warning: {text}")
        };
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// Prints why the program ends.
    pub(super) fn fail(self, failure: &Failure) {
        let line = if self.json {
            to_line(json!({ "error": { "code": failure.code(), "message": failure.to_string() } }))
        } else {
            match failure.hint() {
                Some(hint) => format!("error: {failure}\n{hint}"),
                None => format!("error: {failure}"),
            }
        };
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

fn to_line(value: impl Serialize) -> String {
    // Our values are maps of strings and numbers, which always become JSON.
    serde_json::to_string(&value).unwrap_or_default()
}
