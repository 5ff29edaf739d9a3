//! Arguments as Ansible takes them: `yes` is true, `"8"` is 8, `a,b` is a list, and 8 is the text `8`.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::{Failure, Map};
use crate::diagnostic::nearest;
use crate::template::{Value, ValueKind};

/// What is wrong with a task's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgsError {
    /// The argument, where it is one.
    pub name: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "`{name}`: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ArgsError {}

impl de::Error for ArgsError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ArgsError { name: None, message: message.to_string() }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let help = match nearest(field, expected.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", expected.join(", ")),
        };
        ArgsError { name: None, message: format!("there is no argument `{field}`; {help}") }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        ArgsError { name: None, message: format!("`{variant}` is not one of {}", expected.join(", ")) }
    }

    fn missing_field(field: &'static str) -> Self {
        ArgsError { name: None, message: format!("the argument `{field}` is missing") }
    }

    fn duplicate_field(field: &'static str) -> Self {
        ArgsError { name: None, message: format!("`{field}` is given twice, once under another name") }
    }
}

/// Arguments as a module's own type. Null is as if the argument were not there.
///
/// # Errors
/// The first that is wrong.
pub fn decode<T: DeserializeOwned>(args: &Map) -> Result<T, ArgsError> {
    let entries = args.iter().filter(|(_, value)| !value.is_none() && !value.is_undefined());
    T::deserialize(Top { entries: entries.collect() })
}

/// An argument that is `true`, `yes`, `1` and their like.
pub type Flag = bool;

/// A whole number; a text that holds one will do.
pub type Int = i64;

/// A list of texts; one text is a list of what its commas separate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextList(pub Vec<String>);

impl std::ops::Deref for TextList {
    type Target = Vec<String>;

    fn deref(&self) -> &Vec<String> {
        &self.0
    }
}

impl<'de> Deserialize<'de> for TextList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(deserializer).map(TextList)
    }
}

/// File permissions as a user writes them: `"0644"`, `0644` (which YAML reads as 420), `u=rw,g=r`, `preserve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// These.
    Octal(u32),
    /// These changes to what there is.
    Symbolic(String),
    /// Those of the file that is copied.
    Preserve,
}

impl Mode {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || Failure::new(format!("`{text}` is no mode; write \"0644\" in quotes, or u=rw,g=r,o=r"));
        if text == "preserve" {
            return Ok(Mode::Preserve);
        }
        let digits = text.strip_prefix("0o").unwrap_or(text);
        if let Ok(mode) = u32::from_str_radix(digits, 8) {
            return if mode <= 0o7777 { Ok(Mode::Octal(mode)) } else { Err(wrong()) };
        }
        let mode = Mode::Symbolic(text.to_owned());
        mode.resolve(0, false).map(|_| mode).map_err(|_| wrong())
    }

    /// The permissions that are meant, of a file that has `current`.
    ///
    /// # Errors
    /// It is no mode.
    pub fn resolve(&self, current: u32, is_directory: bool) -> Result<u32, Failure> {
        match self {
            Mode::Octal(mode) => Ok(*mode),
            Mode::Preserve => Ok(current),
            Mode::Symbolic(text) => {
                text.split(',').try_fold(current, |mode, clause| clause_of(clause, mode, is_directory))
            }
        }
    }
}

