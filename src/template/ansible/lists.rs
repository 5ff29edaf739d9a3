//! Filters on lists and maps.

use indexmap::IndexMap;
use minijinja::Error;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};

use super::convert::{text, truth};
use super::words::Words;
use super::wrong;

pub(super) fn add(words: &mut Words<'_>) {
    words.add_filter("combine", combine);
    words.add_filter("dict2items", |value: &Value, kwargs: Kwargs| {
        let (key, val) = names(&kwargs)?;
        if value.kind() != ValueKind::Map {
            return Err(wrong(format!("dict2items requires a dictionary, got {}", value.kind())));
        }
        let item = |name: Value| {
            let item = value.get_item(&name)?;
            Ok::<_, Error>(crate::template::map([(key.clone(), name), (val.clone(), item)]))
        };
        value.try_iter()?.map(item).collect::<Result<Vec<_>, _>>().map(Value::from)
    });
    words.add_filter("items2dict", |value: &Value, kwargs: Kwargs| {
        let (key, val) = names(&kwargs)?;
        let pair = |item: Value| {
            let (name, value) = (item.get_attr(&key)?, item.get_attr(&val)?);
            if name.is_undefined() || value.is_undefined() {
                return Err(wrong(format!("items2dict requires each item to have '{key}' and '{val}'")));
            }
            Ok((name, value))
        };
        value.try_iter()?.map(pair).collect::<Result<Vec<_>, _>>().map(Value::from_pairs)
    });
    words.add_filter("dict", |value: &Value| Ok::<_, Error>(Value::from_pairs(dict_of(value)?)));
    words.add_function("dict", |value: Option<Value>, kwargs: Kwargs| {
        let mut entries = value.map_or(Ok(vec![]), |value| dict_of(&value))?;
        for name in kwargs.args() {
            entries.push((Value::from(name), kwargs.get(name)?));
        }
        Ok::<_, Error>(Value::from_pairs(entries))
    });
    words.add_filter("flatten", |value: &Value, levels: Option<i64>, kwargs: Kwargs| {
        let levels = kwargs.get::<Option<i64>>("levels")?.or(levels).unwrap_or(-1);
        let skip = kwargs.get::<Option<bool>>("skip_nulls")?.unwrap_or(true);
        kwargs.assert_all_used()?;
        let mut out = vec![];
        flatten(value, levels, skip, &mut out)?;
        Ok::<_, Error>(Value::from(out))
    });
    words.add_filter("unique", |value: &Value, kwargs: Kwargs| {
        let attribute = kwargs.get::<Option<String>>("attribute")?;
        // Without a word about case, as Python's `set` has it.
        let folds = kwargs.get::<Option<bool>>("case_sensitive")? == Some(false);
        kwargs.assert_all_used()?;
        let mut seen: Vec<Value> = vec![];
        let mut out = vec![];
        for item in value.try_iter()? {
            let key = attribute.as_ref().map_or(Ok(item.clone()), |name| item.get_attr(name))?;
            let key = if folds { folded(&key) } else { key };
            if !seen.contains(&key) {
                seen.push(key);
                out.push(item);
            }
        }
        Ok::<_, Error>(Value::from(out))
    });
    words.add_filter("union", |a: &Value, b: &Value| distinct(items(a)?.into_iter().chain(items(b)?)));
    words.add_filter("intersect", |a: &Value, b: &Value| {
        let b = items(b)?;
        distinct(items(a)?.into_iter().filter(|item| b.contains(item)))
    });
    words.add_filter("difference", |a: &Value, b: &Value| {
        let b = items(b)?;
        distinct(items(a)?.into_iter().filter(|item| !b.contains(item)))
    });
    words.add_filter("symmetric_difference", |a: &Value, b: &Value| {
        let (a, b) = (items(a)?, items(b)?);
        let (only_a, only_b) = (a.iter().filter(|item| !b.contains(item)), b.iter().filter(|item| !a.contains(item)));
        distinct(only_a.chain(only_b).cloned())
    });
    words.add_filter("zip", |first: &Value, rest: Rest<Value>| {
        let lists = std::iter::once(items(first)).chain(rest.iter().map(items)).collect::<Result<Vec<_>, _>>()?;
        let count = lists.iter().map(Vec::len).min().unwrap_or(0);
        Ok::<_, Error>(Value::from(
            (0..count)
                .map(|n| Value::from(lists.iter().map(|list| list[n].clone()).collect::<Vec<_>>()))
                .collect::<Vec<_>>(),
        ))
    });
    words.add_filter("zip_longest", |first: &Value, rest: Rest<Value>, kwargs: Kwargs| {
        let fill = kwargs.get::<Option<Value>>("fillvalue")?.unwrap_or(Value::from(()));
        let lists = std::iter::once(items(first)).chain(rest.iter().map(items)).collect::<Result<Vec<_>, _>>()?;
        let count = lists.iter().map(Vec::len).max().unwrap_or(0);
        let row = |n: usize| {
            Value::from(
                lists.iter().map(|list| list.get(n).cloned().unwrap_or_else(|| fill.clone())).collect::<Vec<_>>(),
            )
        };
        Ok::<_, Error>(Value::from((0..count).map(row).collect::<Vec<_>>()))
    });
    words.add_filter("product", |first: &Value, rest: Rest<Value>, kwargs: Kwargs| {
        let repeat = kwargs.get::<Option<usize>>("repeat")?.unwrap_or(1);
        let lists = std::iter::once(items(first)).chain(rest.iter().map(items)).collect::<Result<Vec<_>, _>>()?;
        let lists: Vec<Vec<Value>> = std::iter::repeat_n(lists, repeat).flatten().collect();
        Ok::<_, Error>(Value::from(product(&lists)))
    });
    words.add_filter("permutations", |value: &Value, size: Option<usize>| {
        let list = items(value)?;
        let size = size.unwrap_or(list.len());
        let mut out = vec![];
        permute(&list, size, &mut vec![], &mut out);
        Ok::<_, Error>(Value::from(out))
    });
    words.add_filter("combinations", |value: &Value, size: usize| {
        let list = items(value)?;
        let mut out = vec![];
        choose(&list, size, 0, &mut vec![], &mut out);
        Ok::<_, Error>(Value::from(out))
    });
    words.add_filter("extract", |key: &Value, container: &Value, more: Option<Value>| {
        let mut found = container.get_item(key)?;
        match more {
            Some(more) if more.kind() == ValueKind::Seq => {
                for key in more.try_iter()? {
                    found = found.get_item(&key)?;
                }
            }
            Some(more) => found = found.get_item(&more)?,
            None => {}
        }
        Ok::<_, Error>(found)
    });
    words.add_filter("subelements", |value: &Value, path: &Value, kwargs: Kwargs| {
        let skip = kwargs.get::<Option<bool>>("skip_missing")?.unwrap_or(false);
        subelements(value, &text(path), skip)
    });
    words.add_filter("rekey_on_member", |value: &Value, key: &str| {
        let list = if value.kind() == ValueKind::Map {
            value.try_iter()?.map(|name| value.get_item(&name)).collect::<Result<Vec<_>, _>>()?
        } else {
            items(value)?
        };
        let pair = |item: Value| Ok::<_, Error>((item.get_attr(key)?, item));
        list.into_iter().map(pair).collect::<Result<Vec<_>, _>>().map(Value::from_pairs)
    });
    words.add_filter("dictsort", |value: &Value, rest: Rest<Value>, kwargs: Kwargs| {
        let given = |name: &str, place: usize| {
            Ok::<_, Error>(kwargs.get::<Option<Value>>(name)?.or_else(|| rest.get(place).cloned()))
        };
        let is_sensitive = given("case_sensitive", 0)?.is_some_and(|value| truth(&value));
        let by_value = given("by", 1)?.is_some_and(|by| by.as_str() == Some("value"));
        let reverse = given("reverse", 2)?.is_some_and(|value| truth(&value));
        kwargs.assert_all_used()?;
        let mut pairs =
            value.try_iter()?.map(|key| Ok((key.clone(), value.get_item(&key)?))).collect::<Result<Vec<_>, Error>>()?;
        let key = |value: &Value| if is_sensitive { value.clone() } else { folded(value) };
        pairs.sort_by(|a, b| if by_value { key(&a.1).cmp(&key(&b.1)) } else { key(&a.0).cmp(&key(&b.0)) });
        if reverse {
            pairs.reverse();
        }
        Ok::<_, Error>(Value::from(
            pairs.into_iter().map(|(key, value)| Value::from(vec![key, value])).collect::<Vec<_>>(),
        ))
    });
    words.add_filter("json_query", |_: &Value| -> Result<Value, Error> {
        Err(wrong("json_query needs Python's jmespath; use selectattr, map and items in its place"))
    });
    for (name, wanted) in [("any", true), ("all", false)] {
        words.add_test(name, move |value: &Value| -> Result<bool, Error> {
            if wanted { super::texts::any(value) } else { Ok(value.try_iter()?.all(|item| truth(&item))) }
        });
    }
}

