//! What templates render to, compared with Ansible itself on a corpus: `tests/templates/`. Needs Python and PyPI.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use lxdeploy::play::Library;
use lxdeploy::secrets::Keys;
use lxdeploy::template::ansible::{Engine, Error, Options, PathTest, Scope, Variable, has_marks, text};
use lxdeploy::template::{Value, ValueKind};
use serde_json::json;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/templates");

/// The variables of `vars.yml`, and the folder's files.
struct Corpus(lxdeploy::tasks::Map);

impl Scope for Corpus {
    fn variable(&self, name: &str) -> Option<Variable> {
        self.0.get(name).map(|value| Variable::Raw(value.clone()))
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn find_file(&self, kind: &str, name: &str) -> Result<PathBuf, String> {
        let mut places = [Path::new(FOLDER).join(kind).join(name), Path::new(FOLDER).join(name)].into_iter();
        places.find(|path| path.exists()).ok_or_else(|| format!("{name} is not there"))
    }

    fn read_file(&self, path: &Path) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| error.to_string())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let ending = pattern.rsplit('*').next().unwrap_or_default().to_owned();
        let files = std::fs::read_dir(Path::new(FOLDER).join("files")).map_err(|error| error.to_string())?;
        let mut files: Vec<PathBuf> = files.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.to_string_lossy().ends_with(&ending));
        files.sort();
        Ok(files)
    }

    fn password(&self, _: &str, content: &str) -> Result<String, String> {
        Ok(content.to_owned())
    }

    fn path_is(&self, path: &str, what: PathTest) -> bool {
        let path = Path::new(path);
        match what {
            PathTest::Exists => path.exists(),
            PathTest::File => path.is_file(),
            PathTest::Directory => path.is_dir(),
            PathTest::Link => path.is_symlink(),
        }
    }
}

/// The lines of `expressions.txt` that are cases.
fn expressions() -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(FOLDER).join("expressions.txt")).unwrap();
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).map(str::to_owned).collect()
}

/// The parts of `templates.txt`, with their titles.
fn templates() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(Path::new(FOLDER).join("templates.txt")).unwrap();
    let parts = text.split("\n===== ").skip(1);
    parts.map(|part| part.split_once('\n').unwrap()).map(|(title, body)| (title.to_owned(), body.to_owned())).collect()
}

/// A case as it stands in a playbook.
fn whole(expression: &str) -> String {
    if has_marks(expression) { expression.to_owned() } else { format!("{{{{ {expression} }}}}") }
}

/// A value as JSON; what JSON has no word for as Python prints it.
fn plain(value: &Value) -> serde_json::Value {
    match value.kind() {
        ValueKind::None => json!(null),
        ValueKind::Bool => json!(value.is_true()),
        ValueKind::Number if value.is_integer() => match i64::try_from(value.clone()) {
            Ok(number) => json!(number),
            Err(_) => json!({"integer": value.to_string()}),
        },
        ValueKind::Number => json!(f64::try_from(value.clone()).unwrap()),
        ValueKind::String => json!(text(value)),
        ValueKind::Seq | ValueKind::Iterable => value.try_iter().unwrap().map(|item| plain(&item)).collect(),
        ValueKind::Map => {
            let entry = |key: Value| (text(&key), plain(&value.get_item(&key).unwrap()));
            serde_json::Value::Object(value.try_iter().unwrap().map(entry).collect())
        }
        kind => json!({"kind": kind.to_string(), "text": text(value)}),
    }
}

/// What Ansible makes of the corpus.
fn of_ansible(expressions: &[String], templates: &[(String, String)]) -> serde_json::Value {
    let found = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ansible.sh")).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let python = Path::new(String::from_utf8(found.stdout).unwrap().trim()).join("bin/python");
    let cases = json!({
        "vars": Path::new(FOLDER).join("vars.yml"),
        "expressions": expressions,
        "templates": templates.iter().map(|(_, body)| body).collect::<Vec<_>>(),
    });
    let mut render = Command::new(python);
    render.arg(Path::new(FOLDER).join("render.py")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = render.spawn().unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), &cases).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "render.py failed: run it by hand");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Notes a case that comes out otherwise. Errors are compared by there being one.
fn compare(case: &str, theirs: &serde_json::Value, ours: Result<serde_json::Value, Error>, wrong: &mut Vec<String>) {
    match (&theirs["error"], ours) {
        (serde_json::Value::Null, Ok(ours)) if ours == theirs["value"] => {}
        (serde_json::Value::Null, Ok(ours)) => {
            wrong.push(format!("{case}\n  Ansible:  {}\n  lxdeploy: {ours}", theirs["value"]));
        }
        (serde_json::Value::Null, Err(error)) => {
            wrong.push(format!("{case}\n  Ansible:  {}\n  lxdeploy: {error}", theirs["value"]));
        }
        (error, Ok(ours)) => wrong.push(format!("{case}\n  Ansible:  {error}\n  lxdeploy: {ours}")),
        (_, Err(_)) => {}
    }
}

#[test]
fn as_ansible_renders_it() {
    let (expressions, templates) = (expressions(), templates());
    assert!(expressions.len() + templates.len() >= 300, "the corpus has shrunk");
    let theirs = of_ansible(&expressions, &templates);
    let library = Library::new(Rc::new(Keys::default()));
    let variables =
        library.variables(&Path::new(FOLDER).join("vars.yml"), None).unwrap_or_else(|error| panic!("{error:?}"));
    let scope: Rc<dyn Scope> = Rc::new(Corpus(variables));
    let engine = Engine::new();
    let file = |source: &str| engine.template("case", source, &Options::default(), &scope).map(|text| json!(text));
    let mut wrong = vec![];
    for (case, theirs) in expressions.iter().zip(theirs["expressions"].as_array().unwrap()) {
        let value = engine.render(&whole(case), &scope).map(|value| plain(&value));
        compare(case, &theirs[0], value, &mut wrong);
        compare(&format!("in a file: {case}"), &theirs[1], file(&format!("[{}]\n", whole(case))), &mut wrong);
    }
    for ((title, body), theirs) in templates.iter().zip(theirs["templates"].as_array().unwrap()) {
        compare(&format!("template: {title}"), theirs, file(body), &mut wrong);
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        expressions.len() * 2 + templates.len(),
        wrong.join("\n")
    );
}
