//! RE2 expressions, as Cilium and the Gateway API mean them, for the `regex` crate.
//!
//! The two agree but for details that matter to a policy: in RE2 `\d`, `\s`, `\w` and `\b` are
//! ASCII, `[`, `&&`, `--` and `~~` mean nothing inside a class, `\<` is a `<`, `{` is itself where
//! it repeats nothing, and there is no verbose mode. The expression is rewritten; what cannot be is
//! refused, never read in another way.

use regex::{Regex, RegexBuilder};

/// Most memory of one compiled expression, in bytes.
const SIZE_MAX: usize = 1 << 20;

/// Most repetitions that an expression may ask for (RE2's limit).
const REPEAT_MAX: u32 = 1000;

/// The classes that `[:name:]` names inside a class.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Compiles an expression that must match the whole text. The error says what is wrong with it.
pub(crate) fn whole(pattern: &str) -> Result<Regex, String> {
    let rewritten = Rewriter { rest: pattern, out: String::new(), depth: 0 }.run();
    let rewritten =
        rewritten.map_err(|message| format!("`{pattern}` is not a regular expression: {message}"))?;
    RegexBuilder::new(&format!("^(?:{rewritten})$")).size_limit(SIZE_MAX).build().map_err(|error| match error
    {
        regex::Error::CompiledTooBig(_) => format!("`{pattern}` needs more than {SIZE_MAX} bytes of memory"),
        _ => format!("`{pattern}` is not a regular expression"),
    })
}

struct Rewriter<'a> {
    rest: &'a str,
    out: String,
    /// Open groups.
    depth: u32,
}

