//! A line of a screen: pieces of text with a colour each, measured in a terminal's columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Yellow,
    Green,
    Cyan,
}

impl Style {
    /// The parameters of a terminal's "select graphic rendition".
    fn code(self) -> &'static str {
        match self {
            Style::Plain => "0",
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Yellow => "33",
            Style::Green => "32",
            Style::Cyan => "36",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn add(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    pub fn plain(self, text: impl Into<String>) -> Self {
        self.add(Style::Plain, text)
    }

    /// A horizontal rule with a title in it.
    pub fn rule(title: &str, width: usize) -> Self {
        let before = format!("── {title} ");
        let rest = "─".repeat(width.saturating_sub(before.width()));
        Line::new().add(Style::Dim, before + &rest)
    }

    /// As written to a terminal that is this wide: cut there, and coloured if it may be.
    pub fn render(&self, width: usize, colours: bool) -> String {
        let mut rendered = String::new();
        let mut left = width;
        for (style, text) in &self.0 {
            let cut = cut(text, left);
            left -= cut.width().min(left);
            if colours && *style != Style::Plain {
                rendered.push_str(&format!("\x1b[{}m{cut}\x1b[0m", style.code()));
            } else {
                rendered.push_str(&cut);
            }
        }
        rendered
    }
}

/// The text in exactly so many columns: cut with an ellipsis, or filled up with spaces.
pub fn cell(text: &str, width: usize) -> String {
    let cut = cut(text, width);
    let fill = width.saturating_sub(cut.width());
    cut + &" ".repeat(fill)
}

/// The text in at most so many columns.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut left = width.saturating_sub(1);
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if columns > left {
            break;
        }
        left -= columns;
        cut.push(c);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_its_width_whatever_is_in_it() {
        assert_eq!(cell("battery", 10), "battery   ");
        assert_eq!(cell("battery", 4), "bat…");
        assert_eq!(cell("电池很差", 8), "电池很差");
        assert_eq!(cell("电池很差", 7), "电池很…");
        // A wide character that would stick out by half is left out.
        assert_eq!(cell("电池很差", 6), "电池… ");
        assert_eq!(cell("好评👍👍", 5), "好评…");
        assert_eq!(cell("x", 0), "");
    }

    #[test]
    fn a_line_is_cut_at_the_terminals_edge_and_coloured_only_where_it_may_be() {
        let line = Line::new().add(Style::Red, "负面").plain(" text that goes on");
        assert_eq!(line.render(10, false), "负面 text…");
        assert_eq!(line.render(10, true), "\x1b[31m负面\x1b[0m text…");
        assert_eq!(Line::rule("last", 12).render(80, false), "── last ────");
    }
}
