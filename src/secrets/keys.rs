//! What can decrypt. Nothing is read, run or asked before something encrypted is met, and then once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::age::{self, Identity};

/// Asks the user for a password; the question is given.
pub type Ask = fn(&str) -> Result<String, String>;

/// A vault password, and the id by which it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultKey {
    /// The vault id; `default` where the user gave none.
    pub id: String,
    /// Where the password comes from.
    pub source: VaultSource,
}

/// Where a vault password comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultSource {
    /// A file that holds it, or an executable one that prints it.
    File(PathBuf),
    /// The user is asked.
    Prompt,
}

impl std::str::FromStr for VaultKey {
    type Err = String;

    /// `ID@SOURCE`, or a source alone; the source is a file or `prompt`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (id, source) = text.split_once('@').unwrap_or(("default", text));
        if source.is_empty() {
            return Err("write ID@FILE or ID@prompt".into());
        }
        let id = if id.is_empty() { "default" } else { id };
        let is_prompt = source == "prompt";
        let source = if is_prompt { VaultSource::Prompt } else { VaultSource::File(source.into()) };
        Ok(VaultKey { id: id.to_owned(), source })
    }
}

/// What can decrypt.
#[derive(Default)]
pub struct Keys {
    /// Vault passwords, in the order in which they are tried.
    pub vault: Vec<VaultKey>,
    /// Files of age identities.
    pub identities: Vec<PathBuf>,
    /// How the user is asked; `None` where nobody can be.
    pub ask: Option<Ask>,
    passwords: RefCell<HashMap<usize, Result<Vec<u8>, String>>>,
    read: RefCell<Option<Result<std::rc::Rc<Vec<Identity>>, String>>>,
}

/// Without what was read.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys {{ vault: {:?}, identities: {:?}, .. }}", self.vault, self.identities)
    }
}

impl Keys {
    /// Keys of which nothing is read yet.
    pub fn new(vault: Vec<VaultKey>, identities: Vec<PathBuf>, ask: Option<Ask>) -> Self {
        Keys { vault, identities, ask, ..Keys::default() }
    }

    /// Where `lxdeploy secrets keygen` writes an identity and where it is looked for: `age.txt` below
    /// `$XDG_CONFIG_HOME/lxdeploy` (or `~/.config/lxdeploy`).
    pub fn default_identity() -> Option<PathBuf> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(config.join("lxdeploy/age.txt"))
    }

    /// The passwords to try for a text of this vault id, the one of the same id first (as Ansible does).
    pub(super) fn order(&self, id: Option<&str>) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.vault.len()).collect();
        order.sort_by_key(|index| id != Some(self.vault[*index].id.as_str()));
        order
    }

    pub(super) fn password(&self, index: usize) -> Result<Vec<u8>, String> {
        if let Some(known) = self.passwords.borrow().get(&index) {
            return known.clone();
        }
        let VaultKey { id, source } = &self.vault[index];
        let password = match source {
            VaultSource::File(path) => of_file(path, id),
            VaultSource::Prompt => match self.ask {
                Some(ask) => ask(&format!("Vault password ({id}): ")).map(String::into_bytes),
                None => Err("nobody can be asked for the vault password here".into()),
            },
        };
        let password = password.and_then(|password| match password.is_empty() {
            true => Err(format!("the vault password ({id}) is empty")),
            false => Ok(password),
        });
        self.passwords.borrow_mut().insert(index, password.clone());
        password
    }

    pub(super) fn identities(&self) -> Result<std::rc::Rc<Vec<Identity>>, String> {
        if let Some(known) = &*self.read.borrow() {
            return known.clone();
        }
        let each = self.identities.iter().map(|path| age::identities(path));
        let all: Result<Vec<Vec<Identity>>, String> = each.collect();
        let all = all.map(|all| std::rc::Rc::new(all.into_iter().flatten().collect()));
        *self.read.borrow_mut() = Some(all.clone());
        all
    }
}

/// A file's text without the white space around it; of an executable file what it prints. One whose name ends in
/// `-client` is told the vault id (Ansible's `script_is_client`).
fn of_file(path: &Path, id: &str) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let about = std::fs::metadata(path).map_err(|error| format!("the vault password file {shown}: {error}"))?;
    if about.permissions().mode() & 0o111 == 0 || !about.is_file() {
        let bytes = std::fs::read(path).map_err(|error| format!("the vault password file {shown}: {error}"))?;
        return Ok(bytes.trim_ascii().to_vec());
    }
    // A bare name is this file, and nothing in PATH.
    let program = if path.components().count() == 1 { Path::new(".").join(path) } else { path.to_owned() };
    let mut command = Command::new(program);
    if path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("-client")) {
        command.args(["--vault-id", id]);
    }
    // What it says on stderr is a question to the user, perhaps.
    let output = command.stdin(Stdio::inherit()).stderr(Stdio::inherit()).output();
    let output =
        output.map_err(|error| format!("{shown}: {error}; if it is no script, take its executable bit away"))?;
    if !output.status.success() {
        return Err(format!("{shown}: {}", output.status));
    }
    let start = output.stdout.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(output.stdout.len());
    let end = output.stdout.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(start, |last| last + 1);
    Ok(output.stdout[start..end].to_vec())
}
