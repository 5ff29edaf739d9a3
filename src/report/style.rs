use std::io::IsTerminal;

use anstyle::{AnsiColor, Effects, Style as Ansi};

/// How text is dressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// With colours.
    pub color: bool,
}

impl Style {
    /// Colours where `stream` is a terminal, unless `--no-color` or a non-empty `NO_COLOR` says no.
    pub fn of(stream: &impl IsTerminal, no_color: bool) -> Self {
        let refused = no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Style { color: stream.is_terminal() && !refused }
    }

    fn dress(self, style: Ansi, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// What comes.
    pub fn green(self, text: &str) -> String {
        self.dress(AnsiColor::Green.on_default(), text)
    }

    /// What goes, and errors.
    pub fn red(self, text: &str) -> String {
        self.dress(AnsiColor::Red.on_default(), text)
    }

    /// What changes, and warnings.
    pub fn yellow(self, text: &str) -> String {
        self.dress(AnsiColor::Yellow.on_default(), text)
    }

    /// What is renamed or adopted.
    pub fn cyan(self, text: &str) -> String {
        self.dress(AnsiColor::Cyan.on_default(), text)
    }

    /// What is beside the point.
    pub fn dim(self, text: &str) -> String {
        self.dress(Ansi::new().effects(Effects::DIMMED), text)
    }

    /// What matters most.
    pub fn bold(self, text: &str) -> String {
        self.dress(Ansi::new().effects(Effects::BOLD), text)
    }
}
