//! Colours. Each means one thing, and a sign or a word says the same without it: with `NO_COLOR` the screen is told by weight alone.

use ratatui::style::{Color, Modifier, Style};

use crate::sentences::Weight;

/// The styles of the screen.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Whether there are colours; if not, the workload's are left out as well.
    pub colour: bool,
    /// Memory that cannot be given back.
    pub held: Style,
    /// Memory that can be given back: file cache.
    pub cache: Style,
    /// Anonymous memory, on the chart.
    pub anon: Style,
    /// Shared memory, on the chart.
    pub shmem: Style,
    /// The kernel's own, on the chart.
    pub kernel: Style,
    /// The soft limit.
    pub soft: Style,
    /// The chart's cursor.
    pub cursor: Style,
    /// The limit.
    pub limit: Style,
    /// The interval peak.
    pub peak: Style,
    /// The recording that a replay is compared with.
    pub before: Style,
    /// Something was killed, refused, or failed.
    pub danger: Style,
    /// Worth a look.
    pub warning: Style,
    /// The user's own act.
    pub act: Style,
    /// All is well.
    pub good: Style,
    /// What is said beside: files, axes, rules.
    pub dim: Style,
    /// Titles and the numbers that matter.
    pub strong: Style,
    /// Keys in the footer.
    pub key: Style,
    /// The rule above the focused region.
    pub focus: Style,
}

impl Theme {
    /// Sixteen colours, which follow the user's own palette; or none.
    pub fn new(colour: bool) -> Theme {
        let plain = Style::new();
        let fg = |c: Color, m: Modifier| if colour { plain.fg(c) } else { plain.add_modifier(m) };
        let none = Modifier::empty();
        Theme {
            colour,
            held: fg(Color::Cyan, none),
            cache: fg(Color::Green, Modifier::DIM),
            anon: fg(Color::Cyan, none),
            shmem: fg(Color::Blue, none),
            kernel: fg(Color::Magenta, none),
            soft: fg(Color::Yellow, none),
            cursor: fg(Color::White, Modifier::BOLD),
            limit: fg(Color::Yellow, Modifier::BOLD).add_modifier(Modifier::BOLD),
            peak: fg(Color::White, none),
            before: fg(Color::LightBlue, Modifier::BOLD),
            danger: fg(Color::LightRed, Modifier::REVERSED).add_modifier(Modifier::BOLD),
            warning: fg(Color::Yellow, none),
            act: fg(Color::LightMagenta, Modifier::UNDERLINED),
            good: fg(Color::LightGreen, none),
            dim: fg(Color::DarkGray, Modifier::DIM),
            strong: plain.add_modifier(Modifier::BOLD),
            key: fg(Color::LightCyan, Modifier::BOLD),
            focus: fg(Color::LightCyan, Modifier::BOLD).add_modifier(Modifier::BOLD),
        }
    }

    /// The style that goes with a sentence's weight.
    pub fn weight(&self, weight: Weight) -> Style {
        match weight {
            Weight::Plain => Style::new(),
            Weight::Act => self.act,
            Weight::Warning => self.warning,
            Weight::Danger => self.danger,
        }
    }
}
