use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::super::common::{SiteArgs, complain, found};
use super::super::say::outln;
use super::super::{Exit, Global};
use super::{of_site, write};
use crate::secrets::{Form, Keys, Recipe, Store, age, seal, today};
use crate::site::SecretMode;
use crate::site::secrets::{Generation, to_generate};

/// `lxdeploy secrets generate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "They are kept in SITE.secrets.yaml beside the site, encrypted for its `recipients:`; of a site without \
    recipients in lxdeploy/SITE.secrets.yaml below $XDG_STATE_HOME or ~/.local/state, for this user alone. What is there \
    stays as it is; a certificate that is for other names, or ends within 30 days, is made again."
)]
pub(super) struct Args {
    #[command(flatten)]
    site: SiteArgs,
    /// Make this one again, though it is there; repeatable
    #[arg(long, value_name = "SECRET", env = "LXDEPLOY_RENEW", hide_env = true)]
    renew: Vec<String>,
}

/// Makes what is missing.
pub(super) fn run(args: &Args, global: &Global) -> Exit {
    let options = args.site.options(args.site.server.project.clone(), SecretMode::Placeholder);
    let (loaded, generation) = to_generate(&args.site.site, &options);
    found(&loaded, &args.site, global);
    let Some(generation) = generation else { return Exit::Failed };
    let done = of_site(&args.site.site, global)
        .and_then(|recipients| generate(&generation, &recipients, &args.renew, &options.keys));
    match done {
        Ok(lines) => {
            lines.iter().for_each(|line| outln!("{line}"));
            Exit::Done
        }
        Err(reason) => complain(global, &reason),
    }
}

/// What was done, in words.
fn generate(made: &Generation, recipients: &[String], renew: &[String], keys: &Keys) -> Result<Vec<String>, String> {
    if made.recipes.is_empty() {
        return Ok(vec!["The site has no secrets that are to be generated.".into()]);
    }
    if let Some(unknown) = renew.iter().find(|name| !made.recipes.contains_key(*name)) {
        let names: Vec<&str> = made.recipes.keys().map(String::as_str).collect();
        return Err(format!("--renew {unknown}: what is generated is {}", names.join(", ")));
    }
    let (place, form) = destination(made, recipients, keys)?;
    let current = made.places.current();
    let mut store = current.map_or_else(|| Ok(Store::default()), |path| Store::read(path, keys))?;
    let mut lines = vec![];
    let today = today();
    for (name, recipe) in in_order(&made.recipes) {
        let reason = match store.get(name) {
            None => "made".to_owned(),
            Some(_) if renew.contains(name) => "made again: --renew".to_owned(),
            Some(known) => match recipe.fault(known, &store, today) {
                Some(fault) => format!("made again: {fault}"),
                None if Recipe::ends_soon(known, today) => "made again: it ends soon".to_owned(),
                None => continue,
            },
        };
        let secret = recipe.make(&store, today).map_err(|reason| format!("{name}: {reason}"))?;
        store.set(name, secret);
        lines.push(format!("{name}: {reason}"));
    }
    let (all, shown) = (made.recipes.len(), place.display());
    if lines.is_empty() && current == Some(place.as_path()) {
        return Ok(vec![format!("Nothing to generate: {all} secrets are in {shown}.")]);
    }
    let text = store.text()?.into_bytes();
    let bytes = form.map_or_else(|| Ok(text.clone()), |form| seal(&text, &form, keys))?;
    write(&place, &bytes).map_err(|reason| format!("{shown}: {reason}"))?;
    lines.push(format!("Generated {} of {all} secrets, in {shown}.", lines.len()));
    Ok(lines)
}

/// Where the store is written, and in which form; of a site without recipients it is no encrypted one.
fn destination(made: &Generation, recipients: &[String], keys: &Keys) -> Result<(PathBuf, Option<Form>), String> {
    if !recipients.is_empty() {
        let of_identity = |path: &PathBuf| age::recipients_of(path).unwrap_or_default();
        if !keys.identities.iter().flat_map(of_identity).any(|own| recipients.contains(&own)) {
            return Err(
                "no identity at hand is among the site's `recipients:`, so nobody here could read the file: give \
                --identity FILE, or add yours (`lxdeploy secrets keygen` makes one)"
                    .into(),
            );
        }
        return Ok((made.places.beside.clone(), Some(Form::Age(recipients.to_vec()))));
    }
    if made.places.current() == Some(made.places.beside.as_path()) {
        let shown = made.places.beside.display();
        return Err(format!("{shown} is there, and the site has no `recipients:` that it could be encrypted for"));
    }
    let place = made.places.state.clone().ok_or("there is no HOME to keep the secrets in: set XDG_STATE_HOME")?;
    let directory = place.parent().unwrap_or(Path::new("."));
    let maker = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    maker.map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok((place, None))
}

/// An authority comes before what it signs.
fn in_order(recipes: &BTreeMap<String, Recipe>) -> Vec<(&String, &Recipe)> {
    let mut order: Vec<_> = recipes.iter().collect();
    order.sort_by_key(|(_, recipe)| matches!(recipe, Recipe::Certificate { .. }));
    order
}
