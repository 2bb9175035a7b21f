//! Text that somebody else chose, made safe for the place where it is shown: HTML and SVG, Markdown, a shell.
//!
//! A command line, a process's name and what a program wrote are hostile until they have been here.

/// What cannot be seen, or changes how what is beside it is seen: control characters, and those that turn the direction of writing.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether anything in a text cannot be seen, or changes how what is beside it is seen.
pub fn has_hidden(text: &str) -> bool {
    text.chars().any(is_hidden)
}

/// The text in one line: an end of a line is an arrow, a tab a space, and what cannot be seen a replacement character.
pub fn visible(text: &str) -> String {
    let shown = |c| match c {
        '\n' => '↵',
        '\t' => ' ',
        c if is_hidden(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The same, with the ends of its lines.
pub fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// The text without what cannot be seen.
pub fn visible_only(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).collect()
}

/// JSON that was made already, with what cannot be seen as escapes: it is within its strings, and they stay what they are.
pub fn json(made: &str) -> String {
    let mut out = String::with_capacity(made.len());
    for c in made.chars() {
        match c < '\u{7f}' || !is_hidden(c) {
            true => out.push(c),
            false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

/// For HTML, SVG and other XML, between tags and in quoted attributes. Takes what is visible already, or is ours.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Visible, in one line, and escaped for HTML and SVG.
pub fn html(text: &str) -> String {
    escaped(&visible(text))
}

/// Visible, in one line, and plain words to Markdown: nobody is called by it, and nothing is linked.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '@' | '#' | '&' | '<' | '>' => out.push_str(&format!("&#{};", u32::from(c))),
            '\\' | '`' | '*' | '_' | '[' | ']' | '{' | '}' | '|' | '~' | '$' | '!' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// A block of code in Markdown, whatever is in it.
pub fn markdown_block(language: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

/// One word of a shell's command line. Ends of lines stay where there may be `lines`; what cannot be seen is written as bash, zsh and busybox
/// read it.
fn shell(word: &str, lines: bool) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    if word.chars().all(|c| (lines && c == '\n') || c == '\t' || !is_hidden(c)) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut out = String::from("$'");
    for c in word.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\\' | '\'' => out.extend(['\\', c]),
            c if is_hidden(c) => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
            }
            c => out.push(c),
        }
    }
    out + "'"
}

/// A command line for a shell; the ends of lines that are in it stay.
pub fn shell_line(argv: &[String]) -> String {
    argv.iter().map(|word| shell(word, true)).collect::<Vec<_>>().join(" ")
}

/// The same in one line, whatever is in it.
pub fn shell_one_line(argv: &[String]) -> String {
    argv.iter().map(|word| shell(word, false)).collect::<Vec<_>>().join(" ")
}

/// The first characters of a text, with `…` where there are more.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// A template with `{{NAME}}` in it, filled in. What is filled in is not looked at again.
pub fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut parts = template.split("{{");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        out += values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        out += rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn nothing_that_is_shown_turns_the_text_around_it() {
        assert_eq!(visible("a\u{202e}b\u{1b}[31m\n\tc"), "a\u{fffd}b\u{fffd}[31m↵ c");
        assert!(has_hidden("a\u{202e}b") && has_hidden("\u{9b}31m") && !has_hidden("a b€ 世界"));
        assert_eq!(html("<script>\"'&"), "&lt;script&gt;&quot;&#39;&amp;");
        assert_eq!(markdown("@you **x** <b> `|`"), r"&#64;you \*\*x\*\* &#60;b&#62; \`\|\`");
        assert_eq!(markdown("![a](http://b) www.c"), r"\!\[a\](http&#58;//b) www&#46;c");
        assert!(markdown_block("sh", "a ```` b").starts_with("`````sh\n"));
    }

    #[test]
    fn what_is_filled_in_is_not_filled_in_again() {
        assert_eq!(filled("a {{x}} b {{y}} {{z}}.", &[("x", "{{y}}"), ("y", "1")]), "a {{y}} b 1 .");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_back_the_very_words(words in proptest::collection::vec("[^\\x00]{0,12}", 1..4)) {
            let line = format!("printf '%s\\0' {}", shell_line(&words));
            let said = Command::new("bash").args(["-c", &line]).output().expect("bash");
            let read: Vec<String> = String::from_utf8_lossy(&said.stdout).split_terminator('\0').map(str::to_string).collect();
            prop_assert_eq!(&read, &words);
            prop_assert!(!shell_one_line(&words).contains('\n'));
        }

        #[test]
        fn json_says_the_same_and_hides_nothing(text in "[\\x00-\\u{a0}\u{202e}\u{e0041}€]{0,20}") {
            let safe = json(&serde_json::to_string(&text).expect("a text"));
            prop_assert!(!has_hidden(&safe), "{}", safe);
            prop_assert_eq!(serde_json::from_str::<String>(&safe).expect("JSON"), text);
        }

        #[test]
        fn no_text_gets_out_of_an_attribute(text in ".*") {
            let safe = html(&text);
            prop_assert!(!safe.contains(['<', '>', '"', '\'']) && !safe.chars().any(char::is_control));
        }
    }
}
