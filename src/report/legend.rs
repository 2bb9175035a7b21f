//! The legend of a chart: what is in this picture, and nothing that is not.

use std::fmt::Write as _;

use super::{
    marks::{grouped, shape},
    series::{Series, Sign},
    svg::Plot,
};

/// A row's height, in pixels.
const ROW: f64 = 21.0;

/// What stands before a word.
enum Key {
    Held,
    Cache,
    Peak,
    Limit,
    Mark(Sign),
}

/// The legend, laid out in rows.
pub struct Legend {
    rows: Vec<Vec<(f64, Key, &'static str)>>,
}

impl Legend {
    /// What this picture needs, in as many rows as it takes.
    pub fn new(series: &Series, plot: &Plot, width: f64, drawn: bool) -> Legend {
        let groups = grouped(series, plot);
        let marked = |sign| groups.iter().any(|group| group[0].sign == sign);
        let mut keys = vec![(Key::Held, "held: cannot be given back")];
        let mut add = |there: bool, key, word| keys.extend(there.then_some((key, word)));
        add(series.dots.iter().any(|dot| plot.is_seen(dot.cache)), Key::Cache, "file cache: can be given back");
        add(series.dots.windows(2).any(|pair| plot.stands_out(&pair[0], &pair[1])), Key::Peak, "peak between samples");
        add(drawn, Key::Limit, "limit");
        add(marked(Sign::FirstHit), Key::Mark(Sign::FirstHit), "first limit hit");
        add(marked(Sign::Kill), Key::Mark(Sign::Kill), "OOM kill");
        add(marked(Sign::Raised), Key::Mark(Sign::Raised), "limit raised");
        add(marked(Sign::Lowered), Key::Mark(Sign::Lowered), "limit lowered");
        add(marked(Sign::Refused), Key::Mark(Sign::Refused), "limit refused");
        add(marked(Sign::Paused), Key::Mark(Sign::Paused), "paused at the brink");
        let mut rows: Vec<Vec<(f64, Key, &str)>> = vec![Vec::new()];
        let mut x = plot.left;
        for (key, word) in keys {
            let wide = plot.width(word) + 42.0;
            if x + wide - 20.0 > width && x > plot.left {
                rows.push(Vec::new());
                x = plot.left;
            }
            if let Some(row) = rows.last_mut() {
                row.push((x, key, word));
            }
            x += wide;
        }
        Legend { rows }
    }

    /// Its height, in pixels.
    pub fn height(&self) -> f64 {
        self.rows.len() as f64 * ROW
    }

    /// Draws it from this height on.
    pub fn draw(&self, out: &mut String, plot: &Plot, top: f64, id: &str) {
        for (n, row) in self.rows.iter().enumerate() {
            let y = top + n as f64 * ROW;
            for (x, key, word) in row {
                let square = |fill: String| {
                    format!("<rect {fill} x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"12\"/>", y - 6.0)
                };
                let drawn = match key {
                    Key::Held => square("class=\"held\"".into()),
                    Key::Cache => square(format!("fill=\"url(#{id}-hatch)\"")),
                    Key::Peak => format!("<path class=\"peak\" d=\"M{:.1} {y:.1}h0\"/>", x + 7.0),
                    Key::Limit => format!("<path class=\"limit\" d=\"M{x:.1} {y:.1}h15\"/>"),
                    Key::Mark(sign) => {
                        let (class, shape) = shape(*sign);
                        format!(
                            "<g class=\"mark {class}\" transform=\"translate({:.1} {y:.1}) scale(.85)\">{shape}</g>",
                            x + 7.0
                        )
                    }
                };
                let at = (x + 20.0, y + plot.letters * 0.34);
                let _ = writeln!(out, "{drawn}<text class=\"key\" x=\"{:.1}\" y=\"{:.1}\">{word}</text>", at.0, at.1);
            }
        }
    }
}
