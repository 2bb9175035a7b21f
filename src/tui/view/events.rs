//! What happened, as sentences, the newest on top.

use ratatui::{Frame, layout::Rect, style::Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{View, fit, put, rule, span};
use crate::{
    sentences::{Weight, moment},
    session::{Entry, Run, What},
    text::visible,
    tui::{
        app::Focus,
        input::{Action, key_of},
        log,
    },
    units::is_lower,
};

/// Draws the log.
pub fn render(frame: &mut Frame, area: Rect, view: &View) {
    let focused = view.app.focus == Focus::Events;
    let title = match view.app.events_filter.as_str() {
        "" => "events".to_string(),
        filter => format!("events /{}", visible(filter)),
    };
    let hint = match view.app.entry {
        Some(entry) if focused && goes(view, entry) => {
            format!("{} goes to its moment", key_of(view.app, &Action::Open))
        }
        _ => String::new(),
    };
    rule(frame, area, &title, &hint, view.theme, focused);
    let mut y = area.y + 1;
    for number in shown(area, view) {
        let Some(entry) = log::place(view.session, number).and_then(|place| view.session.log.get(place)) else { break };
        if y >= area.bottom() {
            break;
        }
        let here = focused && view.app.entry == Some(number);
        let (lines, weight) = lines(area, view, entry);
        let (time, sign) = (format!(" {} ", time(view, entry)), format!("{} ", sign(entry, weight)));
        let indent = time.width() + sign.width();
        let style = view.theme.weight(weight);
        let room = usize::from(area.bottom().saturating_sub(y));
        for (n, line) in lines.iter().take(room).enumerate() {
            let cut = n + 1 == room && lines.len() > room;
            let line = if cut {
                fit(&format!("{line} …"), usize::from(area.width).saturating_sub(indent))
            } else {
                line.clone()
            };
            let mut spans = vec![span(time.clone(), view.theme.dim), span(sign.clone(), style)];
            if here && n == 0 {
                spans[0] = span(format!("▸{}", &time[1..]), view.theme.focus);
            }
            if n > 0 {
                spans = vec![span(" ".repeat(indent), Style::new())];
            }
            spans.push(span(line, style));
            put(frame, Rect { y, height: 1, ..area }, spans);
            y += 1;
        }
    }
}

/// Whether Enter goes to an entry's moment: the chart is the newest run's, a replay goes anywhere.
fn goes(view: &View, entry: usize) -> bool {
    let run = log::place(view.session, entry).and_then(|place| view.session.log.get(place)).map(|entry| entry.run);
    view.app.replaying || run == view.session.run().map(|run| run.started.run)
}

/// The entries that are shown, from the first on: the one that the user stands on is in sight, and one after it where there is room.
fn shown<'a>(area: Rect, view: &View<'a>) -> impl Iterator<Item = usize> + use<'a> {
    let listed = || log::listed(view.session, &view.app.events_filter, view.words);
    let before = view.app.entry.map_or(0, |entry| listed().take_while(|n| *n > entry).count());
    let tall = |number: usize| {
        let place = log::place(view.session, number);
        place.and_then(|place| view.session.log.get(place)).map_or(0, |entry| lines(area, view, entry).0.len())
    };
    let after = before.saturating_sub(1);
    let both: usize = listed().skip(after).take(2).map(tall).sum();
    listed().skip(if both < usize::from(area.height) { after } else { before })
}

/// Which entry is at this line of the region.
pub fn entry_at(area: Rect, y: u16, view: &View) -> Option<usize> {
    let mut line = area.y + 1;
    for number in shown(area, view) {
        let entry = view.session.log.get(log::place(view.session, number)?)?;
        line += lines(area, view, entry).0.len() as u16;
        if y < line {
            return (y > area.y).then_some(number);
        }
    }
    None
}

/// The sentence of an entry as lines, and its weight.
fn lines(area: Rect, view: &View, entry: &Entry) -> (Vec<String>, Weight) {
    let (text, weight) = sentence(view, entry);
    let indent = time(view, entry).width() + sign(entry, weight).width() + 3;
    let room = usize::from(area.width).saturating_sub(indent);
    let mut lines = wrap(&visible(&text), room);
    // The end is in the header too, and leaves room for what led to it.
    let most = usize::from(area.height.saturating_sub(3)).max(2);
    let chosen = view.app.entry.and_then(|number| log::place(view.session, number));
    if matches!(entry.what, What::Ended)
        && lines.len() > most
        && !chosen.and_then(|place| view.session.log.get(place)).is_some_and(|it| std::ptr::eq(it, entry))
    {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = fit(&format!("{last} …"), room);
        }
    }
    (lines, weight)
}

/// The entry as a sentence. A stall that lasts names the key that helps, where there is one.
fn sentence(view: &View, entry: &Entry) -> (String, Weight) {
    let lasts = |run: &Run| run.started.run == entry.run && run.stalls.now().is_some_and(|s| entry.at >= s.since);
    match entry.what {
        What::Stalled { limit, refaults } if !view.app.replaying && view.session.run().is_some_and(lasts) => {
            view.words.stalled_with_key(limit, refaults, &key_of(view.app, &Action::LimitUp))
        }
        _ => view.words.entry(entry, view.session),
    }
}

/// The time within the entry's run.
fn time(view: &View, entry: &Entry) -> String {
    let start = view.session.runs.iter().find(|run| run.started.run == entry.run).map_or(entry.at, Run::origin);
    moment(entry.at.saturating_sub(start))
}

fn sign(entry: &Entry, weight: Weight) -> &'static str {
    match (&entry.what, weight) {
        (What::OomKill { .. }, _) => "✖",
        (What::Started { .. }, _) => "▸",
        (What::Paused { .. }, _) => "‖",
        (What::Resumed { .. } | What::StallOver { .. }, _) => "▸",
        (What::Stalled { .. }, _) => "≋",
        (What::Ended, _) => "■",
        (What::LimitMoved { from, to, .. }, _) => {
            if is_lower(*from, *to) {
                "▼"
            } else {
                "▲"
            }
        }
        (_, Weight::Act) => "▪",
        (_, Weight::Danger) => "!",
        (_, Weight::Warning) => "!",
        _ => "·",
    }
}

/// Breaks a sentence at spaces, and a word that is longer than a line where the line ends.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        if word.width() <= width || width < 2 {
            line.push_str(word);
            continue;
        }
        for c in word.chars() {
            if !line.is_empty() && line.width() + c.width().unwrap_or(0) > width {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_break_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(wrap("a longword b", 4), ["a", "long", "word", "b"]);
    }
}
