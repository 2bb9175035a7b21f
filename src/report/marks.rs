//! The marks of a chart and their names: ✖ where the OOM killer killed, ▲ ▼ where the limit was moved, ◆ where it was first met, ◇ what was refused, ‖ a pause.
//!
//! Names never lie on each other: one that finds no room is left out, and the mark still has it as its tooltip.

use std::fmt::Write as _;

use super::{
    series::{Marked, Series, Sign},
    svg::Plot,
    text::html,
};
use crate::units::Limit;

/// What is nearer than this, in pixels, would lie on each other.
const NEAR: f64 = 13.0;

/// More kills than this are not all named.
const MANY: usize = 4;

/// The names that are placed, and where.
pub struct Labels<'a> {
    plot: &'a Plot,
    taken: Vec<[f64; 4]>,
}

impl<'a> Labels<'a> {
    /// None yet.
    pub fn new(plot: &'a Plot) -> Labels<'a> {
        Labels { plot, taken: Vec::new() }
    }

    /// Keeps a place free, around its middle.
    fn keep(&mut self, x: f64, y: f64, reach: f64) {
        self.taken.push([x - reach, y - reach, x + reach, y + reach]);
    }

    /// Writes a text at the first of these places (x, baseline, anchor) that is free.
    pub fn place(&mut self, out: &mut String, class: &str, text: &str, places: &[(f64, f64, &str)]) {
        let width = self.plot.width(text);
        for (x, y, anchor) in places {
            let left = match *anchor {
                "end" => x - width,
                "middle" => x - width / 2.0,
                _ => *x,
            };
            let area = [left - 2.0, y - self.plot.letters, left + width + 2.0, y + 3.0];
            let inside = area[0] >= self.plot.left && area[2] <= self.plot.right + 12.0 && area[3] <= self.plot.bottom;
            let free = self.taken.iter().all(|t| area[2] < t[0] || area[0] > t[2] || area[3] < t[1] || area[1] > t[3]);
            if inside && free {
                self.taken.push(area);
                let _ = writeln!(
                    out,
                    "<text class=\"name {class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
                    html(text)
                );
                return;
            }
        }
    }
}

/// Draws all marks, and keeps their places free.
pub fn draw(out: &mut String, plot: &Plot, series: &Series, drawn: bool, labels: &mut Labels) {
    let groups = grouped(series, plot);
    for group in &groups {
        let (x, y) = (plot.x(group[0].at), height(plot, group[0], drawn));
        labels.keep(x, y, 7.0);
        let (class, shape) = shape(group[0].sign);
        let told: Vec<&str> = group.iter().take(8).map(|mark| mark.text.as_str()).collect();
        let _ = writeln!(
            out,
            "<g class=\"mark {class}\" transform=\"translate({x:.1} {y:.1})\"><title>{}</title>{shape}</g>",
            html(&told.join("; "))
        );
    }
}

/// Names the marks, as far as there is room.
pub fn name_all(out: &mut String, plot: &Plot, series: &Series, drawn: bool, labels: &mut Labels) {
    let groups = grouped(series, plot);
    // Where there are many kills the first says what all are.
    let kills = groups.iter().filter(|group| group[0].sign == Sign::Kill).count();
    let named = if kills > MANY { 1 } else { kills };
    // The graver first: it gets the better place.
    for grave in [true, false] {
        let most = if grave { named } else { groups.len() };
        for group in groups.iter().filter(|group| (group[0].sign == Sign::Kill) == grave).take(most) {
            let (x, y) = (plot.x(group[0].at), height(plot, group[0], drawn));
            let mut places = [
                (x, y - 12.0, "middle"),
                (x - 11.0, y - 7.0, "end"),
                (x + 11.0, y - 7.0, "start"),
                (x - 11.0, y + 16.0, "end"),
                (x + 11.0, y + 16.0, "start"),
                (x, y - 26.0, "middle"),
                (x, y + 24.0, "middle"),
            ];
            if group[0].sign == Sign::Lowered {
                places.swap(0, 2); // above it the line comes down
            }
            labels.place(out, shape(group[0].sign).0, &name(group), &places);
        }
    }
}

/// The marks that are drawn: those of one kind that would lie on each other are one, and a first limit hit that killed is the kill.
pub fn grouped<'a>(series: &'a Series, plot: &Plot) -> Vec<Vec<&'a Marked>> {
    let killed = |at: f64| {
        let kills = series.marks.iter().filter(|mark| mark.sign == Sign::Kill);
        kills.map(|mark| plot.x(mark.at)).any(|x| (x - plot.x(at)).abs() < NEAR)
    };
    let mut groups: Vec<Vec<&Marked>> = Vec::new();
    for mark in series.marks.iter().filter(|mark| mark.sign != Sign::FirstHit || !killed(mark.at)) {
        let near = |group: &&mut Vec<&Marked>| {
            let same = group[0].sign == mark.sign && matches!(mark.sign, Sign::Kill | Sign::Refused);
            same && plot.x(mark.at) - plot.x(group[0].at) < NEAR && group[0].limit == mark.limit
        };
        match groups.iter_mut().rev().find(near) {
            Some(group) => group.push(mark),
            None => groups.push(vec![mark]),
        }
    }
    groups
}

/// A mark lies on the limit; where that is not in the picture, at its upper edge.
fn height(plot: &Plot, mark: &Marked, drawn: bool) -> f64 {
    let level = mark.level.filter(|bytes| drawn && *bytes as f64 <= plot.bytes);
    level.map_or(plot.top + 8.0, |bytes| plot.y(bytes)).clamp(plot.top + 8.0, plot.bottom - 8.0)
}

fn name(group: &[&Marked]) -> String {
    let mark = group[0];
    let to = match mark.limit {
        Limit::Max => "no limit".to_string(),
        limit => limit.to_string(),
    };
    match mark.sign {
        Sign::Kill if group.len() > 1 => format!("{} × OOM kill", group.len()),
        Sign::Kill => "OOM kill".into(),
        Sign::FirstHit => "first limit hit".into(),
        Sign::Raised | Sign::Lowered => to,
        Sign::Refused => format!("{to} refused"),
        Sign::Paused => "paused".into(),
    }
}

/// The class of a sign, and its shape around 0 0.
pub fn shape(sign: Sign) -> (&'static str, &'static str) {
    match sign {
        Sign::Kill => (
            "kill",
            "<circle class=\"disc\" r=\"9\"/><path class=\"cross\" d=\"M-4.5 -4.5L4.5 4.5M4.5 -4.5L-4.5 4.5\"/>",
        ),
        Sign::Raised => ("edit", "<path class=\"solid\" d=\"M0 -7L7 5.5H-7Z\"/>"),
        Sign::Lowered => ("edit", "<path class=\"solid\" d=\"M0 7L7 -5.5H-7Z\"/>"),
        Sign::FirstHit => ("hit", "<path class=\"solid\" d=\"M0 -5.5L5.5 0L0 5.5L-5.5 0Z\"/>"),
        Sign::Refused => ("refused", "<path class=\"hollow\" d=\"M0 -6.5L6.5 0L0 6.5L-6.5 0Z\"/>"),
        Sign::Paused => ("hit", "<path class=\"solid\" d=\"M-5 -6H-1.5V6H-5ZM1.5 -6H5V6H1.5Z\"/>"),
    }
}
