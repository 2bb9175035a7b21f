//! The chart as SVG: usage over time as a filled stack, the limit as a line that steps where it was moved, and what happened as marks.
//!
//! Colours are those of `assets/report/chart.css`, for light and dark; a hatch, a shape or a word says the same. Refuses: anything but one run.

use std::fmt::Write as _;

use super::{
    legend,
    marks::{self, Labels},
    series::{Dot, POINTS, Series},
    text::{html, visible},
};
use crate::{
    axis::{round_time, round_up, time_label},
    sentences::{Language, duration},
    session::{Run, Session},
    units::size,
};

/// The colours and lines of the chart.
pub const STYLE: &str = include_str!("../../assets/report/chart.css");

/// A limit that is more than so many times the peak leaves the picture: it would flatten all else.
const FAR_ABOVE: u64 = 16;

/// How a chart is to look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Its width, in pixels at its own size.
    pub width: f64,
    /// Its height without the legend.
    pub height: f64,
    /// Whether it stands alone, as a file: with its title and colours.
    pub alone: bool,
}

/// Where things lie in the picture.
pub struct Plot {
    /// The left edge of the plot.
    pub left: f64,
    /// Its right edge.
    pub right: f64,
    /// Its upper edge.
    pub top: f64,
    /// Its lower edge.
    pub bottom: f64,
    /// How many seconds it spans.
    pub span: f64,
    /// How many bytes high it is.
    pub bytes: f64,
    /// The size of letters, in pixels.
    pub letters: f64,
}

impl Plot {
    /// Where a moment lies.
    pub fn x(&self, at: f64) -> f64 {
        self.left + at / self.span * (self.right - self.left)
    }

    /// Where a size lies.
    pub fn y(&self, bytes: u64) -> f64 {
        self.bottom - (bytes as f64 / self.bytes).min(1.0) * (self.bottom - self.top)
    }

    /// Whether so much can be seen.
    pub fn is_seen(&self, bytes: u64) -> bool {
        self.bottom - self.y(bytes) > 1.0
    }

    /// Whether the highest usage between two samples stands out of both.
    pub fn stands_out(&self, before: &Dot, after: &Dot) -> bool {
        self.y(before.usage.max(after.usage)) - self.y(after.peak) > 3.0
    }

    /// How wide a text is, roughly.
    pub fn width(&self, text: &str) -> f64 {
        unicode_width::UnicodeWidthStr::width(text) as f64 * self.letters * 0.56
    }
}

/// The chart of a run. In a page it takes its colours from there.
pub fn chart(run: &Run, session: &Session, look: Look) -> String {
    let series = Series::new(run, session, (look.width as usize).min(POINTS));
    let letters = if look.width < 500.0 { 11.0 } else { 12.0 };
    let head = if look.alone { 62.0 } else { 10.0 };
    let (top, drawn) = scale(run, &series);
    let mut plot = Plot {
        left: 0.0,
        right: look.width - 14.0,
        top: head,
        bottom: head + look.height - 30.0,
        span: series.span,
        bytes: top,
        letters,
    };
    let ticks = size_ticks(top, if look.width < 500.0 { 4.0 } else { 5.0 });
    plot.left = ticks.iter().map(|bytes| plot.width(&size(*bytes))).fold(20.0, f64::max) + 17.0;
    let keys = legend::Legend::new(&series, &plot, look.width, drawn);
    let height = plot.bottom + 34.0 + keys.height();
    let id = format!("run{}-{}{}", run.started.run, look.width, if look.alone { "-alone" } else { "" });
    let mut out = opened(run, &series, look, &plot, height, &id);
    if look.alone {
        titles(&mut out, run, look.width);
    }
    axes(&mut out, &plot, &series, &ticks, run);
    stack(&mut out, &plot, &series, &id);
    let mut labels = Labels::new(&plot);
    if drawn {
        limit_line(&mut out, &plot, &series);
    }
    marks::draw(&mut out, &plot, &series, drawn, &mut labels);
    limit_name(&mut out, &plot, &series, drawn, &mut labels);
    marks::name_all(&mut out, &plot, &series, drawn, &mut labels);
    keys.draw(&mut out, &plot, plot.bottom + 44.0, &id);
    out + "</svg>\n"
}

/// How many bytes high the plot is, and whether the limit is in it.
fn scale(run: &Run, series: &Series) -> (f64, bool) {
    let peak = run.peak.max(series.dots.iter().map(|dot| dot.peak.max(dot.usage)).max().unwrap_or(0)).max(1);
    let limit = series.highest_limit().filter(|limit| limit / FAR_ABOVE <= peak);
    match limit {
        Some(limit) => (limit.max(peak) as f64 * 1.16, true),
        // One that was left behind may be far above, and one of those after it not.
        None => {
            let near = series.limits.iter().filter_map(|l| l.1.bytes()).filter(|limit| limit / FAR_ABOVE <= peak).max();
            (near.unwrap_or(0).max(peak) as f64 * 1.16, near.is_some())
        }
    }
}

