//! The two character sets that a terminal can switch between, and the line drawing of the VT100, which vt100 does not know. Pure.

/// What `_` to `~` are in DEC's set of special graphics.
const DRAWING: [char; 32] = [
    ' ', '◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼', '⎺', '⎻', '─', '⎼', '⎽', '├', '┤',
    '┴', '┬', '│', '≤', '≥', 'π', '≠', '£', '·',
];

/// Which of the two sets draws lines, and which is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charsets {
    drawing: [bool; 2],
    used: usize,
}

impl Charsets {
    /// Takes note of `ESC ( 0` and its like: the bytes between, and the last one.
    pub fn designate(&mut self, between: &[u8], last: u8) {
        match between {
            b"(" => self.drawing[0] = last == b'0',
            b")" => self.drawing[1] = last == b'0',
            _ => {}
        }
    }

    /// Changes to the first set, or the second.
    pub fn shift(&mut self, second: bool) {
        self.used = usize::from(second);
    }

    /// Whether letters are lines.
    pub fn draws(&self) -> bool {
        self.drawing[self.used]
    }

    /// What a character is in the set that is in use.
    pub fn meant(&self, c: char) -> char {
        match c {
            '_'..='~' if self.draws() => DRAWING[c as usize - '_' as usize],
            c => c,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_lines_in_the_set_of_special_graphics() {
        let mut sets = Charsets::default();
        let text = |sets: &Charsets| "lqkx~Aé".chars().map(|c| sets.meant(c)).collect::<String>();
        assert_eq!(text(&sets), "lqkx~Aé");
        sets.designate(b"(", b'0');
        assert_eq!(text(&sets), "┌─┐│·Aé");
        sets.designate(b"(", b'B');
        sets.designate(b")", b'0');
        assert_eq!(text(&sets), "lqkx~Aé");
        sets.shift(true);
        assert_eq!(text(&sets), "┌─┐│·Aé");
    }
}
