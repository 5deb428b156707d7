//! Files as people hand them over, good and bad, and what becomes of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::collections::BTreeSet;
use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use lopdf::{Document, Object, SaveOptions, Stream, dictionary};
use payops_disputes::documents::kind::{Format, Notice};
use payops_disputes::documents::merge::{MergeError, Source, merge};
use payops_disputes::documents::packet::{Contents, Fact, Packet, PacketFile, packet};
use payops_disputes::documents::{Refusal, inspect};
use payops_disputes::evidence::{EvidenceKind, TextField};
use payops_platform::error::Language;

/// A document whose pages say `page 1 of NAME` and so on; their size and font stand above them, in the page tree.
fn pdf(name: &str, pages: usize) -> Document {
    let mut document = Document::with_version("1.5");
    let tree = document.new_object_id();
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica", "Encoding" => "WinAnsiEncoding",
    });
    let mut kids = Vec::new();
    for page in 1..=pages {
        let text = format!("BT /F1 24 Tf 100 600 Td (page {page} of {name}) Tj ET");
        let content = document.add_object(Stream::new(dictionary! {}, text.into_bytes()));
        let page = dictionary! { "Type" => "Page", "Parent" => tree, "Contents" => content };
        kids.push(Object::from(document.add_object(page)));
    }
    let tree_node = dictionary! {
        "Type" => "Pages",
        "Count" => i64::try_from(kids.len()).unwrap(),
        "Kids" => kids,
        "MediaBox" => vec![0.into(), 0.into(), 300.into(), 800.into()],
        "Resources" => dictionary! { "Font" => dictionary! { "F1" => font } },
    };
    document.set_object(tree, tree_node);
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    document
}

fn saved(mut document: Document, packed: bool) -> Vec<u8> {
    let options = SaveOptions::builder().use_object_streams(packed).use_xref_streams(packed).build();
    let mut bytes = Vec::new();
    document.save_with_options(&mut bytes, options).unwrap();
    bytes
}

fn png(color: png::ColorType, width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    if color == png::ColorType::Indexed {
        encoder.set_palette(vec![0, 0, 0, 255, 0, 0]);
    }
    let length = color.samples() * width as usize * height as usize;
    let rows: Vec<u8> = (0..length).map(|at| u8::from(at % 3 == 0)).collect();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&rows).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A grey JPEG of 8 by 8 pixels, with a mark that its camera was turned.
fn jpeg() -> Vec<u8> {
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let quantization = [&[0][..], &[1; 64]].concat();
    // One code of one bit, for "no difference" and for "end of block".
    let codes = |class: u8| [&[class, 1][..], &[0; 15], &[0]].concat();
    let segments: [(u8, &[u8]); 6] = [
        (0xe1, exif),
        (0xdb, &quantization),
        (0xc0, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]),
        (0xc4, &codes(0x00)),
        (0xc4, &codes(0x10)),
        (0xda, &[1, 1, 0, 0, 63, 0]),
    ];
    let mut bytes = vec![0xff, 0xd8];
    for (marker, body) in segments {
        bytes.extend([0xff, marker]);
        bytes.extend(u16::try_from(body.len() + 2).unwrap().to_be_bytes());
        bytes.extend(body);
    }
    bytes.extend([0b0011_1111, 0xff, 0xd9]);
    bytes
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn text_of(bytes: &[u8]) -> String {
    let document = Document::load_mem(bytes).unwrap();
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    document.extract_text(&pages).unwrap()
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

#[test]
fn a_thousand_pages_are_counted_packed_or_not() {
    for packed in [false, true] {
        let bytes = saved(pdf("the long one", 1_000), packed);
        assert_eq!(inspect("long.pdf", &bytes).unwrap().pages, 1_000);
    }
}

#[test]
fn an_image_is_one_page() {
    assert_eq!(inspect("a.jpg", &jpeg()).unwrap().pages, 1);
    assert_eq!(inspect("a.png", &png(png::ColorType::Rgb, 3, 2)).unwrap().pages, 1);
}

#[test]
fn a_png_named_pdf_is_taken_as_the_png_that_it_is() {
    let inspection = inspect("C:\\Temp\\收据.pdf", &png(png::ColorType::Rgb, 3, 2)).unwrap();
    assert_eq!((inspection.name.as_str(), inspection.format), ("收据.pdf", Format::Png));
    assert_eq!(
        inspection.notices,
        [
            Notice::Renamed { from: "C:\\Temp\\收据.pdf".to_owned() },
            Notice::Misnamed { extension: "pdf".to_owned(), format: Format::Png },
        ]
    );
}

#[test]
fn what_breaks_off_is_refused_wherever_it_breaks_off() {
    let whole = saved(pdf("short", 3), true);
    for end in (8..whole.len() - 8).step_by(7) {
        // A reader may still find every object; then the file is as good as whole.
        match inspect("a.pdf", &whole[..end]) {
            Ok(inspection) => assert!(inspection.pages <= 3, "cut at {end}"),
            Err(refusal) => assert!(matches!(refusal, Refusal::Malformed(_)), "cut at {end}: {refusal:?}"),
        }
    }
    for image in [png(png::ColorType::Rgb, 30, 20), jpeg()] {
        for end in 8..image.len() - 12 {
            assert!(inspect("a", &image[..end]).is_err(), "cut at {end} of {}", image.len());
        }
    }
}

#[test]
fn changed_bytes_never_break_the_reader() {
    let whole = saved(pdf("short", 2), false);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] = changed[at].wrapping_add(1 + u8::try_from(at % 250).unwrap());
        if let Ok(inspection) = inspect("a.pdf", &changed) {
            assert!(inspection.pages <= 3);
        }
    }
}

