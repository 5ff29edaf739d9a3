//! A role's argument specification.

use crate::play::library::{entries, listed};
use crate::play::scope::View;
use crate::tasks::{Failure, Map};
use crate::template::ansible::{Engine, as_bool, text, truth};
use crate::template::{Value, ValueKind};

/// Checks a role's variables against what it says they are to be.
pub fn validate(engine: &Engine, view: &View, args: &Map) -> Result<&'static str, Failure> {
    let mut errors = vec![];
    let options = args.get("argument_spec").map(entries).unwrap_or_default();
    let mut missing = vec![];
    for (name, spec) in &options {
        let scope = view.scope();
        let value = match scope.variable(name) {
            None => None,
            Some(_) => Some(engine.evaluate(name, &scope).map_err(|error| crate::play::controller::failure(&error))?),
        };
        check(name, value.as_ref(), spec, &mut missing, &mut errors);
    }
    if !missing.is_empty() {
        missing.sort();
        errors.insert(0, format!("missing required arguments: {}", missing.join(", ")));
    }
    if errors.is_empty() {
        return Ok("The arg spec validation passed");
    }
    Err(Failure::new(format!("Validation of arguments failed:\n{}", errors.join("\n")))
        .with("argument_errors", Value::from(errors)))
}

fn check(name: &str, value: Option<&Value>, spec: &Value, missing: &mut Vec<String>, errors: &mut Vec<String>) {
    let rule = |name: &str| spec.get_attr(name).ok().filter(|value| !value.is_undefined() && !value.is_none());
    let Some(value) = value.filter(|value| !value.is_none()) else {
        if rule("required").is_some_and(|required| truth(&as_bool(&required))) {
            missing.push(name.to_owned());
        }
        return;
    };
    let kind = rule("type").map_or_else(|| "str".to_owned(), |kind| text(&kind));
    if !is(value, &kind) {
        let shown: String = text(value).chars().take(60).collect();
        errors.push(format!(
            "argument '{name}' is of type {} and we were unable to convert to {kind}: {shown}",
            type_of(value)
        ));
        return;
    }
    if let Some(choices) = rule("choices") {
        let choices: Vec<String> = listed(&choices).iter().map(text).collect();
        let wrong: Vec<String> = match kind.as_str() {
            "list" => listed(value).iter().map(text).filter(|item| !choices.contains(item)).collect(),
            _ => Some(text(value)).filter(|item| !choices.contains(item)).into_iter().collect(),
        };
        if let Some(wrong) = wrong.first() {
            errors.push(format!("value of {name} must be one of: {}, got: {wrong}", choices.join(", ")));
        }
    }
    if let Some(elements) = rule("elements") {
        let elements = text(&elements);
        for item in listed(value).iter().filter(|item| !is(item, &elements)) {
            errors.push(format!(
                "Elements value for option '{name}' is of type {} and we were unable to convert to {elements}",
                type_of(item)
            ));
        }
    }
    if let Some(options) = rule("options") {
        let items = if kind == "list" { listed(value) } else { vec![value.clone()] };
        for item in items.iter().filter(|item| item.kind() == ValueKind::Map) {
            let mut inner = vec![];
            for (option, spec) in entries(&options) {
                let value = item.get_attr(&option).ok().filter(|value| !value.is_undefined());
                check(&option, value.as_ref(), &spec, &mut inner, errors);
            }
            for key in entries(item).keys().filter(|key| !entries(&options).contains_key(*key)) {
                errors.push(format!("{name}: Unsupported parameters: {key}"));
            }
            if !inner.is_empty() {
                errors.push(format!("missing required arguments: {} found in {name}", inner.join(", ")));
            }
        }
    }
}

/// Can the value be had as this type?
fn is(value: &Value, kind: &str) -> bool {
    let written = text(value);
    match kind {
        "list" => !matches!(value.kind(), ValueKind::Map),
        "dict" => value.kind() == ValueKind::Map || written.contains('=') || written.starts_with('{'),
        "bool" => {
            as_bool(value).kind() == ValueKind::Bool
                && value.kind() != ValueKind::Seq
                && value.kind() != ValueKind::Map
                && ["yes", "no", "on", "off", "1", "0", "true", "false", "t", "f", "y", "n"]
                    .contains(&written.to_lowercase().as_str())
        }
        "int" => written.trim().parse::<i64>().is_ok(),
        "float" => written.trim().parse::<f64>().is_ok(),
        "str" | "path" => !matches!(value.kind(), ValueKind::Map | ValueKind::Seq),
        _ => true,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Bool => "<class 'bool'>",
        ValueKind::Number if value.is_integer() => "<class 'int'>",
        ValueKind::Number => "<class 'float'>",
        ValueKind::Map => "<class 'dict'>",
        ValueKind::Seq => "<class 'list'>",
        _ => "<class 'str'>",
    }
}
