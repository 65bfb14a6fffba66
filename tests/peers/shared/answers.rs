//! What a peer that does what its input says answers to each request.

use serde_json::{Value, json};

use crate::Outcome;

/// Prints the answer with `ok`, or why there is none.
pub(crate) fn print(answer: Outcome<Value>) {
    match answer {
        Ok(mut answer) => {
            answer["ok"] = true.into();
            println!("{answer}");
        }
        Err(error) => println!("{}", json!({ "ok": false, "error": error.to_string() })),
    }
}
