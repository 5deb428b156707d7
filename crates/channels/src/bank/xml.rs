//! XML as statements need it: elements with text, one small tree at a time. Documents that declare types or
//! entities are refused, so nothing expands; whatever is held in memory is bounded.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use encoding_rs::Encoding;
use memchr::memchr_iter;
use quick_xml::NsReader;
use quick_xml::errors::{Error, SyntaxError};
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;

use crate::fault::{Fault, excerpt};
use crate::options::ReadOptions;
use crate::row::{Reject, RejectReason};
use crate::rows::cut_short;

/// How deep elements may stand in each other. camt.053 needs about 15.
const DEEPEST: usize = 64;

/// An element with everything in it. Names are without prefix.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: String,
    /// The attribute `Ccy`.
    pub(super) currency: String,
    /// Its own text, without blanks around it.
    pub(super) text: String,
    pub(super) children: Vec<Node>,
}

impl Node {
    /// Its children of one name.
    pub(super) fn all<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Node> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Its only child of one name, of which no two may stand in it: whichever was taken, the other would be lost.
    pub(super) fn only<'n>(&'n self, name: &'n str) -> Result<Option<&'n Self>, Fault> {
        let mut found = self.all(name);
        let first = found.next();
        if found.next().is_none() {
            return Ok(first);
        }
        let what = format!("'{name}' stands more than once in '{}'", excerpt(self.name.as_bytes()));
        Err(Fault::new(RejectReason::BadRecord, Some(name), what))
    }

    /// The first element at a path such as `BookgDt/Dt`.
    pub(super) fn at(&self, path: &str) -> Option<&Node> {
        path.split('/').try_fold(self, |node, name| node.children.iter().find(|child| child.name == name))
    }

    /// The text at a path; empty when there is none.
    pub(super) fn text_at(&self, path: &str) -> &str {
        self.at(path).map_or("", |node| node.text.as_str())
    }
}

/// What stands next in the document.
pub(super) enum Step {
    /// An element begins.
    Open(Opened),
    /// The innermost open element ends.
    Close,
    /// The document is over, every element closed.
    End,
}

/// The beginning of an element.
pub(super) struct Opened {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) line: u64,
    currency: String,
}

/// Reads a document element by element. Any error is the last word: an XML document cannot be read on behind it.
pub(super) struct Xml<R> {
    reader: NsReader<Counted<R>>,
    buffer: Vec<u8>,
    /// The encoding that the document declares, where it is not UTF-8.
    encoding: Option<&'static Encoding>,
    open: Vec<String>,
    /// Whether its outermost element has ended.
    is_over: bool,
    max_bytes: usize,
}

/// One event, owned.
enum Piece {
    Open(Opened),
    Close,
    Text(String),
    Nothing,
    End,
}

