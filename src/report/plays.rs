//! What happens inside of instances, for people: a line for each task that matters, diffs, the recap.

use std::collections::BTreeMap;

use similar::TextDiff;

use super::Style;
use crate::model::units::format_duration;
use crate::model::{Counts, PlayEvent, TaskDiff, TaskEnded, TaskStatus};

/// Longer values of one line are cut.
const LONGEST: usize = 160;

/// Tells of plays, one line after the other. Tasks that change nothing are told together.
#[derive(Debug)]
pub struct Plays {
    style: Style,
    /// Every task has a line of its own.
    pub all: bool,
    /// What differs is told with its texts.
    pub diff: bool,
    /// Nothing is done: what would be is told.
    pub check: bool,
    quiet: BTreeMap<String, (usize, usize)>,
}

impl Plays {
    /// In this style.
    pub fn new(style: Style) -> Self {
        Plays { style, all: false, diff: false, check: false, quiet: BTreeMap::new() }
    }

    /// The lines about an event.
    pub fn lines(&mut self, event: &PlayEvent) -> Vec<String> {
        match event {
            PlayEvent::Play { name, hosts } => {
                let hosts = if hosts.is_empty() { "no hosts".to_owned() } else { hosts.join(", ") };
                vec![format!("{} {}", self.style.bold(&format!("▶ {name}")), self.style.dim(&format!("({hosts})")))]
            }
            PlayEvent::TaskStarted { .. } => vec![],
            PlayEvent::Task(ended) => self.task(ended),
            PlayEvent::Note { host, text } => {
                let host = host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default();
                let mut lines = text.lines();
                let first = format!("{} {host}{}", self.style.cyan("note:"), lines.next().unwrap_or_default());
                std::iter::once(first).chain(lines.map(|line| format!("    {line}"))).collect()
            }
            PlayEvent::Recap { hosts, trips, .. } => {
                let mut lines: Vec<String> = std::mem::take(&mut self.quiet)
                    .iter()
                    .filter_map(|(host, counts)| self.unchanged(host, *counts))
                    .collect();
                lines.extend(self.recap(hosts));
                if self.all {
                    lines.extend(trips.iter().map(|(host, role, count)| {
                        let role = if role.is_empty() { String::new() } else { format!(", role {role}") };
                        self.style.dim(&format!("  {host}{role}: {count} round trips"))
                    }));
                }
                lines
            }
        }
    }

    fn task(&mut self, ended: &TaskEnded) -> Vec<String> {
        let is_loop = ended.item.is_none() && ended.result.get("results").is_some();
        let says = ended.module.rsplit('.').next() == Some("debug") && ended.status == TaskStatus::Ok && !is_loop;
        let is_quiet = matches!(ended.status, TaskStatus::Ok | TaskStatus::Skipped) && !says;
        if is_quiet && !self.all {
            if ended.item.is_none() {
                let counts = self.quiet.entry(ended.host.clone()).or_default();
                if ended.status == TaskStatus::Ok { counts.0 += 1 } else { counts.1 += 1 }
            }
            return vec![];
        }
        // Of a loop its items were told.
        let is_told = ended.result.get("results").is_none_or(|results| results.as_array().is_none_or(Vec::is_empty));
        if is_loop && !is_told && !matches!(ended.status, TaskStatus::Rescued | TaskStatus::Ignored) {
            return vec![];
        }
        let mut lines = vec![];
        if let Some(counts) = self.quiet.remove(&ended.host) {
            lines.extend(self.unchanged(&ended.host, counts));
        }
        let style = self.style;
        let mark = match ended.status {
            TaskStatus::Ok => style.green("✓"),
            TaskStatus::Changed => style.yellow("~"),
            TaskStatus::Skipped => style.dim("-"),
            TaskStatus::Failed | TaskStatus::Unreachable => style.red("✗"),
            TaskStatus::Rescued | TaskStatus::Ignored => style.yellow("!"),
            TaskStatus::Unknown => style.cyan("?"),
        };
        let word = match ended.status {
            TaskStatus::Changed if self.check => " (would change)".to_owned(),
            TaskStatus::Ok | TaskStatus::Changed | TaskStatus::Failed => String::new(),
            TaskStatus::Unknown => {
                format!(" (unknown until run: {})", short(ended.unknown.as_deref().unwrap_or_default()))
            }
            status => format!(" ({})", status.as_str()),
        };
        let item = ended.item.as_ref().map(|item| format!(" [{}]", short(item))).unwrap_or_default();
        let on = ended.delegate.as_ref().map(|delegate| format!(" → {delegate}")).unwrap_or_default();
        let time = if self.check { String::new() } else { format!(" {}", style.dim(&format_duration(ended.elapsed))) };
        lines.push(format!("{mark} {}{on}: {}{item}{word}{time}", ended.host, ended.task));
        if says {
            lines.extend(said(ended).into_iter().map(|line| format!("    {line}")));
        }
        if let Some(failure) = &ended.failure {
            lines.extend(failure.lines().map(|line| format!("    {line}")));
            if ended.status == TaskStatus::Failed && !ended.place.is_empty() {
                lines.push(style.dim(&format!("    --> {}", ended.place)));
            }
        }
        if self.diff || self.check {
            lines.extend(ended.diffs.iter().flat_map(|diff| self.diff_lines(diff)));
        }
        lines
    }

