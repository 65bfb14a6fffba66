//! The program `polypeer`.

fn main() {}
