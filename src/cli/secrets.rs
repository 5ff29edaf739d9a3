mod generate;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;

use super::common::{KeyArgs, SiteArgs, complain, found};
use super::say::{errln, outln};
use super::{Exit, Global};
use crate::report::{self, Style};
use crate::secrets::{Form, Keys, age, is_encrypted, open, seal, vault_key};
use crate::site::{self, SecretMode};

/// `lxdeploy secrets`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// Make an identity of age's, and print its recipient: what goes into a site's `recipients:`
    Keygen(KeygenArgs),
    /// Make the secrets of a site that are to be generated and are not there yet
    Generate(generate::Args),
    /// Print one secret of a site; of an authority its certificate
    Get(GetArgs),
    /// Encrypt files where they are
    Encrypt(SealArgs),
    /// Print what is in an encrypted file
    View(OpenArgs),
    /// Change an encrypted file in $VISUAL or $EDITOR, or make a new one
    Edit(SealArgs),
    /// Encrypt files again, for the recipients of today
    Rekey(SealArgs),
    /// Decrypt files where they are
    Decrypt(OpenArgs),
}

#[derive(Debug, clap::Args)]
struct GetArgs {
    #[command(flatten)]
    site: SiteArgs,
    /// The secret's name
    secret: String,
}

#[derive(Debug, clap::Args)]
struct KeygenArgs {
    /// Where to write it [default: lxdeploy/age.txt in ~/.config]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct OpenArgs {
    /// The files; `-` is standard input, and prints
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "For whom: --recipient, the `recipients:` of --site, or else those of the site files beside the \
    file, or in the nearest folder above it that has some. A file of ansible-vault's stays one."
)]
struct SealArgs {
    /// The files; `-` is standard input, and prints
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Whom it is for, age1…; repeatable
    #[arg(short, long = "recipient", value_name = "AGE1…", env = "LXDEPLOY_RECIPIENT", hide_env = true)]
    recipients: Vec<String>,
    /// The site whose `recipients:` it is for
    #[arg(long, value_name = "SITE", env = "LXDEPLOY_SITE", hide_env = true)]
    site: Option<PathBuf>,
    /// As ansible-vault does, with the first vault password
    #[arg(long, conflicts_with_all = ["recipients", "site"], env = "LXDEPLOY_VAULT", hide_env = true, value_parser = BoolishValueParser::new())]
    vault: bool,
    #[command(flatten)]
    keys: KeyArgs,
}

/// Encrypts, shows and changes files of secrets.
pub fn run(args: &Args, global: &Global) -> Exit {
    let done = match &args.command {
        Commands::Keygen(args) => keygen(args),
        Commands::Generate(args) => return generate::run(args, global),
        Commands::Get(args) => return get(args, global),
        Commands::Encrypt(args) => each(&args.files, |file| {
            let plain = read(file)?;
            write(file, &seal(&plain, &form(args, file, None, global)?, &args.keys.keys())?)
        }),
        Commands::View(args) => each(&args.files, |file| {
            let plain = decrypted(&read(file)?, &args.keys.keys())?;
            std::io::stdout().write_all(&plain).map_err(|error| error.to_string())
        }),
        Commands::Decrypt(args) => each(&args.files, |file| write(file, &decrypted(&read(file)?, &args.keys.keys())?)),
        Commands::Rekey(args) => each(&args.files, |file| {
            let bytes = read(file)?;
            let plain = decrypted(&bytes, &args.keys.keys())?;
            write(file, &seal(&plain, &form(args, file, None, global)?, &args.keys.keys())?)
        }),
        Commands::Edit(args) => each(&args.files, |file| edit(args, file, global)),
    };
    match done {
        Ok(()) => Exit::Done,
        Err(reason) => complain(global, &reason),
    }
}