fn size_ticks(top: f64, about: f64) -> Vec<u64> {
    let step = round_up(top / about).max(1.0);
    (0..).map(|n| step * f64::from(n)).take_while(|bytes| *bytes <= top * 0.97).map(|bytes| bytes as u64).collect()
}

fn opened(run: &Run, series: &Series, look: Look, plot: &Plot, height: f64, id: &str) -> String {
    let width = look.width;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" viewBox=\"0 0 {width} {height:.0}\" \
         data-left=\"{:.1}\" data-right=\"{:.1}\" data-top=\"{:.1}\" data-bottom=\"{:.1}\"",
        plot.left, plot.right, plot.top, plot.bottom
    );
    if look.alone {
        let _ = write!(out, " width=\"{width}\" height=\"{height:.0}\"");
    }
    let title = format!("{}: memory over time", run.started.argv.join(" "));
    let _ = writeln!(out, ">\n<title>{}</title>", html(&title));
    let _ = writeln!(out, "<desc>{}</desc>", html(&described(run, series)));
    if look.alone {
        let _ = writeln!(
            out,
            "<style>{}</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>",
            literal_first(STYLE)
        );
    }
    let _ = writeln!(
        out,
        "<defs><pattern id=\"{id}-hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect class=\"cache\" width=\"6\" height=\"6\"/><rect class=\"hatch\" width=\"2\" height=\"6\"/></pattern></defs>"
    );
    out
}

/// The style with each colour also as it is in the light, before the one that follows the reader's wish: librsvg and others know no variables, and
/// leave out what they do not understand.
fn literal_first(style: &str) -> String {
    let light = style.lines().next().unwrap_or_default();
    let literal = |name: &str| {
        let (_, rest) = light.split_once(&format!("{name}: "))?;
        rest.split_once(';').map(|(value, _)| value)
    };
    let declared = |declaration: &str| -> String {
        let named = declaration.split_once(": var(").and_then(|(property, rest)| {
            let value = literal(rest.split_once(')')?.0)?;
            Some(format!("{property}: {value};{declaration}"))
        });
        named.unwrap_or_else(|| declaration.to_string())
    };
    let rule = |line: &str| match line.split_once('{') {
        Some((selector, body)) if line.contains("var(") => {
            let body: Vec<String> = body.split(';').map(declared).collect();
            format!("{selector}{{{}", body.join(";"))
        }
        _ => line.to_string(),
    };
    style.lines().map(rule).collect::<Vec<_>>().join("\n")
}

/// The chart in words, for those who do not see it.
fn described(run: &Run, series: &Series) -> String {
    let words = Language::English;
    let verdict = if run.ended.is_some() { words.summary(run) } else { "it runs".to_string() };
    let told: Vec<&str> = series.marks.iter().map(|mark| mark.text.as_str()).take(12).collect();
    let limit = words.limit(run.started.limit, run.started.limit_is_default);
    format!("Usage over {:.3} s under a limit of {limit}. {verdict}. {}", series.span, told.join(". "))
}

fn titles(out: &mut String, run: &Run, width: f64) {
    let (sign, class, verdict) = super::words::verdict(run);
    let cut = |text: String, letter: f64| {
        let room = (width / letter) as usize;
        if text.chars().count() <= room { text } else { text.chars().take(room - 1).chain(['…']).collect() }
    };
    let command = cut(visible(&run.started.argv.join(" ")), 9.6);
    let verdict = cut(format!("{sign} {verdict}"), 7.4);
    let _ = writeln!(out, "<text class=\"title\" x=\"14\" y=\"25\">{}</text>", html(&command));
    let _ = writeln!(out, "<text class=\"verdict {class}\" x=\"14\" y=\"46\">{}</text>", html(&verdict));
}

fn axes(out: &mut String, plot: &Plot, series: &Series, ticks: &[u64], run: &Run) {
    for bytes in ticks {
        let y = plot.y(*bytes);
        let class = if *bytes == 0 { "axis" } else { "grid" };
        let _ = writeln!(out, "<path class=\"{class}\" d=\"M{:.1} {y:.1}H{:.1}\"/>", plot.left, plot.right);
        let text = if *bytes == 0 { "0".to_string() } else { size(*bytes) };
        let _ = writeln!(
            out,
            "<text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
            plot.left - 7.0,
            y + 4.0
        );
    }
    // The end is told exactly, and a tick that would touch it is not.
    let end = if series.ended { duration(run.elapsed(run.at)) } else { "now".to_string() };
    let ends_from = plot.right - plot.width(&end) - 10.0;
    let step = round_time(series.span * 76.0 / (plot.right - plot.left).max(1.0));
    let mut tick = 0.0;
    while tick <= series.span {
        let (x, text) = (plot.x(tick), time_label(tick, step));
        if x + plot.width(&text) / 2.0 < ends_from {
            let _ = writeln!(out, "<path class=\"axis\" d=\"M{x:.1} {:.1}v5\"/>", plot.bottom);
            let _ = writeln!(
                out,
                "<text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>",
                plot.bottom + 18.0
            );
        }
        tick += step;
    }
    let (x, y) = (plot.right, plot.bottom);
    let _ = writeln!(out, "<path class=\"axis\" d=\"M{x:.1} {y:.1}v5\"/>");
    let _ =
        writeln!(out, "<text class=\"tick end\" text-anchor=\"end\" x=\"{x:.1}\" y=\"{:.1}\">{end}</text>", y + 18.0);
}

