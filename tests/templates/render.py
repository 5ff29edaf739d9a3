"""What Ansible renders, as JSON: for each expression its value and the text of a template `[{{ … }}]`, for each
template file its text. Reads the cases from standard input: {"vars": PATH, "expressions": […], "templates": […]}."""
import json
import os
import sys

os.environ["ANSIBLE_DEPRECATION_WARNINGS"] = "0"
os.environ["TZ"] = "UTC"
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

init_plugin_loader([])
cases = json.load(sys.stdin)
here = os.path.dirname(os.path.abspath(cases["vars"]))
loader = DataLoader()
loader.set_basedir(here)
variables = loader.load_from_file(cases["vars"], trusted_as_template=True)
variables["ansible_search_path"] = [here]
variables["inventory_hostname"] = "host"


def plain(value):
    """What JSON can hold; floats stay floats, and keys become what Python prints."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return {"type": type(value).__name__, "text": str(value)}


def rendered(text):
    """A value of a playbook."""
    try:
        return {"value": plain(Templar(loader, dict(variables)).template(trust_as_template(text)))}
    except Exception as error:  # the sort of error is told by its text
        return {"error": f"{type(error).__name__}: {error}"}


def file(text):
    """A template file, as the action plugin `template` renders it."""
    search = [os.path.join(here, "templates"), here]
    templar = Templar(loader, dict(variables)).copy_with_new_env(searchpath=search, available_variables=dict(variables))
    overrides = {"trim_blocks": True, "lstrip_blocks": False, "newline_sequence": "\n"}
    try:
        value = templar.template(trust_as_template(text), escape_backslashes=False, overrides=overrides)
        return {"value": "" if value is None else str(value)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def whole(expression):
    return expression if any(mark in expression for mark in ("{{", "{%", "{#")) else "{{ " + expression + " }}"


json.dump(
    {
        "expressions": [[rendered(whole(case)), file("[" + whole(case) + "]\n")] for case in cases["expressions"]],
        "templates": [file(case) for case in cases["templates"]],
    },
    sys.stdout,
)