fn get(args: &GetArgs, global: &Global) -> Exit {
    let options = args.site.options(args.site.server.project.clone(), SecretMode::Placeholder);
    let (loaded, read) = site::secrets::one(&args.site.site, &options, &args.secret);
    found(&loaded, &args.site, global);
    match read {
        None => Exit::Failed,
        Some(Ok(text)) => {
            outln!("{}", text.trim_end_matches('\n'));
            Exit::Done
        }
        Some(Err(problem)) => {
            let color = Style::of(&std::io::stderr(), global.no_color).color;
            errln!("{}", report::diagnostics::render(&[problem], &loaded.sources, color));
            Exit::Failed
        }
    }
}

/// Does something with each file; errors name theirs.
fn each(files: &[PathBuf], work: impl Fn(&Path) -> Result<(), String>) -> Result<(), String> {
    files.iter().try_for_each(|file| work(file).map_err(|reason| format!("{}: {reason}", file.display())))
}

fn keygen(args: &KeygenArgs) -> Result<(), String> {
    let path = args.output.clone().or_else(Keys::default_identity);
    let path = path.ok_or("there is no HOME to write it to: give --output FILE")?;
    let named = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            format!("{}: it is there already; what was encrypted for it could be read no more", path.display())
        }
        _ => format!("{}: {error}", path.display()),
    };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(named)?;
    }
    let (text, recipient) = age::generate();
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(named)?;
    errln!("The identity is in {}: keep a copy where nobody else reads it. Its recipient:", path.display());
    outln!("{recipient}");
    Ok(())
}

/// The form in which a file is to be encrypted; `was` is what it is now, if it is to stay so.
fn form(args: &SealArgs, file: &Path, was: Option<&[u8]>, global: &Global) -> Result<Form, String> {
    let keys = args.keys.keys();
    if args.vault {
        if keys.vault.is_empty() {
            return Err("--vault needs a password: --vault-password-file FILE, --vault-id or --ask-vault-pass".into());
        }
        return Ok(Form::Vault(0));
    }
    if let Some(index) = was.map_or(Ok(None), |bytes| vault_key(bytes, &keys))? {
        return Ok(Form::Vault(index));
    }
    let mut recipients = args.recipients.clone();
    if let Some(site) = &args.site {
        recipients.extend(of_site(site, global)?);
    } else if recipients.is_empty() {
        recipients = of_the_nearest_sites(file, global)?;
    }
    if recipients.is_empty() {
        return Err(
            "for whom? Give --recipient age1…, or --site SITE of a site with `recipients:`; `lxdeploy secrets \
            keygen` makes an identity; --vault is for a password of ansible-vault's"
                .into(),
        );
    }
    recipients.iter().try_for_each(|recipient| age::check(recipient))?;
    let own: Vec<String> = keys.identities.iter().filter_map(|path| age::recipients_of(path).ok()).flatten().collect();
    if !own.iter().any(|own| recipients.contains(own)) {
        let style = Style::of(&std::io::stderr(), global.no_color);
        errln!("{} {}: your own identity will not read it", style.yellow("warning:"), file.display());
    }
    Ok(Form::Age(recipients))
}

fn of_site(site: &Path, global: &Global) -> Result<Vec<String>, String> {
    let (recipients, problems, sources) = site::recipients(site);
    if problems.is_empty() {
        return Ok(recipients);
    }
    let style = Style::of(&std::io::stderr(), global.no_color);
    errln!("{}\n", report::diagnostics::render(&problems, &sources, style.color));
    Err(format!("the recipients of {} cannot be read", site.display()))
}

/// The recipients of the site files beside a file, or in the nearest folder above it that has some; not beyond the top
/// of its git repository.
fn of_the_nearest_sites(file: &Path, global: &Global) -> Result<Vec<String>, String> {
    let beside = file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let start = beside.canonicalize().map_err(|error| format!("{}: {error}", beside.display()))?;
    for folder in start.ancestors() {
        let mut found: Vec<(PathBuf, BTreeSet<String>)> = vec![];
        for path in site_files(folder) {
            let recipients: BTreeSet<String> = of_site(&path, global)?.into_iter().collect();
            if !recipients.is_empty() {
                found.push((path, recipients));
            }
        }
        if let Some((first, recipients)) = found.first() {
            if let Some((other, _)) = found.iter().find(|(_, others)| others != recipients) {
                let (first, other) = (first.display(), other.display());
                return Err(format!("{first} and {other} have different recipients: say which, with --site"));
            }
            return Ok(recipients.iter().cloned().collect());
        }
        if folder.join(".git").exists() {
            break;
        }
    }
    Ok(vec![])
}