    fn unchanged(&self, host: &str, (ok, skipped): (usize, usize)) -> Option<String> {
        let skips = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
        let s = if ok == 1 { "" } else { "s" };
        (ok + skipped > 0).then(|| self.style.dim(&format!("  {host}: {ok} task{s} unchanged{skips}")))
    }

    fn diff_lines(&self, diff: &TaskDiff) -> Vec<String> {
        let style = self.style;
        let is_text = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\n'));
        if !is_text(&diff.before) && !is_text(&diff.after) {
            let show = |value: &Option<String>| value.as_deref().map_or_else(|| "(nothing)".to_owned(), short);
            return vec![format!(
                "    {}: {} → {}",
                diff.what,
                style.red(&show(&diff.before)),
                style.green(&show(&diff.after))
            )];
        }
        if !self.diff {
            return vec![format!("    {}: differs; --diff shows it", diff.what)];
        }
        let (before, after) = (diff.before.as_deref().unwrap_or_default(), diff.after.as_deref().unwrap_or_default());
        let text = TextDiff::from_lines(before, after);
        let mut unified = text.unified_diff();
        let name = |side: &Option<String>| if side.is_some() { diff.what.clone() } else { "/dev/null".to_owned() };
        let unified = unified.context_radius(3).header(&name(&diff.before), &name(&diff.after)).to_string();
        let paint = |line: &str| match line.chars().next() {
            Some('+') => style.green(line),
            Some('-') => style.red(line),
            Some('@') => style.cyan(line),
            _ => line.to_owned(),
        };
        unified.lines().map(|line| format!("    {}", paint(line))).collect()
    }

    fn recap(&self, hosts: &[(String, Counts)]) -> Vec<String> {
        if hosts.is_empty() {
            return vec![];
        }
        let style = self.style;
        let width = hosts.iter().map(|(host, _)| host.chars().count()).max().unwrap_or_default();
        let line = |(host, counts): &(String, Counts)| {
            let Counts { ok, changed, unreachable, failed, skipped, rescued, ignored, unknown } = counts;
            let unknown = if self.check { format!(" unknown={unknown}") } else { String::new() };
            let text = format!(
                "{host:width$} : ok={ok} changed={changed} unreachable={unreachable} failed={failed} skipped={skipped} rescued={rescued} ignored={ignored}{unknown}"
            );
            match () {
                () if *failed > 0 || *unreachable > 0 => style.red(&text),
                () if *changed > 0 => style.yellow(&text),
                () => style.green(&text),
            }
        };
        hosts.iter().map(line).collect()
    }
}

/// What `debug` says.
fn said(ended: &TaskEnded) -> Vec<String> {
    let serde_json::Value::Object(result) = &ended.result else { return vec![] };
    let own = ["changed", "failed", "item", "ansible_loop_var", "warnings"];
    let mut lines = vec![];
    for (name, value) in result.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            other => serde_json::to_string_pretty(other).unwrap_or_default(),
        };
        let text = if name == "msg" { text } else { format!("{name}: {text}") };
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

fn short(text: &str) -> String {
    let line = text.replace('\n', "⏎");
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ended(host: &str, task: &str, status: TaskStatus) -> PlayEvent {
        PlayEvent::Task(Box::new(TaskEnded {
            play: "p".into(),
            task: task.into(),
            module: "copy".into(),
            place: "site.yml:3:5".into(),
            host: host.into(),
            delegate: None,
            is_handler: false,
            status,
            item: None,
            result: serde_json::json!({}),
            diffs: vec![TaskDiff {
                what: "/etc/motd".into(),
                before: Some("a\nb\n".into()),
                after: Some("a\nc\n".into()),
            }],
            failure: (status == TaskStatus::Failed).then(|| "no space\nexit code: 1".to_owned()),
            unknown: None,
            elapsed: Duration::from_millis(120),
        }))
    }

    #[test]
    fn what_changes_nothing_is_told_together() {
        let mut plays = Plays::new(Style::default());
        plays.diff = true;
        let counts = Counts { ok: 3, changed: 1, failed: 1, ..Counts::default() };
        let events = [
            ended("api", "one", TaskStatus::Ok),
            ended("api", "two", TaskStatus::Skipped),
            ended("api", "motd", TaskStatus::Changed),
            ended("api", "disk", TaskStatus::Failed),
            PlayEvent::Recap { hosts: vec![("api".into(), counts)], trips: vec![], elapsed: Duration::ZERO },
        ];
        let text = events.iter().flat_map(|event| plays.lines(event)).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(text);
    }
}