impl<R: Read> Xml<R> {
    pub(super) fn new(source: R, options: &ReadOptions) -> Self {
        let max_bytes = options.limits.max_row_bytes;
        let mut reader = NsReader::from_reader(Counted::new(source, options.chunk_bytes, max_bytes));
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new(), encoding: None, open: Vec::new(), is_over: false, max_bytes }
    }

    /// The next beginning or end of an element; text between elements is left out.
    pub(super) fn next(&mut self) -> Result<Step, Reject> {
        loop {
            match self.piece()? {
                Piece::Open(opened) => return Ok(Step::Open(opened)),
                Piece::Close => return Ok(Step::Close),
                Piece::End => return Ok(Step::End),
                Piece::Text(_) | Piece::Nothing => {}
            }
        }
    }

    /// Reads an element that was opened up to its end. `held` is what is in memory already and grows; the fault
    /// says that it is more than a row may take.
    pub(super) fn read(&mut self, opened: Opened, held: &mut usize) -> Result<Result<Node, Fault>, Reject> {
        let line = opened.line;
        *held = held.saturating_add(weight(&opened));
        let mut nodes = vec![node(opened)];
        loop {
            let grown = match self.piece()? {
                Piece::Open(opened) => {
                    let grown = weight(&opened);
                    if *held <= self.max_bytes {
                        nodes.push(node(opened));
                    } else {
                        nodes.push(Node::default());
                    }
                    grown
                }
                Piece::Text(text) => {
                    let grown = text.len();
                    if let Some(last) = nodes.last_mut().filter(|_| *held <= self.max_bytes) {
                        last.text.push_str(&text);
                    }
                    grown
                }
                Piece::Close => {
                    let Some(mut done) = nodes.pop() else { return Err(self.cut(line)) };
                    trim(&mut done.text);
                    match nodes.last_mut() {
                        None if *held > self.max_bytes => return Ok(Err(too_large(&done, self.max_bytes))),
                        None => return Ok(Ok(done)),
                        Some(parent) if *held <= self.max_bytes => parent.children.push(done),
                        Some(_) => {}
                    }
                    0
                }
                Piece::Nothing => 0,
                Piece::End => return Err(self.cut(line)),
            };
            *held = held.saturating_add(grown);
        }
    }

    /// Leaves an element that was opened out.
    pub(super) fn skip(&mut self) -> Result<(), Reject> {
        let depth = self.open.len();
        while self.open.len() >= depth {
            self.piece()?;
        }
        Ok(())
    }

    fn piece(&mut self) -> Result<Piece, Reject> {
        let line = self.reader.get_mut().begin();
        self.buffer.clear();
        let mut encoding = self.encoding;
        let piece = match self.reader.read_resolved_event_into(&mut self.buffer) {
            Ok((namespace, Event::Start(start))) => opened(&namespace, &start, line).map(Piece::Open),
            Ok((_, Event::End(_))) => Ok(Piece::Close),
            Ok((_, Event::Text(text))) => decoded(&text, encoding, line).map(Piece::Text),
            Ok((_, Event::CData(text))) => decoded(&text, encoding, line).map(Piece::Text),
            Ok((_, Event::GeneralRef(reference))) => resolved(&reference, line).map(Piece::Text),
            Ok((_, Event::Decl(declaration))) => {
                let label = declaration.encoding().and_then(Result::ok).unwrap_or_default();
                declared(&label, line).map(|declared| {
                    encoding = declared;
                    Piece::Nothing
                })
            }
            Ok((_, Event::DocType(_))) => {
                Err(refused(line, "it has a document type declaration, which may define entities"))
            }
            Ok((_, Event::Eof)) => Ok(Piece::End),
            Ok((_, _)) => Ok(Piece::Nothing),
            Err(error) => Err(self.failure(error, line)),
        };
        if self.reader.get_mut().is_spent() {
            return Err(too_long(line, self.max_bytes));
        }
        let piece = piece.map_err(|reject| self.cut_if_at_the_end(reject))?;
        self.encoding = encoding;
        match &piece {
            Piece::Open(opened) => self.open.push(opened.name.clone()),
            Piece::Close => {
                self.open.pop();
                self.is_over |= self.open.is_empty();
            }
            Piece::Text(text) if self.is_over && self.open.is_empty() && !text.trim().is_empty() => {
                return Err(refused(line, "text stands behind its end"));
            }
            Piece::End if !self.open.is_empty() => return Err(self.cut(line)),
            _ => {}
        }
        if self.open.len() > DEEPEST {
            return Err(refused(line, &format!("its elements stand deeper in each other than {DEEPEST}")));
        }
        Ok(piece)
    }

    /// What is refused where nothing stands behind it, with elements still open, is what a cut has left of something.
    fn cut_if_at_the_end(&mut self, reject: Reject) -> Reject {
        let is_over = self.reader.get_mut().fill_buf().is_ok_and(<[u8]>::is_empty);
        let reason = if is_over && !self.open.is_empty() { RejectReason::Truncated } else { reject.reason };
        Reject { reason, ..reject }
    }

    fn cut(&self, line: u64) -> Reject {
        let inside = self.open.last().map_or("", String::as_str);
        let message = format!("the document ends inside of the element '{}'", excerpt(inside.as_bytes()));
        Reject { line, column: None, reason: RejectReason::Truncated, message }
    }

    fn failure(&self, error: Error, line: u64) -> Reject {
        match error {
            Error::Io(error) => cut_short(&error),
            Error::Syntax(SyntaxError::InvalidBangMarkup) => refused(line, "no markup begins like this"),
            // What opens and never closes has met the end of the file.
            Error::Syntax(_) => self.cut(line),
            other => refused(line, &excerpt(other.to_string().as_bytes())),
        }
    }
}

/// About how many bytes an element takes without its text.
fn weight(opened: &Opened) -> usize {
    size_of::<Node>() + opened.name.len()
}

fn node(opened: Opened) -> Node {
    Node { name: opened.name, currency: opened.currency, ..Node::default() }
}

fn too_long(line: u64, max_bytes: usize) -> Reject {
    let message = format!(
        "a text, tag or comment is longer than {max_bytes} bytes: the rest of the document is not read"
    );
    Reject { line, column: None, reason: RejectReason::RowTooLong, message }
}