/// One clause of chmod's language: `u+x`, `go=`, `a+rX`. Without a letter before the operator it is for all (Ansible
/// subtracts the umask there; so does this with 022).
fn clause_of(clause: &str, mode: u32, is_directory: bool) -> Result<u32, Failure> {
    let wrong = || Failure::new(format!("`{clause}` is no mode"));
    let at = clause.find(['+', '-', '=']).ok_or_else(wrong)?;
    let (who, mut rest) = clause.split_at(at);
    if !who.chars().all(|c| "ugoa".contains(c)) {
        return Err(wrong());
    }
    let is_for = |c: char| who.is_empty() || who.contains(c) || who.contains('a');
    let umask = if who.is_empty() { 0o022 } else { 0 };
    let mut mode = mode;
    while let Some(operator) = rest.chars().next() {
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |end| end + 1);
        let permissions = &rest[1..end];
        rest = &rest[end..];
        let (mut bits, mut mask) = (0, 0);
        for (who, shift, special) in [('u', 6, 0o4000), ('g', 3, 0o2000), ('o', 0, 0o1000)] {
            if !is_for(who) {
                continue;
            }
            mask |= 0o7 << shift;
            if who != 'o' {
                mask |= special;
            }
            for permission in permissions.chars() {
                bits |= match permission {
                    'r' => 0o4 << shift,
                    'w' => 0o2 << shift,
                    'x' => 0o1 << shift,
                    'X' if is_directory || mode & 0o111 != 0 => 0o1 << shift,
                    'X' => 0,
                    's' if who == 'o' => 0,
                    's' => special,
                    't' => 0o1000,
                    'u' => (mode >> 6 & 0o7) << shift,
                    'g' => (mode >> 3 & 0o7) << shift,
                    'o' => (mode & 0o7) << shift,
                    _ => return Err(wrong()),
                };
            }
        }
        let bits = bits & !umask;
        mode = match operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            // The special bits of a directory stay unless they are named.
            _ => mode & !(if is_directory { mask & 0o777 } else { mask }) | bits,
        };
    }
    Ok(mode)
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Wants;
        impl Visitor<'_> for Wants {
            type Value = Mode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mode such as \"0644\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                Mode::parse(text).map_err(|failure| E::custom(failure.message))
            }

            fn visit_i64<E: de::Error>(self, mode: i64) -> Result<Mode, E> {
                match u32::try_from(mode) {
                    Ok(mode) if mode <= 0o7777 => Ok(Mode::Octal(mode)),
                    _ => Err(E::custom(format!("{mode} is no mode; write \"0644\" in quotes"))),
                }
            }
        }
        deserializer.deserialize_any(Wants)
    }
}

struct Top<'a> {
    entries: Vec<(&'a String, &'a Value)>,
}

impl<'de> Deserializer<'de> for Top<'_> {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_map(TopEntries { entries: self.entries.into_iter(), value: None })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct TopEntries<'a> {
    entries: std::vec::IntoIter<(&'a String, &'a Value)>,
    value: Option<(&'a String, &'a Value)>,
}

impl<'de> MapAccess<'de> for TopEntries<'_> {
    type Error = ArgsError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ArgsError> {
        self.value = self.entries.next();
        let Some((name, _)) = self.value else { return Ok(None) };
        seed.deserialize(name.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ArgsError> {
        let Some((name, value)) = self.value.take() else { return Err(de::Error::custom("a value without a key")) };
        seed.deserialize(De(value))
            .map_err(|error| ArgsError { name: error.name.or_else(|| Some(name.clone())), ..error })
    }
}

/// One argument's value.
struct De<'a>(&'a Value);

impl De<'_> {
    fn wants<T>(&self, what: &str) -> Result<T, ArgsError> {
        let shown: String = self.0.to_string().chars().take(60).collect();
        Err(de::Error::custom(format!("{what} is wanted, and this is `{shown}`")))
    }

    fn text(&self) -> Result<String, ArgsError> {
        match self.0.kind() {
            ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => self.wants("text"),
            _ => Ok(self.0.to_string()),
        }
    }

    fn int(&self) -> Result<i64, ArgsError> {
        if let Ok(int) = i64::try_from(self.0.clone()) {
            return Ok(int);
        }
        let text = self.0.as_str().map(str::trim);
        text.and_then(|text| text.parse().ok()).map_or_else(|| self.wants("a whole number"), Ok)
    }

    fn list(&self) -> Result<Vec<Value>, ArgsError> {
        match self.0.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                self.0.try_iter().map(Iterator::collect).map_err(|error| de::Error::custom(error.to_string()))
            }
            ValueKind::Map => Ok(vec![self.0.clone()]),
            ValueKind::String => {
                let text = self.0.as_str().unwrap_or_default();
                Ok(if text.is_empty() { vec![] } else { text.split(',').map(|part| part.trim().into()).collect() })
            }
            _ => Ok(vec![self.0.to_string().into()]),
        }
    }
}

