//! A report as one HTML page: inline pictures and style, a little script for the read-out, and nothing that is fetched.
//!
//! The page is whole without its script. Its numbers are those of the JSON, under the JSON's names (`data-field`, `data-value`). A policy in the page allows
//! the one script by its hash, and no network at all.

use std::fmt::Write as _;

use super::{
    Source, again, screen,
    series::{POINTS, Series},
    svg::{self, Look},
    take_away::{self, System, take_away},
    text::{escaped, filled, html, visible, visible_lines},
    words::{self, Number, numbers},
};
use crate::{
    result::{self, LimitValue, ProcessDocument, RunDocument, series},
    sentences::{Language, moment_at},
    session::Run,
    units::size,
};

const PAGE: &str = include_str!("../../assets/report/page.html");
const STYLE: &str = include_str!("../../assets/report/page.css");

/// The page's script …
pub const SCRIPT: &str = include_str!("../../assets/report/page.js");

/// … and what the page's policy knows it by.
pub const SCRIPT_HASH: &str = "sha256-HjReofQYuEZ/OeZZfgQLS4nDonFmdHNqiCjyw7UG3rI=";

/// How many processes are listed.
const PROCESSES: usize = 40;

/// How many kills are told; the JSON has more.
const STORIES: usize = 20;

/// The sizes that the chart is drawn in: a wide window, a small one, a phone. The style shows the one that fits.
const LOOKS: [(&str, f64, f64); 3] = [("wide", 1080.0, 400.0), ("middle", 700.0, 340.0), ("small", 380.0, 280.0)];

/// The page of all runs, the newest first.
pub fn page(source: &Source) -> String {
    let Some(document) = result::document(source.session) else { return String::new() };
    let documents = std::iter::once(&document.run).chain(document.earlier_runs.iter().rev());
    let mut body = String::new();
    for caution in source.cautions {
        let (what, text) = Language::English.caution(caution);
        let _ = writeln!(body, "<p class=\"damage\"><strong>The recording {what}:</strong> {}.</p>", html(&text));
    }
    for (run, told) in source.session.runs.iter().rev().zip(documents) {
        section(&mut body, source, run, told);
    }
    if let Some(said) = Language::English.forgotten(document.forgotten_runs) {
        let _ = writeln!(body, "<p class=\"what\">{said}</p>");
    }
    elsewhere(&mut body, source);
    let title = source.session.run().map_or(String::new(), |run| {
        let (sign, _, verdict) = words::verdict(run);
        format!("{sign} {verdict}")
    });
    let version = html(&source.header.sandtop);
    let style = [svg::STYLE, STYLE].concat();
    filled(
        PAGE,
        &[
            ("title", &html(&title)),
            ("hash", SCRIPT_HASH),
            ("style", &style),
            ("version", &version),
            ("body", &body),
            ("script", SCRIPT),
        ],
    )
}

fn section(out: &mut String, source: &Source, run: &Run, told: &RunDocument) {
    let number = told.run.unwrap_or_default();
    let (sign, class, verdict) = words::verdict(run);
    let _ = writeln!(out, "<section class=\"run\" id=\"run{number}\" data-run=\"{number}\">");
    let many = if source.session.runs.len() > 1 {
        format!("<span class=\"number\">run {number}</span> ")
    } else {
        String::new()
    };
    let _ = writeln!(out, "<header>\n<h1>{many}<code>{}</code></h1>", html(&words::command(run)));
    let verdict = html(&verdict);
    let _ = writeln!(out, "<p class=\"verdict {class}\"><span class=\"sign\">{sign}</span> {verdict}</p>");
    let when = words::when(run)
        .map(|when| format!("<time datetime=\"{when}\">{}</time>", when.replace('T', " ").replace('Z', " UTC")));
    let about: Vec<String> =
        when.into_iter().chain(words::machine(source.header, run).iter().map(|part| html(part))).collect();
    let _ = writeln!(out, "<p class=\"about\">{}</p>\n</header>", about.join(" · "));
    picture(out, source, run);
    key_numbers(out, told);
    stories(out, told);
    events(out, told);
    edits(out, told);
    processes(out, told);
    if let Some(screen) = screen::last(source.events, number) {
        let _ = writeln!(out, "<h2>The end of its output</h2>\n<pre class=\"output\">{}</pre>", escaped(&screen));
    }
    out.push_str("<h2>Run it again</h2>\n");
    for line in again::lines(told) {
        let _ = writeln!(
            out,
            "<p class=\"what\">{}</p>\n<pre><code>{}</code></pre>",
            line.what,
            escaped(&visible_lines(&line.line))
        );
    }
    if let Some(doubt) = again::doubt(told) {
        let _ = writeln!(out, "<p class=\"what\">{doubt}</p>");
    }
    out.push_str("</section>\n");
}

