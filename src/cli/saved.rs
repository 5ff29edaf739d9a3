//! Plans in files: `plan --out FILE` and `apply FILE`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::common::{Opened, Planned, Selection, ServerArgs, SiteArgs, ValueArgs, complain, planned};
use super::execute::moved;
use super::{Exit, Global};
use crate::model::{Address, Preview};
use crate::report;
use crate::report::saved::{self, Request, Saved};

/// A saved plan, as it was read from its file.
pub struct SavedPlan {
    file: PathBuf,
    document: Value,
    saved: Saved,
    site: SiteArgs,
    selection: Selection,
}

/// Writes a plan into a file that only this user can read, whole or not at all.
pub fn write(
    planned: &Planned,
    preview: Option<&Preview>,
    site: &SiteArgs,
    selection: &Selection,
    file: &Path,
    global: &Global,
) -> Result<(), Exit> {
    let Planned { opened, snapshot, plan, .. } = planned;
    let salt = format!("{:016x}{:016x}", random(), random());
    let saved = Saved {
        lxdeploy: env!("CARGO_PKG_VERSION").to_owned(),
        request: request(opened, site, selection, plan.destroy),
        server_fingerprint: snapshot.server.fingerprint.clone(),
        inputs: saved::inputs(&opened.sources, &opened.secrets, &salt),
        salt,
        unknown: plan.unknown().into_iter().chain(preview.map(report::inside::unknown).unwrap_or_default()).collect(),
    };
    let mut document = opened.document(plan, preview);
    document[saved::KEY] = serde_json::to_value(saved).unwrap_or_default();
    let told = |error: std::io::Error| complain(global, &format!("cannot write {}: {error}", file.display()));
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(directory).map_err(told)?;
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    writeln!(new, "{text}").map_err(told)?;
    new.persist(file).map_err(|error| told(error.error))?;
    Ok(())
}

/// Reads a saved plan; `None` if the file is something else.
pub fn open(site: &SiteArgs, selection: &Selection, global: &Global) -> Result<Option<SavedPlan>, Exit> {
    let file = site.site.as_path();
    // Whatever is wrong with a site file, the site room says.
    let Ok(text) = fs::read_to_string(file) else { return Ok(None) };
    if !text.trim_start().starts_with('{') {
        return Ok(None);
    }
    let Ok(document) = serde_json::from_str::<Value>(&text) else { return Ok(None) };
    let told = |reason: String| complain(global, &format!("{}: {reason}", file.display()));
    let Some(saved) = saved::of_document(&document).map_err(told)? else {
        return if document.get("format_version").is_some() {
            Err(told("this plan was printed and not saved; save one with `lxdeploy plan SITE --out FILE`".into()))
        } else {
            Ok(None)
        };
    };
    let (site, selection) = asked(&saved.request, site, selection).map_err(told)?;
    Ok(Some(SavedPlan { file: file.to_owned(), document, saved, site, selection }))
}

impl SavedPlan {
    /// Plans again from the same files; goes on only if everything is as it was.
    ///
    /// # Errors
    /// What differs, told already; nothing was written.
    pub async fn planned(&self, global: &Global) -> Result<Planned, Exit> {
        let planned = planned(&self.site, &self.selection, self.saved.request.destroy, global).await?;
        let refuse = |what: &str, lines: &[String]| {
            Err(complain(global, &moved(&format!("{}: {what}", self.file.display()), lines)))
        };
        let server = &planned.snapshot.server.fingerprint;
        if *server != self.saved.server_fingerprint {
            let line = format!("its certificate was {}, and is {server}", self.saved.server_fingerprint);
            return refuse("this is another server than the plan was made for", &[line]);
        }
        let Opened { sources, secrets, .. } = &planned.opened;
        let now = saved::inputs(sources, secrets, &self.saved.salt);
        let changed = saved::changed_inputs(&self.saved.inputs, &now);
        if !changed.is_empty() {
            return refuse("the files have changed since the plan was made", &changed);
        }
        let preview = planned.preview(global).await?;
        let document = planned.opened.document(&planned.plan, preview.as_ref());
        let differences = saved::differences(&self.document, &document, &[]);
        if !differences.is_empty() && !planned.plan.is_empty() {
            return refuse("the server has changed since the plan was made", &saved::in_words(differences));
        }
        let inside = report::inside::differences(&self.document["inside"], &document["inside"]);
        if !inside.is_empty() {
            return refuse("the instances have changed inside since the plan was made", &inside);
        }
        Ok(planned)
    }
}

