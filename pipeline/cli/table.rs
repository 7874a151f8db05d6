use std::fmt::Write;

/// A table for a person: columns as wide as their widest cell, two spaces between them, the last one as it comes.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| width(cell)).collect();
    for row in rows {
        for (column, cell) in widths.iter_mut().zip(row) {
            *column = (*column).max(width(cell));
        }
    }
    let mut text = String::new();
    line(&mut text, head.iter().copied(), &widths);
    for row in rows {
        line(&mut text, row.iter().map(String::as_str), &widths);
    }
    text
}

fn line<'a>(text: &mut String, cells: impl Iterator<Item = &'a str>, widths: &[usize]) {
    let start = text.len();
    for (cell, column) in cells.zip(widths) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{cell}{:pad$}  ", "", pad = column.saturating_sub(width(cell)));
    }
    text.truncate(start + text[start..].trim_end().len());
    text.push('\n');
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// Text from elsewhere, safe for a terminal: control characters are shown and not obeyed, and no more than
/// `chars_max` characters are shown.
pub fn shown(text: &str, chars_max: usize) -> String {
    let mut shown = String::new();
    for (n, char) in text.chars().enumerate() {
        if n == chars_max {
            shown.push('…');
            break;
        }
        match is_harmful(char) {
            true => shown.extend(char.escape_unicode()),
            false => shown.push(char),
        }
    }
    shown
}

/// Controls, and the characters that turn the direction of what follows.
fn is_harmful(char: char) -> bool {
    char.is_control() || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Bytes in the unit that a person reads.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = None;
    for name in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = Some(name);
    }
    match unit {
        Some(unit) => format!("{value:.1} {unit}"),
        None => format!("{count} B"),
    }
}

/// `1 record`, `2 records`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_where_their_text_does() {
        let rows = vec![vec!["reviews".into(), "12".into()], vec!["c".into(), "".into()]];
        assert_eq!(table(&["topic", "partitions"], &rows), "topic    partitions\nreviews  12\nc\n");
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(shown("a\u{1b}[31m\n\u{202e}b", 20), "a\\u{1b}[31m\\u{a}\\u{202e}b");
        assert_eq!(shown("电池坏了", 2), "电池…");
        assert_eq!(shown("电池", 2), "电池");
    }

    #[test]
    fn bytes_and_counts_as_a_person_reads_them() {
        assert_eq!([0, 999, 1000, 1_500_000].map(bytes), ["0 B", "999 B", "1.0 kB", "1.5 MB"]);
        assert_eq!([count(1, "record", "records"), count(0, "record", "records")], ["1 record", "0 records"]);
    }
}
