//! Where the demo is looked at: a terminal that can be drawn on, or anything else that takes lines.

use std::io::{self, IsTerminal, Write};

use console::Term;

use super::line::Line;
use crate::cli::out;
use crate::event::Error;

/// Into another screen and without a cursor; out of it again.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
/// Emptied before, because a terminal that was resized meanwhile may push what is on it into its history.
const LEAVE: &str = "\x1b[2J\x1b[H\x1b[?25h\x1b[?1049l";
/// Terminals that know it show a frame between these at once instead of piece by piece.
const FRAME_BEGIN: &str = "\x1b[?2026h\x1b[H";
const FRAME_END: &str = "\x1b[J\x1b[?2026l";

/// What standard output can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    pub drawing: bool,
    pub colours: bool,
}

impl Abilities {
    pub fn here() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = variable("TERM").is_none_or(|term| term == "dumb");
        Self::of(io::stdout().is_terminal(), dumb, variable("NO_COLOR").is_some())
    }

    fn of(terminal: bool, dumb: bool, no_color: bool) -> Self {
        let drawing = terminal && !dumb;
        Self { drawing, colours: drawing && !no_color }
    }
}

/// The terminal's other screen, drawn on; the usual one comes back when this is dropped.
pub struct Screen {
    colours: bool,
}

impl Screen {
    pub fn open(colours: bool) -> io::Result<Screen> {
        write(ENTER)?;
        Ok(Screen { colours })
    }

    /// Brings the usual screen back without waiting for the drop, before the process exits.
    pub fn leave() -> io::Result<()> {
        write(LEAVE)
    }

    /// Columns and rows.
    pub fn size() -> (usize, usize) {
        let (rows, columns) = Term::stdout().size();
        (usize::from(columns), usize::from(rows))
    }

    pub fn draw(&self, lines: &[Line], columns: usize, rows: usize) -> io::Result<()> {
        write(&frame(lines, columns, rows, self.colours))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone away needs no tidying.
        let _ = Screen::leave();
    }
}

/// Writes lines that stay.
pub fn say(text: &str) -> Result<(), Error> {
    out::print(text)
}

fn frame(lines: &[Line], columns: usize, rows: usize, colours: bool) -> String {
    let rendered = lines.iter().take(rows).map(|line| line.render(columns, colours) + "\x1b[K");
    format!("{FRAME_BEGIN}{}{FRAME_END}", rendered.collect::<Vec<_>>().join("\r\n"))
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_is_drawn_on_and_colours_can_be_refused() {
        let abilities = |terminal, dumb, no_color| {
            let Abilities { drawing, colours } = Abilities::of(terminal, dumb, no_color);
            (drawing, colours)
        };
        assert_eq!(abilities(true, false, false), (true, true));
        assert_eq!(abilities(true, false, true), (true, false));
        assert_eq!(abilities(true, true, false), (false, false));
        assert_eq!(abilities(false, false, false), (false, false));
    }

    /// A line break after the last row would scroll the screen.
    #[test]
    fn a_frame_has_as_many_rows_as_the_terminal() {
        let lines = vec![Line::new().plain("a"), Line::new().plain("b"), Line::new().plain("c")];
        let frame = frame(&lines, 80, 2, false);
        assert_eq!(frame.matches("\r\n").count(), 1);
        assert!(frame.contains("a\x1b[K\r\nb\x1b[K") && !frame.contains('c'));
    }
}
