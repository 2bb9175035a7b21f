//! How the screen looks and is used: options of every command that has one.

use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::values::interval;
use crate::units::Step;

/// How the screen looks.
#[derive(Clone, Debug, Default, Args)]
pub struct Look {
    /// When there are colours; auto: not under NO_COLOR, nor where TERM is dumb [default: auto]
    #[arg(long, value_name = "WHEN")]
    pub color: Option<When>,
    /// Colours: default, truecolor, colour-blind, monochrome, or a file
    #[arg(long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub theme: Option<String>,
    /// Draw with ASCII characters alone
    #[arg(long)]
    pub ascii: bool,
    /// How the terminal draws characters of ambiguous width: in one cell (narrow) or two (wide) [default: auto, it is asked]
    #[arg(long, value_name = "WIDTH")]
    pub ambiguous: Option<Ambiguous>,
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
}

/// `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Unless the environment asks for none.
    Auto,
    /// Whatever the environment asks for.
    Always,
    /// None.
    Never,
}

/// `--ambiguous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ambiguous {
    /// The terminal is asked.
    Auto,
    /// One cell.
    Narrow,
    /// Two cells.
    Wide,
}

/// `sandtop config`.
#[derive(Debug, Default, Args)]
pub struct Config {
    /// Print where the configuration is read from, and nothing else
    #[arg(long)]
    pub path: bool,
    /// As if this limit were asked for
    #[arg(short, long, value_name = "SIZE", allow_hyphen_values = true)]
    pub memory: Option<String>,
    /// As if this were asked for: how often to sample
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub interval: Option<Duration>,
    /// As if this were asked for: how far - and + move the limit
    #[arg(long, value_name = "STEP", value_parser = Step::parse)]
    pub step: Option<Step>,
    /// How the screen would look.
    #[command(flatten)]
    pub look: Look,
}
