//! `sandtop doctor`: what this machine allows, what each thing is needed for, and the exact remedy for what is not there.
//!
//! `look` asks the machine and gives `facts`; `checks`, `verdict` and `table` make lines of them and ask nothing. Doctor makes, moves and mounts
//! nothing that stays: a user namespace is tried in a child that ends at once. Its words are its own and not in `sentences`, which is about runs.
//!
//! Refuses: to fail. What cannot be read is "not known", with its path.

pub mod checks;
pub mod facts;
mod look;
#[cfg(test)]
mod machines;
mod remedy;
pub mod table;
#[cfg(test)]
mod tests;
pub mod verdict;

use std::io::Write;

use serde::Serialize;

use checks::Check;
use facts::Machine;
use table::Style;
use verdict::{Can, First, Verdict};

/// Looks, tells, and gives the exit code: 0 when a limit can be set here, 1 when not. Must be called while sandtop has one thread.
pub fn run(json: bool) -> u8 {
    let machine = look::machine();
    let checks = checks::all(&machine);
    let verdict = Verdict::of(&machine, &checks);
    let text = if json { as_json(&checks, &verdict) } else { as_table(&machine, &checks, &verdict) };
    let _ = std::io::stdout().write_all(text.as_bytes()); // nobody reads it any more: the exit code still tells
    u8::from(verdict.can == Can::Nothing)
}

fn as_table(m: &Machine, checks: &[Check], verdict: &Verdict) -> String {
    let title = format!("sandtop {}: what this machine allows {}", env!("CARGO_PKG_VERSION"), m.me.name);
    let columns = m.terminal.size.filter(|_| m.terminal.tty).map_or(80, |(columns, _)| usize::from(columns));
    let style = Style { width: columns.clamp(40, 80), colour: m.terminal.tty && !m.terminal.no_color };
    table::table(&title, checks, verdict, style)
}

/// The object of `--json`. Fields are only ever added.
#[derive(Serialize)]
struct Told<'a> {
    ok: bool,
    can: Can,
    verdict: &'a str,
    first: &'a First,
    checks: &'a [Check],
}

fn as_json(checks: &[Check], verdict: &Verdict) -> String {
    let told = Told {
        ok: verdict.can != Can::Nothing,
        can: verdict.can,
        verdict: &verdict.text,
        first: &verdict.first,
        checks,
    };
    serde_json::to_string(&told).map_or_else(|_| String::new(), |text| text + "\n")
}