#[test]
fn an_encrypted_pdf_is_refused_as_such() {
    let mut document = pdf("secret", 1);
    document.trailer.set("ID", vec![Object::string_literal("one"), Object::string_literal("one")]);
    for password in ["", "secret"] {
        let mut document = document.clone();
        let version = lopdf::EncryptionVersion::V2 {
            document: &document,
            owner_password: "owner",
            user_password: password,
            key_length: 128,
            permissions: lopdf::Permissions::all(),
        };
        let state = lopdf::EncryptionState::try_from(version).unwrap();
        document.encrypt(&state).unwrap();
        assert_eq!(
            inspect("a.pdf", &saved(document, false)),
            Err(Refusal::Encrypted),
            "password {password:?}"
        );
    }
}

#[test]
fn a_page_tree_that_loops_is_refused() {
    let mut document = pdf("round", 1);
    let tree = document.catalog().unwrap().get(b"Pages").unwrap().as_reference().unwrap();
    let page = document.page_iter().next().unwrap();
    let node = dictionary! { "Type" => "Pages", "Count" => 2, "Kids" => vec![page.into(), tree.into()] };
    document.set_object(tree, node);
    assert!(matches!(inspect("a.pdf", &saved(document, false)), Err(Refusal::Malformed(_))));
}

#[test]
fn references_that_loop_are_refused() {
    let text = b"%PDF-1.4\n1 0 obj\n2 0 R\nendobj\n2 0 obj\n1 0 R\nendobj\n3 0 obj\n<</Type/Catalog/Pages 1 0 R>>\nendobj\n\
        trailer\n<</Root 3 0 R/Size 4>>\nstartxref\n0\n%%EOF";
    assert!(matches!(inspect("a.pdf", text), Err(Refusal::Malformed(_))));
}

#[test]
fn deep_nesting_does_not_end_the_process() {
    let mut document = pdf("deep", 1);
    let marker = document.add_object(Object::string_literal("MARKER"));
    document.trailer.set("Deep", marker);
    let text = saved(document, false);
    let at = text.windows(8).position(|window| window == b"(MARKER)").unwrap();
    let deep = [&text[..at], "[".repeat(1_000_000).as_bytes(), &text[at + 8..]].concat();
    // What is nested too deep is no object; the page beside it is still there.
    assert_eq!(inspect("a.pdf", &deep).map(|inspection| inspection.pages), Ok(1));
}

