//! Python's `random.Random(seed)`, so that a seed gives what it gives there (the Mersenne Twister).

use minijinja::Error;
use minijinja::value::{Kwargs, Value, ValueKind};
use sha2::Digest;

use super::convert::text;
use super::lists::items;
use super::scope::current;
use super::words::Words;
use super::wrong;

pub(super) fn add(words: &mut Words<'_>) {
    words.add_filter("random", |value: &Value, start: Option<i64>, step: Option<i64>, kwargs: Kwargs| {
        let start = kwargs.get::<Option<i64>>("start")?.or(start);
        let step = kwargs.get::<Option<i64>>("step")?.or(step).unwrap_or(1).max(1);
        let mut random = generator(kwargs.get::<Option<Value>>("seed")?)?;
        if value.is_number() {
            let end = value.as_i64().ok_or_else(|| wrong("random needs a whole number or a list"))?;
            let start = start.unwrap_or(0);
            let count = (end - start + step - 1) / step;
            let count =
                u64::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| wrong("empty range for random"))?;
            return Ok(Value::from(start + step * i64::try_from(random.below(count)).unwrap_or(0)));
        }
        let list = sequence(value)?;
        if list.is_empty() {
            return Err(wrong("random of an empty list"));
        }
        Ok(list[usize::try_from(random.below(list.len() as u64)).unwrap_or(0)].clone())
    });
    words.add_filter("shuffle", |value: &Value, kwargs: Kwargs| {
        let mut random = generator(kwargs.get::<Option<Value>>("seed")?)?;
        let mut list = sequence(value)?;
        for at in (1..list.len()).rev() {
            list.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap_or(0));
        }
        Ok::<_, Error>(Value::from(list))
    });
    words.add_filter("random_mac", |prefix: &str, kwargs: Kwargs| {
        let mut random = generator(kwargs.get::<Option<Value>>("seed")?)?;
        let given = prefix.split(':').count();
        // As community.general: one number that is cut into bytes.
        let missing = 6_usize.saturating_sub(given);
        let low = 0x10_0000_0000_u64;
        let number = low + random.below(0xff_ffff_ffff_u64 - low + 1);
        let digits = format!("{number:x}");
        let pairs = digits.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned());
        let all: Vec<String> = prefix.split(':').map(str::to_lowercase).chain(pairs.take(missing)).collect();
        Ok::<_, Error>(all.join(":"))
    });
}

fn sequence(value: &Value) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::String => Ok(text(value).chars().map(|c| Value::from(c.to_string())).collect()),
        _ => items(value),
    }
}

/// A generator that a seed fixes; without one, one that nobody can guess.
pub(super) fn generator(seed: Option<Value>) -> Result<Twister, Error> {
    match seed.filter(|seed| !seed.is_none()) {
        Some(seed) if seed.is_integer() => {
            let number = seed.as_i64().unwrap_or(0).unsigned_abs();
            #[allow(clippy::cast_possible_truncation)] // the halves
            let (low, high) = (number as u32, (number >> 32) as u32);
            Ok(Twister::from_key(if high == 0 { vec![low] } else { vec![low, high] }))
        }
        Some(seed) => {
            // Python: the text and its SHA-512, as one big number, its lowest word first.
            let mut bytes = text(&seed).into_bytes();
            let digest = sha2::Sha512::digest(&bytes);
            bytes.extend_from_slice(&digest);
            bytes.reverse();
            let words =
                bytes.chunks(4).map(|chunk| chunk.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)));
            let mut key: Vec<u32> = words.collect();
            while key.len() > 1 && key.last() == Some(&0) {
                key.pop();
            }
            Ok(Twister::from_key(key))
        }
        None => {
            let bytes = current()?.entropy(32);
            Ok(Twister::from_key(
                bytes
                    .chunks(4)
                    .map(|chunk| chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)))
                    .collect(),
            ))
        }
    }
}

/// MT19937.
pub(super) struct Twister {
    state: [u32; 624],
    at: usize,
}

impl Twister {
    fn from_key(key: Vec<u32>) -> Self {
        let mut state = [0_u32; 624];
        state[0] = 19_650_218;
        for i in 1..624 {
            state[i] = 1_812_433_253_u32
                .wrapping_mul(state[i - 1] ^ state[i - 1] >> 30)
                .wrapping_add(u32::try_from(i).unwrap_or(0));
        }
        let (mut i, mut j) = (1, 0);
        for _ in 0..624.max(key.len()) {
            state[i] = (state[i] ^ (state[i - 1] ^ state[i - 1] >> 30).wrapping_mul(1_664_525))
                .wrapping_add(key[j])
                .wrapping_add(u32::try_from(j).unwrap_or(0));
            i += 1;
            j += 1;
            if i >= 624 {
                state[0] = state[623];
                i = 1;
            }
            if j >= key.len() {
                j = 0;
            }
        }
        for _ in 0..623 {
            state[i] = (state[i] ^ (state[i - 1] ^ state[i - 1] >> 30).wrapping_mul(1_566_083_941))
                .wrapping_sub(u32::try_from(i).unwrap_or(0));
            i += 1;
            if i >= 624 {
                state[0] = state[623];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        Twister { state, at: 624 }
    }

    fn next(&mut self) -> u32 {
        if self.at >= 624 {
            for i in 0..624 {
                let y = self.state[i] & 0x8000_0000 | self.state[(i + 1) % 624] & 0x7fff_ffff;
                self.state[i] = self.state[(i + 397) % 624] ^ y >> 1 ^ if y & 1 == 1 { 0x9908_b0df } else { 0 };
            }
            self.at = 0;
        }
        let mut y = self.state[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }

    fn bits(&mut self, count: u32) -> u64 {
        if count <= 32 {
            return u64::from(self.next() >> (32 - count));
        }
        let low = u64::from(self.next());
        low | u64::from(self.next() >> (64 - count)) << 32
    }

    /// Python's `_randbelow`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let count = 64 - limit.leading_zeros();
        loop {
            let bits = self.bits(count.max(1));
            if bits < limit {
                return bits;
            }
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_numbers_are_pythons() {
        // random.Random(42): randrange(100) three times; random.Random('a').randrange(1000)
        let mut random = generator(Some(Value::from(42))).unwrap();
        assert_eq!([random.below(100), random.below(100), random.below(100)], [81, 14, 3]);
        assert_eq!(generator(Some(Value::from("a"))).unwrap().below(1000), PYTHON_A);
    }

    const PYTHON_A: u64 = 278;
}
