//! What a plain scalar means: the rules of go-yaml v2, which `kubectl` reads YAML with.

use serde_json::{Number, Value};

/// The value of a scalar. `plain`: it was written without quotes. `tag`: `str`, `int`...
pub(super) fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Result<Value, String> {
    match tag {
        Some("str") => Ok(Value::String(text.to_owned())),
        None if !plain => Ok(Value::String(text.to_owned())),
        None => implicit(text),
        Some(tag) => match (tag, implicit(text)?) {
            ("null", Value::Null) => Ok(Value::Null),
            ("bool", Value::Bool(value)) => Ok(Value::Bool(value)),
            ("int", Value::Number(value)) if !value.is_f64() => Ok(Value::Number(value)),
            ("float", Value::Number(value)) => Ok(Value::Number(value)),
            ("null" | "bool" | "int" | "float", _) => Err(format!("`{text}` is not of type !!{tag}")),
            _ => Err(format!("the tag `!!{tag}` has no meaning in Kubernetes")),
        },
    }
}

fn implicit(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            return Ok(Value::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            return Ok(Value::Bool(false));
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => return Err(format!("`{text}` is not a number that JSON has")),
        _ => {}
    }
    let number = text.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
    let number = if number { integer(text).or_else(|| float(text)) } else { None };
    Ok(number.map_or_else(|| Value::String(text.to_owned()), Value::Number))
}

/// Decimal, `0x`, `0o`, `0b`, and octal by a leading zero; underscores separate digits.
fn integer(text: &str) -> Option<Number> {
    let text = text.replace('_', "");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefixed = |prefix: &str| digits.strip_prefix(prefix);
    let (radix, digits) = if let Some(rest) = prefixed("0x").or_else(|| prefixed("0X")) {
        (16, rest)
    } else if let Some(rest) = prefixed("0o").or_else(|| prefixed("0O")) {
        (8, rest)
    } else if let Some(rest) = prefixed("0b").or_else(|| prefixed("0B")) {
        (2, rest)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if negative { 0_i64.checked_sub_unsigned(value).map(Number::from) } else { Some(Number::from(value)) }
}

/// `1.5`, `.5`, `1e3`; a leading zero does not make it octal.
fn float(text: &str) -> Option<Number> {
    let text = text.replace('_', "");
    let unsigned = text.trim_start_matches(['+', '-']);
    if !unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte)) {
        return None;
    }
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
    // `kubectl` sends JSON, which writes 1e3 as 1000: a whole number is one.
    #[allow(clippy::cast_possible_truncation)]
    let whole = value as i64;
    #[allow(clippy::cast_precision_loss)]
    let same = whole as f64 == value && value.abs() < 9e15;
    if same { Some(Number::from(whole)) } else { Number::from_f64(value) }
}