/// The entries of a dictionary, or of a list of pairs.
pub(super) fn dict_of(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    if value.kind() == ValueKind::Map {
        return value.try_iter()?.map(|key| Ok((key.clone(), value.get_item(&key)?))).collect();
    }
    value.try_iter()?.map(|pair| Ok((pair.get_item_by_index(0)?, pair.get_item_by_index(1)?))).collect()
}

/// A text without its case.
fn folded(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| Value::from(text.to_lowercase()))
}

fn names(kwargs: &Kwargs) -> Result<(String, String), Error> {
    let key = kwargs.get::<Option<String>>("key_name")?.unwrap_or_else(|| "key".into());
    let value = kwargs.get::<Option<String>>("value_name")?.unwrap_or_else(|| "value".into());
    kwargs.assert_all_used()?;
    Ok((key, value))
}

pub(super) fn items(value: &Value) -> Result<Vec<Value>, Error> {
    if value.is_undefined() {
        return Err(Error::from(minijinja::ErrorKind::UndefinedError));
    }
    Ok(value.try_iter()?.collect())
}

fn distinct(values: impl Iterator<Item = Value>) -> Result<Value, Error> {
    let mut out: Vec<Value> = vec![];
    for value in values {
        if !out.contains(&value) {
            out.push(value);
        }
    }
    Ok(Value::from(out))
}