/// The chart in its sizes, and what the script reads.
fn picture(out: &mut String, source: &Source, run: &Run) {
    out.push_str("<figure>\n");
    for (class, width, height) in LOOKS {
        let chart = svg::chart(run, source.session, Look { width, height, alone: false });
        let _ = writeln!(out, "<div class=\"{class}\">{chart}</div>");
    }
    let _ = writeln!(out, "<script type=\"application/json\">{}</script>\n</figure>", samples(source, run));
}

/// The samples as columns of numbers: no text of others is in it.
fn samples(source: &Source, run: &Run) -> String {
    let series = Series::new(run, source.session, POINTS);
    let dots = &series.dots;
    let limits: Vec<_> = dots.iter().map(|dot| series.limit_at(dot.at).bytes()).collect();
    serde_json::json!({
        "span": series.span,
        "at": dots.iter().map(|dot| (dot.at * 1e6).round() / 1e6).collect::<Vec<_>>(),
        "usage": dots.iter().map(|dot| dot.usage).collect::<Vec<_>>(),
        "cache": dots.iter().map(|dot| dot.cache).collect::<Vec<_>>(),
        "peak": dots.iter().map(|dot| dot.peak).collect::<Vec<_>>(),
        "limit": limits,
    })
    .to_string()
}

fn key_numbers(out: &mut String, told: &RunDocument) {
    out.push_str("<h2>Numbers</h2>\n<ul class=\"numbers\">\n");
    for Number { name, file, field, value, text } in numbers(told) {
        let shown = match value {
            Some(value) => format!(
                "<span class=\"value\" data-field=\"{field}\" data-value=\"{value}\" title=\"{value}\">{text}</span>"
            ),
            None => format!("<span class=\"value\" data-field=\"{field}\">{text}</span>"),
        };
        let alarm = if field == "oom_kills" && told.oom_kills.unwrap_or(0) > 0 { " class=\"danger\"" } else { "" };
        let file = file.map_or(String::new(), |file| format!("<code class=\"file\">{file}</code>"));
        let _ = writeln!(out, "<li{alarm}><span class=\"name\">{name}</span> {shown} {file}</li>");
    }
    out.push_str("</ul>\n");
}

/// The kills, each folded but for the last.
fn stories(out: &mut String, told: &RunDocument) {
    let all = series(&told.stories);
    let (hidden, shown) = all.split_at(all.len().saturating_sub(STORIES));
    let Some(last) = shown.len().checked_sub(1) else { return };
    out.push_str("<h2>Why it was killed</h2>\n");
    let before = hidden.iter().flat_map(|same| same.iter()).map(|story| story.kills).sum();
    if before > 0 {
        let _ = writeln!(out, "<p class=\"what\">{}</p>", html(&Language::English.more_kills(before)));
    }
    for (n, same) in shown.iter().enumerate() {
        let open = if n == last { " open" } else { "" };
        let Some((story, (_, facts))) = same.last().and_then(|story| Some((story, story.text.split_first()?))) else {
            continue;
        };
        let head = Language::English.series(same);
        let at = number(story.at_seconds);
        let _ = writeln!(
            out,
            "<details class=\"story\" data-story=\"{at}\"{open}><summary>{}</summary>\n<dl>",
            html(&head)
        );
        for (about, fact) in facts.iter().filter_map(|fact| fact.split_once(": ")) {
            let _ = writeln!(out, "<dt>{about}</dt><dd>{}</dd>", html(fact));
        }
        out.push_str("</dl></details>\n");
    }
    out.push_str("<h2>What the verdict rests on</h2>\n<dl class=\"evidence\">\n");
    for evidence in &told.evidence {
        let _ = writeln!(out, "<dt>{}</dt><dd><code>{}</code></dd>", html(&evidence.fact), html(&evidence.source));
    }
    out.push_str("</dl>\n");
}

