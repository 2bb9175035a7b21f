//! How themes are seen: against dark and light backgrounds, and by eyes that lack one of the three kinds of cones.
//!
//! Contrast is WCAG 2's. Missing cones are simulated with the matrices of Machado, Oliveira and Fernandes (2009) at full severity, in
//! linear light; the distance of what is then seen is CIEDE2000. What is seen as one colour has a distance of about 2, neighbouring
//! colours of a palette have about 10.

use super::*;

type Rgb = [f64; 3];

/// Sight without each of the cones, and with all of them.
const SIGHT: [(&str, [Rgb; 3]); 4] = [
    ("protanopia", [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    (
        "deuteranopia",
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ),
    ("tritanopia", [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
    ("all cones", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
];

/// The sixteen colours as widespread terminals have them: xterm, the Linux console, GNOME, Windows, Visual Studio Code, macOS.
const PALETTES: [&str; 6] = [
    "000000 cd0000 00cd00 cdcd00 0000ee cd00cd 00cdcd e5e5e5 7f7f7f ff0000 00ff00 ffff00 5c5cff ff00ff 00ffff ffffff",
    "000000 aa0000 00aa00 aa5500 0000aa aa00aa 00aaaa aaaaaa 555555 ff5555 55ff55 ffff55 5555ff ff55ff 55ffff ffffff",
    "2e3436 cc0000 4e9a06 c4a000 3465a4 75507b 06989a d3d7cf 555753 ef2929 8ae234 fce94f 729fcf ad7fa8 34e2e2 eeeeec",
    "0c0c0c c50f1f 13a10e c19c00 0037da 881798 3a96dd cccccc 767676 e74856 16c60c f9f1a5 3b78ff b4009e 61d6d6 f2f2f2",
    "000000 cd3131 0dbc79 e5e510 2472c8 bc3fbc 11a8cd e5e5e5 666666 f14c4c 23d18b f5f543 3b8eea d670d6 29b8db e5e5e5",
    "000000 990000 00a600 999900 0000b2 b200b2 00a6b2 bfbfbf 666666 e50000 00d900 e5e500 0000ff e500e5 00e5e5 e5e5e5",
];

fn linear(r: u8, g: u8, b: u8) -> Rgb {
    [r, g, b].map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    })
}

fn times(matrix: &[Rgb; 3], c: Rgb) -> Rgb {
    [0, 1, 2].map(|row| matrix[row].iter().zip(c).map(|(m, c)| m * c).sum::<f64>().clamp(0.0, 1.0))
}

/// The contrast with black, and with white.
fn contrasts([r, g, b]: Rgb) -> (f64, f64) {
    let luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    ((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05))
}

fn lab([r, g, b]: Rgb) -> [f64; 3] {
    let x = (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047;
    let y = 0.2126729 * r + 0.7151522 * g + 0.0721750 * b;
    let z = (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883;
    let [x, y, z] = [x, y, z].map(|t| if t > 216.0 / 24389.0 { t.cbrt() } else { (24389.0 / 27.0 * t + 16.0) / 116.0 });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// CIEDE2000, with all weights 1.
fn distance(p: [f64; 3], q: [f64; 3]) -> f64 {
    let chroma = |c: [f64; 3]| c[1].hypot(c[2]);
    let weight = |c: f64| (c.powi(7) / (c.powi(7) + 25f64.powi(7))).sqrt();
    let stretch = 1.0 + 0.5 * (1.0 - weight((chroma(p) + chroma(q)) / 2.0));
    let [p, q] = [p, q].map(|c| [c[0], c[1] * stretch, c[2]]);
    let (c1, c2) = (chroma(p), chroma(q));
    let [h1, h2] = [p, q].map(|c| c[2].atan2(c[1]).to_degrees().rem_euclid(360.0));
    let grey = c1 * c2 == 0.0;
    let turn = if grey { 0.0 } else { (h2 - h1 + 180.0).rem_euclid(360.0) - 180.0 };
    let hue = if grey { h1 + h2 } else { h1 + turn / 2.0 };
    let (light, dark) = (q[0] - p[0], (p[0] + q[0]) / 2.0 - 50.0);
    let mean = (c1 + c2) / 2.0;
    let cos = |degrees: f64| degrees.to_radians().cos();
    let t = 1.0 - 0.17 * cos(hue - 30.0) + 0.24 * cos(2.0 * hue) + 0.32 * cos(3.0 * hue + 6.0)
        - 0.20 * cos(4.0 * hue - 63.0);
    let l = light / (1.0 + 0.015 * dark * dark / (20.0 + dark * dark).sqrt());
    let c = (c2 - c1) / (1.0 + 0.045 * mean);
    let h = 2.0 * (c1 * c2).sqrt() * (turn / 2.0).to_radians().sin() / (1.0 + 0.015 * mean * t);
    let bend = 30.0 * (-((hue.rem_euclid(360.0) - 275.0) / 25.0).powi(2)).exp();
    let rotation = -(2.0 * bend).to_radians().sin() * 2.0 * weight(mean);
    (l * l + c * c + h * h + rotation * c * h).sqrt()
}

/// What a style's colour may look like: the terminal's own text is white, or black.
fn seen(style: Style) -> Vec<Rgb> {
    match style.fg {
        Some(Color::Rgb(r, g, b)) => vec![linear(r, g, b)],
        Some(Color::Reset) | None => vec![[0.0; 3], [1.0; 3]],
        other => panic!("{other:?} is another colour in each terminal"),
    }
}

#[test]
fn the_distance_is_the_one_that_was_published() {
    // Pairs 1, 7, 13, 17 and 25 of Sharma, Wu and Dalal (2005).
    for (p, q, wanted) in [
        ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
        ([50.0, 0.0, 0.0], [50.0, -1.0, 2.0], 2.3669),
        ([50.0, 2.49, -0.001], [50.0, -2.49, 0.0009], 7.1792),
        ([50.0, 2.5, 0.0], [73.0, 25.0, -18.0], 27.1492),
        ([60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387], 1.2644),
    ] {
        assert!((distance(p, q) - wanted).abs() < 1e-3, "{p:?} {q:?}: {} for {wanted}", distance(p, q));
    }
}

#[test]
fn what_must_be_told_apart_is_by_all_eyes() {
    let theme = built_in("colour-blind").unwrap();
    for (pair, one, other) in [
        ("held and cache", theme.held, theme.cache),
        ("limit and held", theme.limit, theme.held),
        ("limit and cache", theme.limit, theme.cache),
        ("danger and good", theme.danger, theme.good),
        ("act and warning", theme.act, theme.warning),
    ] {
        for (name, matrix) in &SIGHT {
            for (a, b) in seen(one).into_iter().flat_map(|a| seen(other).into_iter().map(move |b| (a, b))) {
                let apart = distance(lab(times(matrix, a)), lab(times(matrix, b)));
                assert!(apart >= 15.0, "{pair} with {name}: {apart:.1}");
            }
        }
    }
}

#[test]
fn themes_of_24_bit_colours_stand_out_from_dark_and_light() {
    for name in ["truecolor", "colour-blind"] {
        let mut theme = built_in(name).unwrap();
        for style in STYLES {
            let Some(Color::Rgb(r, g, b)) = theme.style(style).unwrap().fg else { continue };
            let (black, white) = contrasts(linear(r, g, b));
            assert!(black >= 3.0 && white >= 3.0, "{name}, {style}: {black:.1} on black, {white:.1} on white");
        }
    }
}

#[test]
fn the_default_stands_out_from_dark_and_light_in_the_terminals_that_there_are() {
    let mut theme = Theme::new(true);
    for style in STYLES {
        let fg = theme.style(style).unwrap().fg;
        let number = |table: [Color; 8]| table.iter().position(|known| Some(*known) == fg);
        let Some(place) = number(DARK).or(number(BRIGHT).map(|n| n + 8)) else { continue };
        // Areas are seen where words are not read any more.
        let least = if *style == "shmem" { 1.9 } else { 2.1 };
        for palette in PALETTES {
            let hex = palette.split(' ').nth(place).unwrap();
            let Some(Color::Rgb(r, g, b)) = colour(&format!("#{hex}")) else { panic!("{hex}") };
            let (black, white) = contrasts(linear(r, g, b));
            assert!(black >= least && white >= least, "{style}, #{hex}: {black:.1} on black, {white:.1} on white");
        }
    }
}
