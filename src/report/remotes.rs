//! `lxdeploy remote list`: a line for each remote.

use serde_json::{Value, json};

use super::Style;

/// A remote, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// `https://host:port` or `unix:/path`.
    pub url: String,
    /// `lxd`, `incus` or `simplestreams`.
    pub protocol: String,
    /// The project of objects that name none.
    pub project: Option<String>,
    /// `lxdeploy`, the directory of lxc's configuration, or `built in`.
    pub source: String,
    /// SHA-256 of the certificate that the server is known by.
    pub fingerprint: Option<String>,
}

/// A table.
pub fn table(rows: &[Row], style: Style) -> String {
    let header = ["NAME", "URL", "PROJECT", "SOURCE"].map(str::to_owned);
    let cells: Vec<[String; 4]> = rows
        .iter()
        .map(|row| {
            let project = row.project.clone().unwrap_or_else(|| "-".into());
            [row.name.clone(), row.url.clone(), project, row.source.clone()]
        })
        .collect();
    let width = |column: usize| cells.iter().chain([&header]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |row: &[String; 4]| -> String {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let lines = cells.iter().map(line);
    std::iter::once(style.bold(&line(&header))).chain(lines).map(|line| line + "\n").collect()
}

/// For machines.
pub fn json(rows: &[Row]) -> Value {
    let remotes: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name, "url": row.url, "protocol": row.protocol, "project": row.project,
                "source": row.source, "fingerprint": row.fingerprint,
            })
        })
        .collect();
    json!({"format_version": "1.0", "remotes": remotes})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_content() {
        let row = |name: &str, project: Option<&str>| Row {
            name: name.into(),
            url: "https://a:8443".into(),
            protocol: "lxd".into(),
            project: project.map(str::to_owned),
            source: "lxdeploy".into(),
            fingerprint: None,
        };
        let rows = [row("data-centre", Some("acme")), row("b", None)];
        assert_eq!(
            table(&rows, Style::default()),
            "NAME         URL             PROJECT  SOURCE\n\
             data-centre  https://a:8443  acme     lxdeploy\n\
             b            https://a:8443  -        lxdeploy\n"
        );
        assert_eq!(json(&rows)["remotes"][1]["project"], Value::Null);
    }
}