impl<'a> Rewriter<'a> {
    fn run(mut self) -> Result<String, String> {
        let mut after_repeat = false;
        while let Some(c) = self.next() {
            let repeats = match c {
                '*' | '+' | '?' => Some(c.to_string()),
                '{' => self.repetition()?,
                _ => None,
            };
            if let Some(repetition) = repeats {
                if after_repeat {
                    return Err("a repetition cannot be repeated".into());
                }
                self.out.push_str(&repetition);
                if self.eat("?") {
                    self.out.push('?');
                }
                after_repeat = true;
                continue;
            }
            after_repeat = false;
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' if self.depth == 0 => return Err("`)` closes nothing".into()),
                ')' => {
                    self.depth -= 1;
                    self.out.push(')');
                }
                '{' | '}' => self.literal(c),
                _ => self.out.push(c),
            }
        }
        if self.depth > 0 {
            return Err("`(` is not closed".into());
        }
        Ok(self.out)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let eaten = self.rest.strip_prefix(text);
        self.rest = eaten.unwrap_or(self.rest);
        eaten.is_some()
    }

    fn until(&mut self, end: &str) -> Option<&'a str> {
        let (before, after) = self.rest.split_once(end)?;
        self.rest = after;
        Some(before)
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// `{n}`, `{n,}` or `{n,m}` after its brace; none where the brace is just a brace.
    fn repetition(&mut self) -> Result<Option<String>, String> {
        let Some((inside, after)) = self.rest.split_once('}') else { return Ok(None) };
        let (low, high) = inside.split_once(',').map_or((inside, None), |(low, high)| (low, Some(high)));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        if !is_number(low) || !high.is_none_or(|high| high.is_empty() || is_number(high)) {
            return Ok(None);
        }
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= REPEAT_MAX);
        let too_many = || format!("`{{{inside}}}` repeats more than {REPEAT_MAX} times");
        number(low).ok_or_else(too_many)?;
        if let Some(high) = high.filter(|high| !high.is_empty()) {
            number(high).ok_or_else(too_many)?;
        }
        self.rest = after;
        Ok(Some(format!("{{{inside}}}")))
    }

    /// A group after its parenthesis.
    fn group(&mut self) -> Result<(), String> {
        self.depth += 1;
        self.out.push('(');
        if !self.eat("?") {
            return Ok(());
        }
        self.out.push('?');
        for name in ["P<", "<"] {
            if self.eat(name) {
                let group = self.until(">").ok_or("a group's name does not end")?;
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if group.is_empty() || !group.chars().all(is_name) {
                    return Err(format!("`{group}` is not a name of a group"));
                }
                self.out.push_str(&format!("P<{group}>"));
                return Ok(());
            }
        }
        loop {
            match self.next() {
                Some(c @ ('i' | 'm' | 's' | 'U' | '-')) => self.out.push(c),
                Some(c @ (':' | ')')) => {
                    self.out.push(c);
                    self.depth -= u32::from(c == ')');
                    return Ok(());
                }
                _ => return Err("`(?` is followed by something unknown".into()),
            }
        }
    }

    /// An escape after its backslash, outside a class.
    fn escape(&mut self) -> Result<(), String> {
        if self.eat("Q") {
            let literal = match self.until("\\E") {
                Some(literal) => literal,
                None => std::mem::take(&mut self.rest),
            };
            self.out.push_str(&regex::escape(literal));
            return Ok(());
        }
        for (escape, meaning) in [("b", r"(?-u:\b)"), ("A", r"\A"), ("z", r"\z")] {
            if self.eat(escape) {
                self.out.push_str(meaning);
                return Ok(());
            }
        }
        if self.class_escape()? {
            return Ok(());
        }
        let c = self.char_escape()?;
        self.literal(c);
        Ok(())
    }

    /// `\d` and the like, inside and outside classes. False if it is something else.
    fn class_escape(&mut self) -> Result<bool, String> {
        let classes = [
            ("d", "[0-9]"),
            ("D", "[^0-9]"),
            ("s", r"[\t\n\f\r ]"),
            ("S", r"[^\t\n\f\r ]"),
            ("w", "[0-9A-Za-z_]"),
            ("W", "[^0-9A-Za-z_]"),
        ];
        for (escape, class) in classes {
            if self.eat(escape) {
                self.out.push_str(class);
                return Ok(true);
            }
        }
        for escape in ["p", "P"] {
            if !self.eat(escape) {
                continue;
            }
            let name = if self.eat("{") {
                self.until("}").ok_or("the name of a class does not end")?.to_owned()
            } else {
                self.next().map(String::from).unwrap_or_default()
            };
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(format!("`\\{escape}` needs the name of a class"));
            }
            self.out.push_str(&format!("\\{escape}{{{name}}}"));
            return Ok(true);
        }
        Ok(false)
    }

    /// The character an escape stands for.
    fn char_escape(&mut self) -> Result<char, String> {
        let unknown = |c: char| format!("`\\{c}` is not a known escape");
        match self.next().ok_or("it ends in a backslash")? {
            'a' => Ok('\x07'),
            'f' => Ok('\x0c'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\x0b'),
            'x' => {
                let digits = if self.eat("{") {
                    self.until("}").ok_or("`\\x{` is not closed")?
                } else {
                    let (digits, rest) = self.rest.split_at_checked(2).ok_or("`\\x` needs two digits")?;
                    self.rest = rest;
                    digits
                };
                let number = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
                number.ok_or_else(|| format!("`\\x{digits}` is not a character"))
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(c),
            c => Err(unknown(c)),
        }
    }

    /// A class after its bracket.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        let mut first = true;
        while first || !self.eat("]") {
            first = false;
            if self.rest.starts_with("[:")
                && let Some(end) = self.rest.find(":]")
            {
                let (class, rest) = self.rest.split_at(end + 2);
                let name = &class[2..end];
                if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return Err(format!("`{class}` is not a known class"));
                }
                self.out.push_str(class);
                self.rest = rest;
                continue;
            }
            if self.rest.starts_with('\\') {
                let before = self.rest;
                self.eat("\\");
                if self.class_escape()? {
                    continue;
                }
                self.rest = before;
            }
            let low = self.class_char()?;
            self.literal(low);
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.eat("-");
                let high = self.class_char()?;
                self.out.push('-');
                self.literal(high);
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn class_char(&mut self) -> Result<char, String> {
        match self.next().ok_or("`[` is not closed")? {
            '\\' => self.char_escape(),
            c => Ok(c),
        }
    }
}

#[cfg(test)]
mod tests;