fn request(opened: &Opened, site: &SiteArgs, selection: &Selection, destroy: bool) -> Request {
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let texts = |addresses: &[Address]| addresses.iter().map(ToString::to_string).collect();
    let vars = site.values.vars.iter().map(|(name, value)| {
        let is_secret = opened.site.secret_inputs.contains(name) || opened.masker.mask(value) != *value;
        (name.clone(), (!is_secret).then(|| value.clone()))
    });
    Request {
        site: text(&site.site),
        remote: site.server.remote.clone(),
        project: site.server.project.clone(),
        vars: vars.collect(),
        vars_files: site.values.vars_files.iter().map(text).collect(),
        targets: texts(&selection.targets),
        excludes: texts(&selection.excludes),
        replace: texts(&selection.replace),
        adopt: selection.adopt.clone(),
        delete_data: selection.delete_data,
        origin_changed: selection.origin_changed,
        skip_tasks: selection.skip_tasks,
        max_deletes: selection.max_deletes,
        destroy,
    }
}

/// What a saved plan asks for. The command line may repeat it, and must give the secrets; it cannot change it.
fn asked(request: &Request, site: &SiteArgs, selection: &Selection) -> Result<(SiteArgs, Selection), String> {
    let addresses = |texts: &[String]| texts.iter().map(|text| text.parse::<Address>()).collect::<Result<Vec<_>, _>>();
    let wanted = Selection {
        targets: addresses(&request.targets)?,
        excludes: addresses(&request.excludes)?,
        replace: addresses(&request.replace)?,
        adopt: request.adopt.clone(),
        delete_data: request.delete_data,
        max_deletes: request.max_deletes,
        origin_changed: request.origin_changed,
        skip_tasks: request.skip_tasks,
    };
    let other = |flag: &str| Err(format!("a saved plan has its own {flag}; plan again to change it"));
    let is_other = |given: bool, same: bool| given && !same;
    if is_other(!selection.targets.is_empty(), selection.targets == wanted.targets) {
        return other("--target");
    }
    if is_other(!selection.excludes.is_empty(), selection.excludes == wanted.excludes) {
        return other("--exclude");
    }
    if is_other(!selection.replace.is_empty(), selection.replace == wanted.replace) {
        return other("--replace");
    }
    if is_other(!selection.adopt.is_empty(), selection.adopt == wanted.adopt) {
        return other("--adopt");
    }
    if is_other(selection.delete_data, wanted.delete_data) {
        return other("--delete-data");
    }
    if is_other(selection.skip_tasks, wanted.skip_tasks) {
        return other("--skip-tasks");
    }
    if is_other(selection.origin_changed, wanted.origin_changed) {
        return other("--origin-changed");
    }
    if is_other(selection.max_deletes.is_some(), selection.max_deletes == wanted.max_deletes) {
        return other("--max-deletes");
    }
    let ServerArgs { remote, project, timeout } = &site.server;
    if is_other(remote.is_some(), *remote == request.remote) {
        return other("--remote");
    }
    if is_other(project.is_some(), *project == request.project) {
        return other("--project");
    }
    let values = values(request, &site.values)?;
    Ok((server_of(request, *timeout, values), wanted))
}

fn server_of(request: &Request, timeout: Duration, values: ValueArgs) -> SiteArgs {
    SiteArgs {
        site: PathBuf::from(&request.site),
        server: ServerArgs { remote: request.remote.clone(), project: request.project.clone(), timeout },
        values,
        plays: false,
    }
}

fn values(request: &Request, given: &ValueArgs) -> Result<ValueArgs, String> {
    let files: Vec<PathBuf> = request.vars_files.iter().map(PathBuf::from).collect();
    if !given.vars_files.is_empty() && given.vars_files != files {
        return Err("a saved plan has its own --vars-file; plan again to change it".into());
    }
    let given_value = |name: &str| given.vars.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value);
    let mut vars = vec![];
    for (name, value) in &request.vars {
        let value = value.as_ref().or_else(|| given_value(name)).ok_or_else(|| {
            format!("the variable `{name}` is secret, and so not in the plan: give it again with --var {name}=… or LXDEPLOY_VAR")
        })?;
        vars.push((name.clone(), value.clone()));
    }
    let unknown = given.vars.iter().find(|given| !vars.contains(given));
    match unknown {
        Some((name, _)) => Err(format!("--var {name}: a saved plan has its own variables; plan again to change them")),
        None => Ok(ValueArgs { vars, vars_files: files, keys: given.keys.clone() }),
    }
}

/// No secret: only different for each file.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let vars = vec![("size".into(), Some("2".into())), ("token".into(), None)];
        Request { site: "site.yaml".into(), vars, ..Request::default() }
    }

    fn given(vars: &[(&str, &str)]) -> ValueArgs {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ValueArgs { vars, ..ValueArgs::default() }
    }

    #[test]
    fn secrets_are_given_again_and_nothing_else_is_changed() {
        assert!(values(&request(), &given(&[])).unwrap_err().contains("`token` is secret"));
        let both = values(&request(), &given(&[("token", "x")])).unwrap();
        assert_eq!(both.vars, [("size".to_owned(), "2".to_owned()), ("token".to_owned(), "x".to_owned())]);
        assert!(values(&request(), &given(&[("token", "x"), ("size", "2")])).is_ok());
        assert!(values(&request(), &given(&[("token", "x"), ("size", "3")])).unwrap_err().contains("plan again"));
    }
}
