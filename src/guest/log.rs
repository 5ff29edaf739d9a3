use super::exec;
use crate::lxd::Client;
use crate::model::Id;

/// So many lines help to understand a failure without hiding it.
const LINES: usize = 15;

/// The last lines that an instance has to say for itself: its journal or syslog, else its console, else LXD's
/// own log about it; and the remedy where these are known to have one. Best effort: without any the failure stands
/// alone.
pub async fn last_log_lines(client: &Client, id: &Id) -> Vec<String> {
    let mut lines = said(client, id).await;
    lines.extend(remedy(&lines).map(str::to_owned));
    lines
}

/// The kernel's default of 128 is enough for some dozen guests with systemd (LXD's document "Production server
/// settings").
fn remedy(lines: &[String]) -> Option<&'static str> {
    let is_used_up = lines.iter().any(|line| line.contains("inotify") && line.contains("Too many open files"));
    is_used_up.then_some(
        "the server's machine has no inotify instance left: there, `sysctl fs.inotify.max_user_instances=1048576`, and a file in /etc/sysctl.d that says so",
    )
}

async fn said(client: &Client, id: &Id) -> Vec<String> {
    let script = format!(
        "journalctl -n {LINES} --no-pager -q 2>/dev/null || tail -n {LINES} /var/log/syslog 2>/dev/null || tail -n {LINES} /var/log/messages 2>/dev/null"
    );
    let command = ["sh".to_owned(), "-c".to_owned(), script];
    let journal = exec::output(client, id, &command).await.unwrap_or_default();
    if !journal.trim().is_empty() {
        return tail(&journal);
    }
    let name = crate::lxd::escape(&id.name);
    for path in [format!("/1.0/instances/{name}/console"), format!("/1.0/instances/{name}/logs/lxc.log")] {
        let text = client.text(&path, &id.project).await.unwrap_or_default();
        let lines = tail(&without_warnings(&text));
        if !lines.is_empty() {
            return lines;
        }
    }
    vec![]
}

/// LXD's log warns of what the kernel has not at every start; what failed is told as an error.
fn without_warnings(text: &str) -> String {
    text.lines().filter(|line| !line.contains(" WARN ")).collect::<Vec<_>>().join("\n")
}

fn tail(text: &str) -> Vec<String> {
    let clean = |line: &str| -> String { line.chars().filter(|c| !c.is_control() || *c == '\t').collect() };
    let lines: Vec<String> = text.lines().map(clean).filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_remedy() {
        let line = |text: &str| vec!["Welcome".to_owned(), text.to_owned()];
        assert!(remedy(&line("Failed to create control group inotify object: Too many open files")).is_some());
        assert!(remedy(&line("nginx: Too many open files")).is_none());
    }

    #[test]
    fn the_last_lines_without_control_characters() {
        let text: String = (0..30).map(|n| format!("line {n}\r\n\n")).collect();
        let lines = tail(&text);
        assert_eq!((lines.len(), lines[0].as_str(), lines[14].as_str()), (15, "line 15", "line 29"));
        assert_eq!(tail("a\u{1b}[0m\n"), ["a[0m"]);
    }
}
