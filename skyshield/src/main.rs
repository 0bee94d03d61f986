//! Arguments, logging, `app::run`, exit code.

fn main() {}
