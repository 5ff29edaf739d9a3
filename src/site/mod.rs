//! Site, platform and variable files: found, read, merged, rendered and validated, every error at once.
//!
//! ```text
//! files ─► documents ─► merged sections ─┐
//!              │                         ├─► rendered objects ─► kinds decode ─► Site
//!              └► variables, inputs ─────┘
//! ```

mod checks;
mod closed;
mod document;
mod expand;
mod files;
pub mod graph;
mod inputs;
mod merge;
mod names;
mod origin;
mod revision;
pub mod schema;
mod scope;
pub mod secrets;
mod variables;
pub mod why;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::diagnostic::Diagnostic;
use crate::kinds::Object;
use crate::model::{Address, Masker, Sources, Span};
use crate::secrets::Keys;
use crate::tree::Spanned;

pub use origin::origin;
pub use revision::Revision;

/// What the command line adds to the files.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--var k=v`, v read as YAML.
    pub vars: Vec<(String, String)>,
    /// `--vars-file`.
    pub vars_files: Vec<PathBuf>,
    /// `--project`, before what the file says.
    pub project: Option<String>,
    /// Whether secrets are read.
    pub secrets: SecretMode,
    /// What encrypted files and values are decrypted with.
    pub keys: Rc<Keys>,
    /// The variables are wanted even where the site has neither roles nor playbooks.
    pub plays: bool,
}

/// Whether secrets are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretMode {
    /// Read when they are used.
    #[default]
    Read,
    /// Stood in for by a text: no command is run, no secret needed.
    Placeholder,
}

/// A site as it is wanted.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// The owner stamped on every object.
    pub name: String,
    /// `remote:`.
    pub remote: Option<Spanned<String>>,
    /// `server_fingerprint:`, hex without colons, in lower case.
    pub server_fingerprint: Option<Spanned<String>>,
    /// Where objects live unless they name another project.
    pub project: String,
    /// The file (or a flag) names that project.
    pub names_project: bool,
    /// The platform that it extends, and its release.
    pub platform: Option<(String, Option<String>)>,
    /// Which file in which git repository this is, hashed; `None` until [`origin`] was asked, and outside of git.
    pub origin: Option<String>,
    /// The inputs that are declared `secret: true`.
    pub secret_inputs: BTreeSet<String>,
    /// The wanted objects, in the order of the kinds and then of the files.
    pub objects: Vec<Object>,
    /// What a `count` or `for_each` became.
    pub groups: BTreeMap<Address, Vec<Address>>,
    /// Playbooks that are run when the instances are up.
    pub playbooks: Vec<Spanned<PathBuf>>,
    /// `roles_path:`.
    pub roles_path: Vec<Spanned<PathBuf>>,
    /// The directories of the site's file and of its platforms, in this order.
    pub directories: Vec<PathBuf>,
    /// What its variables are, where plays may ask for them; those that cannot be rendered are left out.
    pub variables: BTreeMap<String, serde_json::Value>,
    /// What the site sets otherwise than its platform, beyond the inputs.
    pub deviations: Vec<(String, Span)>,
}

impl Site {
    /// Something is run inside of its instances.
    pub fn has_plays(&self) -> bool {
        let has_roles =
            |object: &Object| object.lifecycle.as_ref().is_some_and(|lifecycle| !lifecycle.roles.is_empty());
        !self.playbooks.is_empty() || self.objects.iter().any(has_roles)
    }

    /// The platform, with its release.
    pub fn platform_release(&self) -> Option<String> {
        let (name, release) = self.platform.as_ref()?;
        Some(release.as_ref().map_or_else(|| name.clone(), |release| format!("{name} {release}")))
    }

    /// Where the site deviates from its platform, in words; `None` where it binds inputs and no more.
    pub fn deviation(&self) -> Option<String> {
        let paths: Vec<&str> = self.deviations.iter().map(|(path, _)| path.as_str()).collect();
        let platform = self.platform_release().filter(|_| !paths.is_empty())?;
        Some(format!("the site deviates from the platform {platform} in {}", paths.join(", ")))
    }
}

/// What came of loading: the site where nothing is wrong, and everything that was found.
#[derive(Debug, Default)]
pub struct Loaded {
    /// `None` if there is an error.
    pub site: Option<Site>,
    /// The files, for excerpts.
    pub sources: Sources,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts of the secrets that were read.
    pub masker: Masker,
    /// The same by the secrets' names: never shown, and what tells that one has changed.
    pub secrets: BTreeMap<String, String>,
}

/// What a site was made of, for whoever asks where something comes from.
struct Parts {
    chain: document::Chain,
    sections: merge::Sections,
    scope: Rc<scope::Scope>,
}

/// Loads a site file and everything that it names.
pub fn load(path: &Path, options: &Options) -> Loaded {
    load_then(path, options, |_, _, _| ()).0
}

/// Whom the files of a site (or a platform) are encrypted for: its `recipients:`. Nothing else of it is looked at.
pub fn recipients(path: &Path) -> (Vec<String>, Vec<Diagnostic>, Sources) {
    let files = files::Files::default();
    let mut diagnostics = vec![];
    let chain = document::chain(path, &files, &mut diagnostics);
    let recipients = chain.map(|chain| document::recipients(&chain, &mut diagnostics)).unwrap_or_default();
    diagnostics.retain(Diagnostic::is_error);
    (recipients, diagnostics, files.take_sources())
}

/// The same, with a look at the parts of a site without errors.
fn load_then<T>(
    path: &Path,
    options: &Options,
    look: impl FnOnce(&Site, &Parts, &mut Masker) -> T,
) -> (Loaded, Option<T>) {
    let files = Rc::new(files::Files::default());
    let mut diagnostics = vec![];
    let assembled =
        document::chain(path, &files, &mut diagnostics).map(|chain| assemble(chain, options, &files, &mut diagnostics));
    let (site, parts) = assembled.unzip();
    let (mut masker, mut secrets) = Default::default();
    if let Some(parts) = &parts {
        secrets = parts.scope.secrets_read();
        secrets.extend(files.take_opened());
        let (found, texts) = parts.scope.take();
        diagnostics.extend(found);
        masker = texts;
    }
    checks::once(&mut diagnostics);
    let has_errors = diagnostics.iter().any(Diagnostic::is_error);
    let site = site.filter(|_| !has_errors);
    let seen = site.as_ref().zip(parts.as_ref()).map(|(site, parts)| look(site, parts, &mut masker));
    // A file is read once in a process's life: to take its tree apart again would be a tenth of the time.
    std::mem::forget(parts.map(|parts| parts.chain));
    (Loaded { site, sources: files.take_sources(), diagnostics, masker, secrets }, seen)
}

fn assemble(
    chain: document::Chain,
    options: &Options,
    files: &Rc<files::Files>,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Site, Parts) {
    let (sections, deviations) = merge::sections(&chain, diagnostics);
    let scope = variables::scope(&chain, options, files, diagnostics);
    let mut site = document::header(&chain, options, &scope, diagnostics);
    site.deviations = deviations;
    let pending = expand::expand(&sections, &site.project, &scope, diagnostics);
    site.groups.clone_from(&pending.groups);
    site.secret_inputs = scope.inputs().iter().filter(|input| input.secret).map(|input| input.name.clone()).collect();
    let places;
    (site.objects, places) = names::decode(pending, files, diagnostics);
    checks::check(&site, &places, diagnostics);
    if options.plays || site.has_plays() {
        site.variables = scope.rendered_variables();
    }
    (site, Parts { chain, sections, scope })
}