macro_rules! ints {
    ($($method:ident $visit:ident $type:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
            let int = self.int()?;
            match <$type>::try_from(int) {
                Ok(int) => visitor.$visit(int),
                Err(_) => Err(de::Error::custom(format!("{int} is out of range"))),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for De<'_> {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.0.kind() {
            ValueKind::Undefined | ValueKind::None => visitor.visit_unit(),
            ValueKind::Bool => visitor.visit_bool(self.0.is_true()),
            ValueKind::Number => match i64::try_from(self.0.clone()) {
                Ok(int) if self.0.is_integer() => visitor.visit_i64(int),
                _ => visitor.visit_f64(f64::try_from(self.0.clone()).unwrap_or_default()),
            },
            ValueKind::Map => self.deserialize_map(visitor),
            ValueKind::Seq | ValueKind::Iterable => self.deserialize_seq(visitor),
            _ => visitor.visit_string(self.text()?),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        if self.0.kind() == ValueKind::Bool {
            return visitor.visit_bool(self.0.is_true());
        }
        match self.0.to_string().trim().to_ascii_lowercase().as_str() {
            "yes" | "on" | "1" | "1.0" | "true" | "y" | "t" => visitor.visit_bool(true),
            "no" | "off" | "0" | "0.0" | "false" | "n" | "f" => visitor.visit_bool(false),
            _ => self.wants("true or false"),
        }
    }

    ints!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    );

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        let number = f64::try_from(self.0.clone()).ok().or_else(|| self.0.as_str()?.trim().parse().ok());
        number.map_or_else(|| self.wants("a number"), |number| visitor.visit_f64(number))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        if self.0.is_none() || self.0.is_undefined() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_seq(Items(self.list()?.into_iter()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        if self.0.kind() != ValueKind::Map {
            return self.wants("a map");
        }
        let keys = self.0.try_iter().map_err(|error| ArgsError { name: None, message: error.to_string() })?;
        let entries: IndexMap<String, Value> =
            keys.map(|key| (key.to_string(), self.0.get_item(&key).unwrap_or_default())).collect();
        visitor.visit_map(TopEntries { entries: entries.iter().collect::<Vec<_>>().into_iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        // A choice such as `yes` may have been read as a boolean.
        visitor.visit_enum(self.text()?.into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { char bytes byte_buf unit unit_struct tuple tuple_struct identifier i128 u128 }
}

struct Items(std::vec::IntoIter<Value>);

impl<'de> SeqAccess<'de> for Items {
    type Error = ArgsError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ArgsError> {
        self.0.next().map(|value| seed.deserialize(De(&value))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Args {
        #[serde(alias = "dest")]
        path: String,
        mode: Option<Mode>,
        #[serde(default)]
        force: Flag,
        #[serde(default)]
        tries: Int,
        #[serde(default)]
        names: TextList,
        #[serde(default)]
        state: State,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum State {
        #[default]
        Present,
        Absent,
    }

    fn read(pairs: &[(&str, Value)]) -> Result<Args, String> {
        let args: Map = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        decode(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_what_they_are_wanted_to_be() {
        let args = read(&[
            ("dest", 8.into()),
            ("mode", 420.into()),
            ("force", "yes".into()),
            ("tries", "3".into()),
            ("names", "a, b".into()),
            ("state", "absent".into()),
        ]);
        let names = TextList(vec!["a".into(), "b".into()]);
        let mode = Some(Mode::Octal(0o644));
        assert_eq!(args, Ok(Args { path: "8".into(), mode, force: true, tries: 3, names, state: State::Absent }));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |pairs: &[(&str, Value)]| read(pairs).unwrap_err();
        assert_eq!(error(&[("pth", "a".into())]), "there is no argument `pth`; did you mean `path`?");
        assert_eq!(error(&[]), "the argument `path` is missing");
        assert_eq!(
            error(&[("path", "a".into()), ("force", "maybe".into())]),
            "`force`: true or false is wanted, and this is `maybe`"
        );
        assert_eq!(
            error(&[("path", "a".into()), ("state", "gone".into())]),
            "`state`: `gone` is not one of present, absent"
        );
    }

    #[test]
    fn modes_as_chmod_has_them() {
        let mode =
            |text: &str, current, is_directory| Mode::parse(text).unwrap().resolve(current, is_directory).unwrap();
        assert_eq!(mode("0640", 0, false), 0o640);
        assert_eq!(mode("u=rw,g=r,o=", 0o777, false), 0o640);
        assert_eq!(mode("a+X", 0o644, false), 0o644);
        assert_eq!(mode("a+X", 0o644, true), 0o755);
        assert_eq!(mode("go-w,u+s", 0o777, false), 0o4755);
        assert_eq!(mode("+x", 0o644, false), 0o755);
        assert!(Mode::parse("rw").is_err() && Mode::parse("09").is_err());
    }
}