/// Held memory, file cache on it, the edge of usage, and the peaks that stand out of it.
fn stack(out: &mut String, plot: &Plot, series: &Series, id: &str) {
    let Some((first, last)) = series.dots.first().zip(series.dots.last()) else { return };
    let line = |of: &dyn Fn(&Dot) -> u64| {
        let points = series.dots.iter().map(|dot| format!("{:.1} {:.1}", plot.x(dot.at), plot.y(of(dot))));
        points.collect::<Vec<_>>().join("L")
    };
    let usage = line(&|dot| dot.usage);
    let held = line(&|dot| dot.usage - dot.cache.min(dot.usage));
    let (from, to, floor) = (plot.x(first.at), plot.x(last.at), plot.bottom);
    if series.dots.iter().any(|dot| plot.is_seen(dot.cache)) {
        let _ = writeln!(out, "<path fill=\"url(#{id}-hatch)\" d=\"M{usage}L{to:.1} {floor:.1}H{from:.1}Z\"/>");
    }
    let _ = writeln!(out, "<path class=\"held\" d=\"M{held}L{to:.1} {floor:.1}H{from:.1}Z\"/>");
    let _ = writeln!(out, "<path class=\"edge\" d=\"M{usage}\"/>");
    let mut peaks = String::new();
    for pair in series.dots.windows(2) {
        if plot.stands_out(&pair[0], &pair[1]) {
            let _ = write!(peaks, "M{:.1} {:.1}h0", plot.x(pair[1].at), plot.y(pair[1].peak));
        }
    }
    if !peaks.is_empty() {
        let _ = writeln!(out, "<path class=\"peak\" d=\"{peaks}\"/>");
    }
}

/// The limit: level, and a step where it was moved. Where there is none, or one far above, there is no line.
fn limit_line(out: &mut String, plot: &Plot, series: &Series) {
    let mut path = String::new();
    let mut open = false;
    let ends = series.limits.iter().skip(1).map(|(at, _)| *at).chain([series.span]);
    for ((from, limit), to) in series.limits.iter().zip(ends) {
        let Some(bytes) = limit.bytes().filter(|bytes| *bytes as f64 <= plot.bytes) else {
            open = false;
            continue;
        };
        let y = plot.y(bytes);
        let _ = match open {
            true => write!(path, "V{y:.1}H{:.1}", plot.x(to)),
            false => write!(path, "M{:.1} {y:.1}H{:.1}", plot.x(*from), plot.x(to)),
        };
        open = true;
    }
    let _ = writeln!(out, "<path class=\"halo\" d=\"{path}\"/><path class=\"limit\" d=\"{path}\"/>");
}

/// The first limit's name on its line; later ones are named where they were set.
fn limit_name(out: &mut String, plot: &Plot, series: &Series, drawn: bool, labels: &mut Labels) {
    let last = series.limits.last().and_then(|(_, limit)| limit.bytes());
    let first = series.limits.first().and_then(|(_, limit)| limit.bytes());
    let above = match last {
        None if series.limits.len() == 1 => Some("no limit".to_string()),
        Some(bytes) if !drawn || bytes as f64 > plot.bytes => Some(format!("limit {} is far above ↑", size(bytes))),
        _ => None,
    };
    if let Some(text) = above {
        labels.place(out, "limit-name", &text, &[(plot.right - 4.0, plot.top + 12.0, "end")]);
    }
    if let Some(bytes) = first.filter(|bytes| drawn && *bytes as f64 <= plot.bytes) {
        let y = plot.y(bytes);
        // On the left, or farther right where that is taken; below the line at last.
        let step = (plot.right - plot.left) / 24.0;
        let places = [-7.0, 16.0]
            .into_iter()
            .flat_map(|off| (0..20).map(move |n| (plot.left + 6.0 + step * f64::from(n), y + off, "start")));
        let places: Vec<(f64, f64, &str)> = places.collect();
        labels.place(out, "limit-name", &format!("limit {}", size(bytes)), &places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_colour_is_literal_before_it_is_a_variable() {
        let style = literal_first(STYLE);
        assert!(style.contains(".chart .held { fill: #2f7fa8; fill: var(--held); }"), "{style}");
        for declaration in style.split(['{', ';']).filter(|d| d.contains("var(")) {
            let property = declaration.split(':').next().unwrap().trim();
            let before = &style[..style.find(declaration).unwrap()];
            assert!(before.trim_end().ends_with(';') && before.rsplit([';', '{']).nth(1).unwrap().contains(property));
        }
    }
}