/// One page, and beside it `count` streams of objects, each of which unpacks to `content`.
fn with_object_streams(count: u32, index: &str, content: &[u8]) -> Vec<u8> {
    let mut document = pdf("bomb", 1);
    let body = [index.as_bytes(), content].concat();
    let packed = deflated(&body);
    for _ in 0..count {
        let dictionary = dictionary! {
            "Type" => "ObjStm", "N" => 1, "First" => i64::try_from(index.len()).unwrap(), "Filter" => "FlateDecode",
        };
        document.add_object(Stream::new(dictionary, packed.clone()).with_compression(false));
    }
    // The writer drops what it takes for its own, so the type is put in afterwards.
    for object in document.objects.values_mut() {
        if let Object::Stream(stream) = object
            && stream.dict.has_type(b"ObjStm")
        {
            stream.dict.set("Type", "ObjSt#");
        }
    }
    let text = saved(document, false);
    replaced(&text, b"/ObjSt#23", b"/ObjSt#6d")
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut text = text.to_vec();
    let mut found = 0;
    for at in 0..text.len() - from.len() {
        if text[at..].starts_with(from) {
            text[at..at + from.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0, "{} is not in the file", String::from_utf8_lossy(from));
    text
}

#[test]
fn a_small_file_that_unpacks_to_much_is_refused() {
    let large = vec![b' '; 64 << 20];
    assert_eq!(inspect("a.pdf", &with_object_streams(1, "900 0 ", &large)), Err(Refusal::TooComplex));
}

#[test]
fn many_streams_share_what_one_may_unpack_to() {
    let each = vec![b' '; 1 << 20];
    assert_eq!(inspect("a.pdf", &with_object_streams(1, "900 0 ", &each)).unwrap().pages, 1);
    assert_eq!(inspect("a.pdf", &with_object_streams(100, "900 0 ", &each)), Err(Refusal::TooComplex));
}

#[test]
fn objects_that_overlap_are_refused() {
    let index: Vec<_> = (900..1_900).map(|id| format!("{id} 0 ")).collect();
    let index = index.concat();
    assert_eq!(inspect("a.pdf", &with_object_streams(1, &index, b"[ 1 2 3 ]")), Err(Refusal::TooComplex));
}

#[test]
fn files_of_every_type_become_one_pdf_in_their_order() {
    let (first, second) = (saved(pdf("first", 2), true), saved(pdf("second", 1), false));
    let (photo, screen) = (jpeg(), png(png::ColorType::Rgba, 40, 20));
    let sources = [
        Source { format: Format::Pdf, bytes: &first },
        Source { format: Format::Jpeg, bytes: &photo },
        Source { format: Format::Png, bytes: &screen },
        Source { format: Format::Pdf, bytes: &second },
    ];
    let merged = merge(&sources).unwrap();
    assert_eq!(merged.pages, 5);
    assert_eq!(inspect("merged.pdf", &merged.bytes).unwrap().pages, 5);
    assert_eq!(merge(&sources).unwrap(), merged, "the same files give the same bytes");

    let text = squeezed(&text_of(&merged.bytes));
    let places: Vec<_> =
        ["page1offirst", "page2offirst", "page1ofsecond"].iter().map(|words| text.find(words)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");

    let document = Document::load_mem(&merged.bytes).unwrap();
    let page = document.page_iter().next().unwrap();
    assert!(
        document.get_dictionary(page).unwrap().has(b"MediaBox"),
        "what stood above a page is kept with it"
    );
}

#[test]
fn a_jpeg_and_a_plain_png_go_in_as_they_are() {
    let photo = jpeg();
    let merged = merge(&[Source { format: Format::Jpeg, bytes: &photo }]).unwrap();
    assert!(merged.bytes.windows(photo.len()).any(|window| window == photo));

    for color in [png::ColorType::Rgb, png::ColorType::Grayscale, png::ColorType::Indexed] {
        let image = png(color, 64, 48);
        let merged = merge(&[Source { format: Format::Png, bytes: &image }]).unwrap();
        let at = image.windows(4).position(|window| window == b"IDAT").unwrap();
        let length = u32::from_be_bytes(image[at - 4..at].try_into().unwrap()) as usize;
        let rows = &image[at + 4..at + 4 + length];
        assert!(merged.bytes.windows(rows.len()).any(|window| window == rows), "{color:?}");
    }
}

#[test]
fn scripts_links_and_attachments_are_left_behind() {
    let mut document = pdf("lively", 1);
    let action = dictionary! { "S" => "JavaScript", "JS" => Object::string_literal("app.alert()") };
    let script = document.add_object(action);
    let link = dictionary! {
        "Type" => "Annot", "Subtype" => "Link", "Rect" => vec![0.into(), 0.into(), 9.into(), 9.into()], "A" => script,
    };
    let page = document.page_iter().next().unwrap();
    document.get_dictionary_mut(page).unwrap().set("Annots", vec![Object::Dictionary(link)]);
    document.catalog_mut().unwrap().set("OpenAction", script);
    let bytes = saved(document, false);
    let merged = merge(&[Source { format: Format::Pdf, bytes: &bytes }]).unwrap();
    let document = Document::load_mem(&merged.bytes).unwrap();
    let scripts =
        document.objects.values().filter(|object| format!("{object:?}").contains("JavaScript")).count();
    assert_eq!(scripts, 0);
}

#[test]
fn the_file_that_cannot_be_merged_is_named() {
    let good = jpeg();
    let sources =
        [Source { format: Format::Jpeg, bytes: &good }, Source { format: Format::Pdf, bytes: b"%PDF-1.4" }];
    let MergeError { index, refusal } = merge(&sources).unwrap_err();
    assert_eq!(index, Some(1));
    assert!(matches!(refusal, Refusal::Malformed(_)));
}

const CHINESE: &str = "尊敬的先生/女士：该订单已于2026年1月5日送达，客户张伟（Zhang Wei）本人签收。\
我们不同意这笔拒付，理由如下：一、地址一致；二、签名一致；三、客户此后还写信致谢。\u{2014}\u{2014}祝好";
const LATIN: &str = "The parcel was delivered to Łódź, 12 Großer Straße; naïve café, Ελλάδα, Москва, £129.00, €5. \
The customer’s signature is attached.";

fn written(cover_letter: &str, files: &[PacketFile<'_>]) -> Packet {
    let facts = [
        Fact { label: "Amount".to_owned(), value: "129.00 USD".to_owned() },
        Fact { label: "Answer due".to_owned(), value: "2026-12-01 23:59:59 UTC".to_owned() },
    ];
    let contents = Contents {
        language: Language::English,
        title: "Answer to dispute du_1 / 拒付答复",
        facts: &facts,
        cover_letter,
        texts: &[(TextField::CustomerName, "张伟"), (TextField::ProductDescription, LATIN)],
        files,
    };
    packet(&contents).unwrap()
}

#[test]
fn chinese_and_latin_text_comes_out_as_it_went_in() {
    let packet = written(CHINESE, &[]);
    let text = squeezed(&text_of(&packet.bytes));
    for words in [CHINESE, LATIN, "张伟", "129.00 USD", "2026-12-01 23:59:59 UTC", "拒付答复"] {
        assert!(text.contains(&squeezed(words)), "{words} is not in {text}");
    }
    assert_eq!(packet.missing_characters, BTreeSet::new());
    assert!(
        packet.bytes.len() < 200_000,
        "only what is used of the font goes in: {} bytes",
        packet.bytes.len()
    );
}

#[test]
fn the_same_packet_is_the_same_to_the_byte() {
    assert_eq!(written(CHINESE, &[]), written(CHINESE, &[]));
    assert_ne!(written(CHINESE, &[]).sha256, written(LATIN, &[]).sha256);
}

#[test]
fn a_character_that_the_font_lacks_is_written_as_its_code_and_told() {
    let packet = written("thank you 😀, שלום\u{7}", &[]);
    let text = squeezed(&text_of(&packet.bytes));
    assert!(text.contains("thankyou[U+1F600],[U+05E9]"), "{text}");
    assert!(packet.missing_characters.is_superset(&BTreeSet::from(['😀', 'ש', '\u{7}'])));
}

#[test]
fn a_long_text_goes_on_over_pages_and_loses_nothing() {
    let sentence = "第一百二十三条规定，must be kept whole. ";
    let letter = sentence.repeat(600) + &"x".repeat(2_000);
    let packet = written(&letter, &[]);
    assert!(packet.pages > 5, "{} pages", packet.pages);
    let text = squeezed(&text_of(&packet.bytes));
    // The number at the foot of a page stands between the last line of it and the first of the next.
    assert!(
        text.matches("mustbekeptwhole").count() >= 600 - packet.pages,
        "{} left",
        text.matches("mustbekept").count()
    );
    assert!(text.matches('x').count() >= 2_000);
}

#[test]
fn files_follow_the_text_and_are_listed_with_their_hash() {
    let (paper, photo) = (saved(pdf("the receipt", 2), true), jpeg());
    let files = [
        PacketFile {
            kind: EvidenceKind::Receipt,
            name: "收据.pdf",
            format: Format::Pdf,
            bytes: &paper,
            pages: 2,
        },
        PacketFile {
            kind: EvidenceKind::Other,
            name: "photo.jpg",
            format: Format::Jpeg,
            bytes: &photo,
            pages: 1,
        },
    ];
    let packet = written("letter", &files);
    assert_eq!(packet.pages, 4);
    let text = squeezed(&text_of(&packet.bytes));
    for words in ["收据.pdf", "photo.jpg", "page 2 of the receipt"] {
        assert!(text.contains(&squeezed(words)), "{words} is not in {text}");
    }
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&paper));
    assert!(text.contains(&digest), "{digest} is not in {text}");
    assert!(text.contains("1/4"), "the feet of the pages count the files, too: {text}");
}
