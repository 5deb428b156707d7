//! Turns a JSON array into lines, one per element, while it comes in.

/// The largest element; no row is longer.
const LARGEST: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Before,
    /// Behind `[` or `,`.
    Open {
        first: bool,
    },
    Element,
    Done,
}

/// Splits an array at its top-level commas. It does not check the elements: who reads the lines does.
#[derive(Debug, Default)]
pub(crate) struct ArrayLines {
    state: State,
    depth: usize,
    in_string: bool,
    escaped: bool,
    element: usize,
}

impl ArrayLines {
    /// Whether the array was closed.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the next bytes and appends whole and begun lines to `out`.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        for &byte in bytes {
            match (self.state, byte) {
                (State::Element, _) => self.element_byte(byte, out)?,
                (_, b' ' | b'\t' | b'\r' | b'\n') => {}
                (State::Before, b'[') => self.state = State::Open { first: true },
                (State::Open { first: true }, b']') => self.state = State::Done,
                (State::Open { .. }, b',' | b']') => return Err("the JSON array has an empty element"),
                (State::Open { .. }, _) => {
                    self.state = State::Element;
                    self.element = 0;
                    self.element_byte(byte, out)?;
                }
                (State::Before, _) => return Err("a JSON array was expected"),
                (State::Done, _) => return Err("text follows the JSON array"),
            }
        }
        Ok(())
    }

    fn element_byte(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), &'static str> {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                b'\n' | b'\r' => return Err("a JSON string contains a line end"),
                _ => {}
            }
            return self.push(byte, out);
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => self.depth -= 1,
            b',' | b']' if self.depth == 0 => {
                out.push(b'\n');
                self.state = if byte == b',' { State::Open { first: false } } else { State::Done };
                return Ok(());
            }
            b'\n' | b'\r' => return self.push(b' ', out),
            _ => {}
        }
        self.push(byte, out)
    }

    fn push(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), &'static str> {
        self.element += 1;
        if self.element > LARGEST {
            return Err("an element of the JSON array is larger than 1 MiB");
        }
        out.push(byte);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, step: usize) -> (String, Result<bool, &'static str>) {
        let (mut lines, mut out) = (ArrayLines::default(), Vec::new());
        for chunk in text.as_bytes().chunks(step) {
            if let Err(error) = lines.feed(chunk, &mut out) {
                return (String::from_utf8(out).unwrap(), Err(error));
            }
        }
        (String::from_utf8(out).unwrap(), Ok(lines.is_done()))
    }

    #[test]
    fn elements_become_lines_whatever_the_chunks() {
        let text = " [ {\"a\":[1,2],\r\n\"b\":\"x],\\\"}\"} ,\n{}, 3 ]\n";
        for step in 1..text.len() {
            let (found, done) = lines(text, step);
            assert_eq!(found, "{\"a\":[1,2],  \"b\":\"x],\\\"}\"} \n{}\n3 \n");
            assert_eq!(done, Ok(true));
        }
        assert_eq!(lines("[]", 1), (String::new(), Ok(true)));
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for text in ["{}", "[,]", "[1,]", "[1]2", "[\"a\nb\"]"] {
            assert!(lines(text, 1).1.is_err(), "{text}");
        }
        for text in ["", "[", "[1", "[1,", "[{\"a\":1}", "[\"]"] {
            assert_eq!(lines(text, 1).1, Ok(false), "{text}");
        }
        assert!(lines(&format!("[{}", "1".repeat(LARGEST + 1)), 4096).1.is_err());
    }
}