/// The files of a folder that are sites, or platforms, with recipients.
fn site_files(folder: &Path) -> Vec<PathBuf> {
    let starts = |text: &str, words: &[&str]| text.lines().any(|line| words.iter().any(|word| line.starts_with(word)));
    let is_site = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
            && std::fs::read_to_string(path)
                .is_ok_and(|text| starts(&text, &["site:"]) && starts(&text, &["recipients:", "extends:"]))
    };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_site).collect();
    files.sort();
    files
}

fn decrypted(bytes: &[u8], keys: &Keys) -> Result<Vec<u8>, String> {
    if !is_encrypted(bytes) {
        return Err("it is not encrypted".into());
    }
    open(bytes.to_vec(), keys).map(|opened| opened.bytes)
}

fn edit(args: &SealArgs, file: &Path, global: &Global) -> Result<(), String> {
    let keys = args.keys.keys();
    let is_new = !file.exists();
    let before = if is_new { vec![] } else { read(file)? };
    let plain = if is_new { vec![] } else { decrypted(&before, &keys).map_err(not_yet)? };
    // Whatever is missing is told before somebody has typed anything.
    let form = form(args, file, Some(&before), global)?;
    let changed = in_editor(&plain, file)?;
    if changed == plain {
        errln!("{}: nothing was changed", file.display());
        return Ok(());
    }
    write(file, &seal(&changed, &form, &keys)?)
}

fn not_yet(reason: String) -> String {
    if reason == "it is not encrypted" { format!("{reason}: `lxdeploy secrets encrypt` does that") } else { reason }
}

/// A text as the user leaves it in the editor. It lies in memory meanwhile, where the system has a place for that, and
/// is for its owner alone.
fn in_editor(plain: &[u8], file: &Path) -> Result<Vec<u8>, String> {
    let in_memory = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).into_iter().chain(["/dev/shm".into()]);
    let place = in_memory.into_iter().find(|path| path.is_dir()).unwrap_or_else(std::env::temp_dir);
    let ending = file.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    let failed = |error: std::io::Error| error.to_string();
    let mut copy = tempfile::Builder::new().prefix("lxdeploy-").suffix(&ending).tempfile_in(place).map_err(failed)?;
    copy.write_all(plain).map_err(failed)?;
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into());
    // The editor may have arguments of its own: `code --wait`.
    let shell = ["-c", &format!("{editor} \"$1\""), "sh"];
    let status = std::process::Command::new("sh").args(shell).arg(copy.path()).status().map_err(failed)?;
    if !status.success() {
        return Err(format!("{editor}: {status}; the file is as it was"));
    }
    // Editors replace files: it is read by its name.
    std::fs::read(copy.path()).map_err(failed)
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    if file == Path::new("-") {
        let mut bytes = vec![];
        std::io::stdin().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        return Ok(bytes);
    }
    std::fs::read(file).map_err(|error| error.to_string())
}

/// Writes a file whole or not at all, with the mode that it has; a new one is for its owner.
fn write(file: &Path, bytes: &[u8]) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    if file == Path::new("-") {
        return std::io::stdout().write_all(bytes).map_err(failed);
    }
    // A link stays one.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let directory = file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    new.write_all(bytes).map_err(failed)?;
    let mode = std::fs::metadata(&file).map_or(0o600, |about| about.permissions().mode());
    new.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    new.as_file().sync_all().map_err(failed)?;
    new.persist(&file).map(|_| ()).map_err(|error| error.error.to_string())
}
