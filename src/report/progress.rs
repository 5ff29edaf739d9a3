use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plays::Plays;
use super::{Style, events};
use crate::model::units::format_duration;
use crate::model::{Address, Event, Masker, Outcome, StepId, Verb};

/// Reads what happens during an apply.
pub trait Reporter {
    /// Told in the order in which things happen.
    fn event(&mut self, event: &Event);
    /// How plays are told of.
    fn plays(&mut self) -> Option<&mut Plays> {
        None
    }
    /// True if it shows how far a running step is.
    fn shows_progress(&self) -> bool {
        true
    }
}

/// For a terminal: a line for each running step, a total, and a line for each step that ended above them.
pub struct Terminal {
    bars: MultiProgress,
    total: ProgressBar,
    running: HashMap<StepId, ProgressBar>,
    told: Told,
}

/// For pipes and logs: a line for each step that starts or ends.
pub struct Plain {
    out: Box<dyn Write + Send>,
    told: Told,
}

/// For machines: a JSON object for each event.
pub struct JsonLines {
    out: Box<dyn Write + Send>,
    masker: Masker,
}

/// What was told so far, for the summary.
struct Told {
    style: Style,
    masker: Masker,
    failed: Vec<(Address, Verb, String)>,
    not_tried: Vec<(Address, Verb, String)>,
    plays: Plays,
}

impl Told {
    fn new(style: Style, masker: Masker) -> Self {
        Told { style, masker, failed: vec![], not_tried: vec![], plays: Plays::new(style) }
    }

    /// The lines about an event, masked; none for what only moves a bar.
    fn lines(&mut self, event: &Event) -> Vec<String> {
        let style = self.style;
        let lines = match event {
            Event::StepEnded { address, verb, outcome, elapsed, .. } => match outcome {
                Outcome::Done => {
                    vec![format!(
                        "{} {address} {} {}",
                        style.green("✓"),
                        verb.done(),
                        style.dim(&format_duration(*elapsed))
                    )]
                }
                Outcome::Failed { message, details } => {
                    let message = self.masker.mask(message);
                    self.failed.push((address.clone(), *verb, message.clone()));
                    let line = format!("{} {address}: {}: {message}", style.red("✗"), verb.running());
                    std::iter::once(line)
                        .chain(details.iter().map(|detail| match detail.strip_prefix("help: ") {
                            Some(help) => format!("    {} {help}", style.dim("help:")),
                            None => style.dim(&format!("    | {detail}")),
                        }))
                        .collect()
                }
                Outcome::Blocked { by } => {
                    self.not_tried.push((address.clone(), *verb, format!("waits for {by}, which failed")));
                    vec![]
                }
                Outcome::Cancelled => {
                    self.not_tried.push((address.clone(), *verb, "interrupted".into()));
                    vec![]
                }
            },
            Event::StepRetried { address, message, .. } => {
                vec![style.dim(&format!("  {address}: {message}; trying again"))]
            }
            Event::Play(event) => self.plays.lines(event),
            Event::Interrupted => {
                vec![style.yellow("Interrupted: no new step starts, running ones finish. Ctrl-C again leaves at once.")]
            }
            Event::Note { text } => vec![format!("{} {text}", style.cyan("note:"))],
            Event::Ended { done, failed, not_tried, elapsed } => self.end(*done, *failed, *not_tried, *elapsed),
            Event::Started { .. } | Event::StepStarted { .. } | Event::StepProgress { .. } => vec![],
        };
        lines.into_iter().map(|line| self.masker.mask(&line)).collect()
    }

    fn end(&self, done: usize, failed: usize, not_tried: usize, elapsed: Duration) -> Vec<String> {
        let style = self.style;
        let time = format_duration(elapsed);
        if failed == 0 && not_tried == 0 {
            return vec![style.green(&format!("Done: {done} steps in {time}."))];
        }
        let mut lines =
            vec![style.red(&format!("{done} steps done, {failed} failed, {not_tried} not tried, in {time}."))];
        for (title, steps) in [("Failed", &self.failed), ("Not tried", &self.not_tried)] {
            if !steps.is_empty() {
                lines.push(format!("{title}:"));
            }
            for (address, verb, why) in steps {
                lines.push(format!("  {address} ({}): {why}", verb.running()));
            }
        }
        lines.push("What is done stays done; the next apply goes on from there.".into());
        lines
    }
}

impl Terminal {
    /// Draws to stderr.
    pub fn new(style: Style, masker: Masker) -> Self {
        let bars = MultiProgress::new();
        let total = bars.add(ProgressBar::new(0));
        let template = "{bar:30} {pos}/{len} steps, {elapsed}";
        total.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Terminal { bars, total, running: HashMap::new(), told: Told::new(style, masker) }
    }
}

impl Reporter for Terminal {
    fn plays(&mut self) -> Option<&mut Plays> {
        Some(&mut self.told.plays)
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { steps } => {
                self.total.set_length(*steps as u64);
                self.total.enable_steady_tick(Duration::from_millis(200));
            }
            Event::StepStarted { step, address, verb } => {
                let bar = self.bars.insert_before(&self.total, ProgressBar::new_spinner());
                let template = "{spinner} {prefix} {wide_msg} {elapsed}";
                bar.set_style(
                    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
                );
                bar.set_prefix(format!("{address} {}", verb.running()));
                bar.enable_steady_tick(Duration::from_millis(200));
                self.running.insert(*step, bar);
            }
            Event::StepProgress { step, text, .. } => {
                if let Some(bar) = self.running.get(step) {
                    bar.set_message(self.told.masker.mask(text));
                }
            }
            Event::StepEnded { step, .. } => {
                if let Some(bar) = self.running.remove(step) {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                }
                self.total.inc(1);
            }
            Event::Ended { .. } => self.total.finish_and_clear(),
            _ => {}
        }
        for line in self.told.lines(event) {
            // The terminal is gone: there is nobody to tell.
            let _ = self.bars.println(line);
        }
        if matches!(event, Event::Ended { .. }) {
            let _ = self.bars.clear();
        }
    }
}

impl Plain {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write + Send>, style: Style, masker: Masker) -> Self {
        Plain { out, told: Told::new(style, masker) }
    }
}

impl Reporter for Plain {
    fn plays(&mut self) -> Option<&mut Plays> {
        Some(&mut self.told.plays)
    }

    fn shows_progress(&self) -> bool {
        false
    }

    fn event(&mut self, event: &Event) {
        if let Event::StepStarted { address, verb, .. } = event {
            let _ = writeln!(self.out, "  {address} {}", verb.running());
        }
        for line in self.told.lines(event) {
            let _ = writeln!(self.out, "{line}");
        }
    }
}

impl JsonLines {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write + Send>, masker: Masker) -> Self {
        JsonLines { out, masker }
    }
}

impl Reporter for JsonLines {
    fn event(&mut self, event: &Event) {
        let _ = writeln!(self.out, "{}", self.masker.mask(&events::json(event).to_string()));
    }
}
