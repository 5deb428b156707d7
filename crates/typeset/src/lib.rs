//! Text, tables and shapes on the pages of a PDF.
//!
//! One font for all (`wqy-microhei`: Latin, Greek, Cyrillic, Vietnamese, Chinese, Japanese, Korean); what is used
//! of it goes into the PDF. A character that it lacks is written as its code, such as `[U+1F600]`: seen, told, and
//! found again by whoever searches the text. Text runs from left to right only.

mod letters;
mod page;

pub use page::{Align, Block, Cell, Column, Finished, Ink, Properties, Table, Typesetter, WIDTH};
