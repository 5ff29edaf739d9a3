//! Lists and dictionaries that a template changes in place: `{% set _ = l.append(x) %}`.

use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::words::Words;
use super::wrong;

pub(super) fn add(words: &mut Words<'_>) {
    words.add_function("__changeable", |value: Value| changeable(&value));
}

/// A copy that can be changed; other values, and what can be changed already, as they are.
fn changeable(value: &Value) -> Value {
    if value.downcast_object_ref::<List>().is_some() || value.downcast_object_ref::<Dict>().is_some() {
        return value.clone();
    }
    match value.kind() {
        ValueKind::Seq => {
            let items = value.try_iter().map(|items| items.map(|item| changeable(&item)).collect());
            Value::from_object(List(Mutex::new(items.unwrap_or_default())))
        }
        // `namespace()` and its like are objects of their own.
        ValueKind::Map if value.as_object().is_none_or(|object| object.type_name().contains("Map")) => {
            let entry = |key: Value| (key.clone(), changeable(&value.get_item(&key).unwrap_or_default()));
            let entries = value.try_iter().map(|keys| keys.map(entry).collect());
            Value::from_object(Dict(Mutex::new(entries.unwrap_or_default())))
        }
        _ => value.clone(),
    }
}

/// The value where a lock was left by a panic is as good as any.
macro_rules! open {
    ($mutex:expr) => {
        $mutex.lock().unwrap_or_else(PoisonError::into_inner)
    };
}

#[derive(Debug)]
struct List(Mutex<Vec<Value>>);

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        open!(self.0).get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(open!(self.0).len())
    }

    fn call_method(self: &Arc<Self>, state: &mut State, method: &str, args: &[Value]) -> Result<Value, Error> {
        let first = || args.first().map(changeable).ok_or_else(|| Error::from(ErrorKind::MissingArgument));
        let place = |length: usize, index: i64| {
            let index = if index < 0 { i64::try_from(length).unwrap_or(0) + index } else { index };
            usize::try_from(index).unwrap_or(0)
        };
        let none = Ok(Value::from(()));
        match method {
            "append" => open!(self.0).push(first()?),
            "extend" => {
                let more: Vec<Value> = first()?.try_iter()?.collect();
                open!(self.0).extend(more);
            }
            "insert" => {
                let value = args.get(1).map(changeable).ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
                let mut items = open!(self.0);
                let at = place(items.len(), first()?.as_i64().unwrap_or(0)).min(items.len());
                items.insert(at, value);
            }
            "pop" => {
                let mut items = open!(self.0);
                let at = place(items.len(), args.first().and_then(Value::as_i64).unwrap_or(-1));
                if at >= items.len() {
                    return Err(wrong("pop from an empty list, or index out of range"));
                }
                return Ok(items.remove(at));
            }
            "remove" => {
                let value = first()?;
                let mut items = open!(self.0);
                let at = items
                    .iter()
                    .position(|item| *item == value)
                    .ok_or_else(|| wrong("the value is not in the list"))?;
                items.remove(at);
            }
            "clear" => open!(self.0).clear(),
            "reverse" => open!(self.0).reverse(),
            "sort" => open!(self.0).sort(),
            _ => {
                let items = open!(self.0).clone();
                return Value::from(items).call_method(state, method, args);
            }
        }
        none
    }
}

#[derive(Debug)]
struct Dict(Mutex<IndexMap<Value, Value>>);

impl Object for Dict {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        open!(self.0).get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(open!(self.0).keys().cloned().collect())
    }

    fn call_method(self: &Arc<Self>, state: &mut State, method: &str, args: &[Value]) -> Result<Value, Error> {
        let first = || args.first().cloned().ok_or_else(|| Error::from(ErrorKind::MissingArgument));
        let second = || args.get(1).map(changeable);
        match method {
            "update" => {
                let more = first()?;
                let entry = |key: Value| Ok::<_, Error>((key.clone(), changeable(&more.get_item(&key)?)));
                let entries = more.try_iter()?.map(entry).collect::<Result<Vec<_>, _>>()?;
                open!(self.0).extend(entries);
            }
            "pop" => {
                return match (open!(self.0).shift_remove(&first()?), second()) {
                    (Some(value), _) | (None, Some(value)) => Ok(value),
                    (None, None) => Err(wrong(format!("there is no key {}", first()?))),
                };
            }
            "setdefault" => {
                let value = second().unwrap_or_else(|| Value::from(()));
                return Ok(open!(self.0).entry(first()?).or_insert(value).clone());
            }
            "clear" => open!(self.0).clear(),
            _ => {
                let entries = open!(self.0).clone();
                return Value::from_pairs(entries).call_method(state, method, args);
            }
        }
        Ok(Value::from(()))
    }
}