fn flatten(value: &Value, levels: i64, skip: bool, out: &mut Vec<Value>) -> Result<(), Error> {
    for item in value.try_iter()? {
        let is_null = item.is_none() || item.as_str().is_some_and(|text| text == "None" || text == "null");
        if skip && is_null {
            continue;
        }
        if item.kind() == ValueKind::Seq && levels != 0 {
            flatten(&item, levels - 1, skip, out)?;
        } else {
            out.push(item);
        }
    }
    Ok(())
}

pub(super) fn product(lists: &[Vec<Value>]) -> Vec<Value> {
    let rows = lists.iter().fold(vec![vec![]], |rows: Vec<Vec<Value>>, list| {
        rows.iter()
            .flat_map(|row| list.iter().map(move |item| row.iter().cloned().chain([item.clone()]).collect()))
            .collect()
    });
    rows.into_iter().map(Value::from).collect()
}

fn permute(list: &[Value], size: usize, chosen: &mut Vec<usize>, out: &mut Vec<Value>) {
    if chosen.len() == size {
        out.push(Value::from(chosen.iter().map(|index| list[*index].clone()).collect::<Vec<_>>()));
        return;
    }
    for index in 0..list.len() {
        if !chosen.contains(&index) {
            chosen.push(index);
            permute(list, size, chosen, out);
            chosen.pop();
        }
    }
}

fn choose(list: &[Value], size: usize, from: usize, chosen: &mut Vec<usize>, out: &mut Vec<Value>) {
    if chosen.len() == size {
        out.push(Value::from(chosen.iter().map(|index| list[*index].clone()).collect::<Vec<_>>()));
        return;
    }
    for index in from..list.len() {
        chosen.push(index);
        choose(list, size, index + 1, chosen, out);
        chosen.pop();
    }
}