fn trim(text: &mut String) {
    let kept = text.trim();
    if kept.len() != text.len() {
        *text = kept.to_owned();
    }
}

fn too_large(node: &Node, max_bytes: usize) -> Fault {
    let message =
        format!("the element '{}' needs more than {max_bytes} bytes", excerpt(node.name.as_bytes()));
    Fault::new(RejectReason::RowTooLong, Some(&node.name), message)
}

fn opened(namespace: &ResolveResult<'_>, start: &BytesStart<'_>, line: u64) -> Result<Opened, Reject> {
    let name = String::from_utf8(start.local_name().as_ref().to_vec())
        .map_err(|_| refused(line, "the name of an element is not valid text"))?;
    let mut currency = String::new();
    // Without checks: looking for doubles takes the square of the number of attributes.
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| refused(line, &excerpt(error.to_string().as_bytes())))?;
        if attribute.key.as_ref() == b"Ccy" {
            currency = excerpt(attribute.value.trim_ascii());
        }
    }
    let namespace = match namespace {
        ResolveResult::Bound(namespace) => excerpt(namespace.as_ref()),
        ResolveResult::Unbound | ResolveResult::Unknown(_) => String::new(),
    };
    Ok(Opened { name, namespace, line, currency })
}

fn decoded(bytes: &[u8], encoding: Option<&'static Encoding>, line: u64) -> Result<String, Reject> {
    let text = match encoding {
        None => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Some(encoding) => {
            encoding.decode_without_bom_handling_and_without_replacement(bytes).map(Cow::into_owned)
        }
    };
    text.ok_or_else(|| {
        let name = encoding.map_or("UTF-8", Encoding::name);
        let message =
            format!("a text is not valid {name}, which the document is in: the rest of it is not read");
        Reject { line, column: None, reason: RejectReason::BadEncoding, message }
    })
}

/// The encoding that an XML declaration names. UTF-16 was made UTF-8 before, whatever the declaration says.
fn declared(label: &[u8], line: u64) -> Result<Option<&'static Encoding>, Reject> {
    if label.is_empty() {
        return Ok(None);
    }
    match Encoding::for_label(label) {
        Some(encoding) if encoding.is_ascii_compatible() && encoding != encoding_rs::UTF_8 => {
            Ok(Some(encoding))
        }
        Some(_) => Ok(None),
        None => {
            let message = format!("the document is in an encoding that is not known: '{}'", excerpt(label));
            Err(Reject { line, column: None, reason: RejectReason::BadEncoding, message })
        }
    }
}

/// `&amp;` and its like, and characters by number: all that a document may name without declaring it.
fn resolved(reference: &BytesRef<'_>, line: u64) -> Result<String, Reject> {
    let unknown = || {
        let name = excerpt(reference);
        refused(line, &format!("it uses the entity '{name}', which XML does not have"))
    };
    if let Some(character) = reference.resolve_char_ref().map_err(|_| unknown())? {
        return Ok(character.to_string());
    }
    let name = std::str::from_utf8(reference).map_err(|_| unknown())?;
    resolve_predefined_entity(name).map(str::to_owned).ok_or_else(unknown)
}

fn refused(line: u64, why: &str) -> Reject {
    let message = format!("the XML document is refused: {why}. The rest of it is not read");
    Reject { line, column: None, reason: RejectReason::BadXml, message }
}

/// Counts lines, and ends the reading of one event that is too long.
struct Counted<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    line: u64,
    /// Bytes consumed since the event began.
    spent: usize,
    allowed: usize,
}

impl<R: Read> Counted<R> {
    fn new(source: R, chunk: usize, allowed: usize) -> Self {
        let buffer = vec![0; chunk.max(1)];
        Self { source, buffer, start: 0, end: 0, line: 1, spent: 0, allowed }
    }

    /// An event begins; gives its line.
    fn begin(&mut self) -> u64 {
        self.spent = 0;
        self.line
    }

    fn is_spent(&self) -> bool {
        self.spent > self.allowed
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(target.len());
        target[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            if self.is_spent() {
                return Err(io::Error::other("too long"));
            }
            self.start = 0;
            self.end = loop {
                match self.source.read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    count => break count?,
                }
            };
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.line += memchr_iter(b'\n', &self.buffer[self.start..self.start + count]).count() as u64;
        self.start += count;
        self.spent += count;
    }
}
