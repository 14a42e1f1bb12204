//! JSON as jq 1.6 reads it, for `fromjson` and `tonumber`.
//!
//! Records are strict JSON. Text that a query parses is what jq's own parser takes: numbers such as
//! `09`, `+5`, `.5` and `5.`, a byte order mark, low surrogates on their own.

use firehose_json::RawNumber;
use firehose_json::nesting::NESTING_MAX;

use super::super::meter::charge;
use super::super::value::{Error, Map, Value};

/// The value of a JSON text.
pub(super) fn parse(value: &Value) -> Result<Value, Error> {
    let Value::Text(text) = value else {
        return Err(Error::typ(value.clone(), "string"));
    };
    let text = str::from_utf8(text).unwrap_or("");
    read(text).ok_or_else(|| Error::str(format_args!("cannot parse {value} as JSON")))
}

/// The number that a text is.
pub(super) fn number(value: Value) -> Result<Value, Error> {
    let text = match &value {
        Value::Number(_) => return Ok(value),
        Value::Text(text) => text,
        _ => return Err(Error::typ(value, "number or string")),
    };
    // jq looks at it as C does.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match read(str::from_utf8(text).unwrap_or("")) {
        Some(number @ Value::Number(_)) => Ok(number),
        _ => Err(Error::str(format_args!(
            "{value} cannot be parsed as a number"
        ))),
    }
}

fn read(text: &str) -> Option<Value> {
    charge(1 + text.len() / 8);
    let mut reader = JsonReader {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
    };
    let value = reader.value(NESTING_MAX)?;
    reader.skip_space();
    reader.rest.is_empty().then_some(value)
}

struct JsonReader<'a> {
    rest: &'a str,
}

impl JsonReader<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads a value that nests at most that deep.
    fn value(&mut self, depth: usize) -> Option<Value> {
        if self.eat('[') {
            let depth = depth.checked_sub(1)?;
            let mut items = Vec::new();
            if !self.eat(']') {
                loop {
                    items.push(self.value(depth)?);
                    if !self.eat(',') {
                        break;
                    }
                }
                self.eat(']').then_some(())?;
            }
            return Some(Value::array(items));
        }
        if self.eat('{') {
            let depth = depth.checked_sub(1)?;
            let mut entries = Map::default();
            if !self.eat('}') {
                loop {
                    self.eat('"').then_some(())?;
                    let key = self.string()?;
                    self.eat(':').then_some(())?;
                    let value = self.value(depth)?;
                    entries.insert(key.into(), value);
                    if !self.eat(',') {
                        break;
                    }
                }
                self.eat('}').then_some(())?;
            }
            return Some(Value::object(entries));
        }
        if self.eat('"') {
            return self.string().map(Value::text);
        }
        self.literal()
    }

    fn literal(&mut self) -> Option<Value> {
        let is_end = |c| " \t\r\n\"[,]{:}".contains(c);
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        match token {
            "null" => Some(Value::Null),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ if token.starts_with(['n', 't', 'f']) => None,
            _ => float(token.split('\0').next().unwrap_or("")),
        }
    }

    /// Reads what stands before a closing quote.
    fn string(&mut self) -> Option<String> {
        let mut out = String::new();
        loop {
            let end = self.rest.find(['"', '\\'])?;
            let plain = &self.rest[..end];
            // jq's own bounds: it refuses neither NUL nor U+001F, although its message says so.
            if plain.bytes().any(|byte| (1..0x1f).contains(&byte)) {
                return None;
            }
            out.push_str(plain);
            let quoted = self.rest[end..].starts_with('"');
            self.rest = &self.rest[end + 1..];
            if quoted {
                return Some(out);
            }
            out.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(match letter {
            '\\' | '"' | '/' => letter,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => match self.hex()? {
                high @ 0xd800..=0xdbff => {
                    self.rest = self.rest.strip_prefix("\\u")?;
                    let low = self.hex().filter(|low| (0xdc00..=0xdfff).contains(low))?;
                    char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?
                }
                point => char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER),
            },
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.rest.get(..4)?;
        self.rest = &self.rest[4..];
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        hex.then(|| u32::from_str_radix(digits, 16).ok())?
    }
}

/// A number in C's forms; integers keep their digits, in the form that JSON has for them.
fn float(text: &str) -> Option<Value> {
    let float: f64 = text.parse().ok()?;
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let text = format!("{sign}{}", digits.trim_start_matches('0'));
        if text.len() > sign.len() {
            let integer = true;
            return Some(Value::raw_number(RawNumber {
                text: &text,
                integer,
            }));
        }
    }
    Some(Value::float(float))
}