/// Pairs of each element and each of its parts at a path.
pub(super) fn subelements(value: &Value, path: &str, skip: bool) -> Result<Value, Error> {
    let elements = if value.kind() == ValueKind::Map {
        value.try_iter()?.map(|name| value.get_item(&name)).collect::<Result<Vec<_>, _>>()?
    } else {
        items(value)?
    };
    let mut out = vec![];
    for element in elements {
        let mut found = element.clone();
        for name in path.split('.') {
            found = if found.is_undefined() { found } else { found.get_attr(name)? };
        }
        if found.is_undefined() {
            if skip {
                continue;
            }
            return Err(wrong(format!("could not find '{path}' key in iterated item {}", text(&element))));
        }
        for part in found.try_iter()? {
            out.push(Value::from(vec![element.clone(), part]));
        }
    }
    Ok(Value::from(out))
}

/// How lists in both maps are put together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    Replace,
    Keep,
    Append,
    Prepend,
    AppendRp,
    PrependRp,
}

fn combine(first: &Value, rest: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let recursive = kwargs.get::<Option<Value>>("recursive")?.is_some_and(|value| truth(&value));
    let lists = match kwargs.get::<Option<String>>("list_merge")?.as_deref() {
        None | Some("replace") => Lists::Replace,
        Some("keep") => Lists::Keep,
        Some("append") => Lists::Append,
        Some("prepend") => Lists::Prepend,
        Some("append_rp") => Lists::AppendRp,
        Some("prepend_rp") => Lists::PrependRp,
        Some(other) => return Err(wrong(format!("list_merge cannot be {other}"))),
    };
    kwargs.assert_all_used()?;
    let mut maps = vec![];
    for value in std::iter::once(first).chain(rest.iter()) {
        match value.kind() {
            ValueKind::Undefined => return Err(Error::from(minijinja::ErrorKind::UndefinedError)),
            ValueKind::Map => maps.push(value.clone()),
            ValueKind::Seq | ValueKind::Iterable => maps.extend(value.try_iter()?),
            _ => return Err(wrong(format!("failed to combine variables, expected dicts but got {}", text(value)))),
        }
    }
    let mut maps = maps.into_iter();
    let Some(mut merged) = maps.next() else { return Ok(crate::template::map([] as [(String, Value); 0])) };
    for map in maps {
        merged = merge(&merged, &map, recursive, lists)?;
    }
    Ok(merged)
}

fn merge(low: &Value, high: &Value, recursive: bool, lists: Lists) -> Result<Value, Error> {
    let mut out: IndexMap<Value, Value> = IndexMap::new();
    for key in low.try_iter()? {
        out.insert(key.clone(), low.get_item(&key)?);
    }
    for key in high.try_iter()? {
        let value = high.get_item(&key)?;
        let merged = match out.get(&key) {
            Some(known) if recursive && known.kind() == ValueKind::Map && value.kind() == ValueKind::Map => {
                merge(known, &value, recursive, lists)?
            }
            Some(known) if known.kind() == ValueKind::Seq && value.kind() == ValueKind::Seq => {
                let (known_items, new) = (items(known)?, items(&value)?);
                let without = |from: &[Value], gone: &[Value]| {
                    from.iter().filter(|item| !gone.contains(item)).cloned().collect::<Vec<_>>()
                };
                match lists {
                    Lists::Replace => value,
                    Lists::Keep => known.clone(),
                    Lists::Append => Value::from([known_items, new].concat()),
                    Lists::Prepend => Value::from([new, known_items].concat()),
                    Lists::AppendRp => Value::from([without(&known_items, &new), new].concat()),
                    Lists::PrependRp => Value::from([new.clone(), without(&known_items, &new)].concat()),
                }
            }
            _ => value,
        };
        out.insert(key, merged);
    }
    Ok(Value::from(out))
}