fn events(out: &mut String, told: &RunDocument) {
    out.push_str("<h2>What happened</h2>\n<table class=\"events\">\n<thead><tr><th>time</th><th><span class=\"aside\">weight</span></th><th>what</th></tr></thead>\n<tbody>\n");
    for event in &told.events {
        let text = html(&event.text);
        let _ = writeln!(
            out,
            "<tr class=\"{}\" data-kind=\"{}\" data-at=\"{}\"><td class=\"when\">{}</td><td class=\"sign\" title=\"{}\">{}</td><td>{text}</td></tr>",
            event.weight,
            event.kind,
            number(event.at_seconds),
            moment_at(event.at_seconds),
            event.weight,
            words::sign(event),
        );
    }
    out.push_str("</tbody>\n</table>\n");
}

fn edits(out: &mut String, told: &RunDocument) {
    if told.edits.is_empty() {
        return;
    }
    out.push_str("<h2>Edits of the limit</h2>\n<table class=\"edits\">\n<thead><tr><th>time</th><th>from</th><th></th><th>to</th></tr></thead>\n<tbody>\n");
    let shown = |limit: LimitValue| match limit {
        LimitValue::Bytes(bytes) => format!("<span data-value=\"{bytes}\">{}</span>", size(bytes)),
        LimitValue::Max(_) => "<span data-value=\"max\">no limit</span>".into(),
    };
    for edit in &told.edits {
        let up = match (edit.from, edit.to) {
            (LimitValue::Bytes(from), LimitValue::Bytes(to)) => to > from,
            (_, to) => matches!(to, LimitValue::Max(_)),
        };
        let (sign, word) = if up { ("▲", "raised") } else { ("▼", "lowered") };
        let _ = writeln!(
            out,
            "<tr data-at=\"{}\"><td class=\"when\">{}</td><td>{}</td><td class=\"sign\" title=\"{word}\">{sign}</td><td>{}</td></tr>",
            number(edit.at_seconds),
            moment_at(edit.at_seconds),
            shown(edit.from),
            shown(edit.to),
        );
    }
    out.push_str("</tbody>\n</table>\n");
}

fn processes(out: &mut String, told: &RunDocument) {
    if told.processes.is_empty() {
        return;
    }
    let mut rows: Vec<&ProcessDocument> = told.processes.iter().collect();
    rows.sort_by_key(|row| (!row.oom_killed, std::cmp::Reverse(row.rss_bytes)));
    out.push_str(
        "<h2>Processes</h2>\n<table class=\"processes\">\n<thead><tr><th>name</th><th class=\"n\">pid</th><th class=\"n\">last resident</th><th class=\"n\">CPU</th><th>end</th><th>command</th></tr></thead>\n<tbody>\n",
    );
    for row in rows.iter().take(PROCESSES) {
        let pid = row.pid.map_or_else(|| format!("host {}", row.host_pid), |pid| pid.to_string());
        let end = match (row.oom_killed, row.died_seconds) {
            (true, _) => "<strong class=\"danger\">✖ OOM killed</strong>".to_string(),
            (false, Some(died)) => format!("died at {}", moment_at(died)),
            (false, None) => "–".to_string(),
        };
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{pid}</td><td class=\"n\"><span data-value=\"{}\">{}</span></td><td class=\"n\">{:.2} s</td><td>{end}</td><td class=\"command\">{}</td></tr>",
            html(&row.name),
            row.rss_bytes,
            size(row.rss_bytes),
            row.cpu_seconds,
            html(&row.command),
        );
    }
    out.push_str("</tbody>\n</table>\n");
    if rows.len() > PROCESSES {
        let _ = writeln!(out, "<p class=\"what\">and {} more</p>", rows.len() - PROCESSES);
    }
}

fn elsewhere(out: &mut String, source: &Source) {
    let _ = writeln!(
        out,
        "<section class=\"elsewhere\">\n<details>\n<summary>{}</summary>",
        take_away::heading(Language::English)
    );
    for system in System::ALL {
        let text = visible_lines(&take_away(system, source.session));
        let _ = writeln!(out, "<h3>{}</h3>\n<pre><code>{}</code></pre>", system.name(), escaped(&text));
    }
    out.push_str("</details>\n</section>\n");
}

/// A number as JSON has it.
fn number(value: f64) -> String {
    visible(&serde_json::to_string(&value).unwrap_or_default())
}
