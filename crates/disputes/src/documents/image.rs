//! Images: what their headers say, and how one becomes a page.
//!
//! A JPEG goes into the page as it is. So do the compressed rows of a PNG, which a PDF reads alike; only a PNG that a
//! PDF has no words for (transparency, interlacing, 16 bits) is decoded, put on white and packed again.

use std::io::Cursor;

use lopdf::{Dictionary, Document, Object, ObjectId, Stream, dictionary};
use png::{BitDepth, ColorType};
use zune_core::bytestream::ZCursor;
use zune_jpeg::JpegDecoder;

use super::Refusal;
use super::kind::Format;

/// More than any camera or screen makes; decoded, four bytes each.
const MAX_PIXELS: u64 = 50_000_000;

/// A4, in points.
const PAGE: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 28.0;
/// An image is never shown larger than at 96 pixels an inch, as it was on a screen.
const POINTS_PER_PIXEL: f32 = 0.75;

pub(super) struct Jpeg {
    width: u16,
    height: u16,
    components: u8,
    orientation: u16,
}

pub(super) struct PngHeader {
    width: u32,
    height: u32,
    color: ColorType,
    depth: BitDepth,
    /// Whether a PDF can take its rows as they are.
    plain: bool,
}

fn malformed(reason: impl Into<String>) -> Refusal {
    Refusal::Malformed(reason.into())
}

/// What the PNG library says.
#[expect(clippy::needless_pass_by_value, reason = "called by `map_err`")]
fn png_error(error: impl ToString) -> Refusal {
    Refusal::Malformed(error.to_string())
}

pub(super) fn read_jpeg(bytes: &[u8]) -> Result<Jpeg, Refusal> {
    let mut decoder = JpegDecoder::new(ZCursor::new(bytes));
    decoder.decode_headers().map_err(|error| malformed(format!("{error:?}")))?;
    let info = decoder.info().ok_or_else(|| malformed("no image header"))?;
    if !bytes.windows(2).rev().any(|pair| pair == b"\xff\xd9") {
        return Err(malformed("the image breaks off before its end"));
    }
    let orientation = decoder.exif().and_then(|exif| orientation(exif)).unwrap_or(1);
    Ok(Jpeg { width: info.width, height: info.height, components: info.components, orientation })
}

/// How a camera was held, from the first directory of the picture's Exif data.
fn orientation(exif: &[u8]) -> Option<u16> {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let little = tiff.starts_with(b"II");
    let short = |at: usize| {
        let bytes = [*tiff.get(at)?, *tiff.get(at + 1)?];
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let (low, high) = if little { (short(4)?, short(6)?) } else { (short(6)?, short(4)?) };
    let directory = usize::from(high) << 16 | usize::from(low);
    let entries = (0..usize::from(short(directory)?)).map(|entry| directory + 2 + entry * 12);
    let mut found = entries.filter(|&entry| short(entry) == Some(0x0112));
    found.next().and_then(|entry| short(entry + 8)).filter(|value| (1..=8).contains(value))
}

pub(super) fn read_png_header(bytes: &[u8]) -> Result<PngHeader, Refusal> {
    if !png_chunks(bytes).any(|(kind, _)| kind == *b"IEND") {
        return Err(malformed("the image breaks off before its end"));
    }
    let reader = png::Decoder::new(Cursor::new(bytes)).read_info().map_err(png_error)?;
    let info = reader.info();
    if u64::from(info.width) * u64::from(info.height) > MAX_PIXELS {
        return Err(Refusal::TooComplex);
    }
    let opaque = info.trns.is_none()
        && matches!(info.color_type, ColorType::Grayscale | ColorType::Rgb | ColorType::Indexed);
    Ok(PngHeader {
        width: info.width,
        height: info.height,
        color: info.color_type,
        depth: info.bit_depth,
        plain: opaque && !info.interlaced && info.bit_depth != BitDepth::Sixteen,
    })
}

/// The chunks of a PNG, as long as they are whole.
fn png_chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let data = after.get(..length)?;
        rest = after.get(length + 4..)?;
        Some((*kind, data))
    })
}

/// Adds a page with the image on it to the document; the caller puts it into the page tree.
pub(super) fn add_page(document: &mut Document, format: Format, bytes: &[u8]) -> Result<ObjectId, Refusal> {
    let (image, width, height, orientation) = if format == Format::Jpeg {
        let header = read_jpeg(bytes)?;
        let (width, height) = (f32::from(header.width), f32::from(header.height));
        (jpeg_stream(&header, bytes.to_vec()), width, height, header.orientation)
    } else {
        let (image, width, height) = png_stream(bytes)?;
        (image, width, height, 1)
    };
    let image = document.add_object(image);
    let (shown_width, shown_height) = if orientation >= 5 { (height, width) } else { (width, height) };
    let (page_width, page_height) = if shown_width > shown_height { (PAGE.1, PAGE.0) } else { PAGE };
    let scale = POINTS_PER_PIXEL
        .min((page_width - 2.0 * MARGIN) / shown_width)
        .min((page_height - 2.0 * MARGIN) / shown_height);
    let (box_width, box_height) = (shown_width * scale, shown_height * scale);
    let (left, bottom) = ((page_width - box_width) / 2.0, (page_height - box_height) / 2.0);
    let mut matrix = placed(orientation, box_width, box_height);
    matrix[4] += left;
    matrix[5] += bottom;
    let matrix = matrix.map(|number| format!("{number:.3}")).join(" ");
    let content = format!("q {matrix} cm /Image Do Q");
    let content = document.add_object(Stream::new(Dictionary::new(), content.into_bytes()));
    Ok(document.add_object(dictionary! {
        "Type" => "Page",
        "MediaBox" => vec![0.into(), 0.into(), page_width.into(), page_height.into()],
        "Resources" => dictionary! { "XObject" => dictionary! { "Image" => image } },
        "Contents" => content,
    }))
}

/// The matrix that turns and mirrors the unit square of an image into its upright box.
fn placed(orientation: u16, width: f32, height: f32) -> [f32; 6] {
    let (w, h) = (width, height);
    match orientation {
        2 => [-w, 0.0, 0.0, h, w, 0.0],
        3 => [-w, 0.0, 0.0, -h, w, h],
        4 => [w, 0.0, 0.0, -h, 0.0, h],
        5 => [0.0, -h, -w, 0.0, w, h],
        6 => [0.0, -h, w, 0.0, 0.0, h],
        7 => [0.0, h, w, 0.0, 0.0, 0.0],
        8 => [0.0, h, -w, 0.0, w, 0.0],
        _ => [w, 0.0, 0.0, h, 0.0, 0.0],
    }
}

fn image_dictionary(width: u32, height: u32, bits: u8, color: Object) -> Dictionary {
    dictionary! {
        "Type" => "XObject",
        "Subtype" => "Image",
        "Width" => width,
        "Height" => height,
        "BitsPerComponent" => bits,
        "ColorSpace" => color,
    }
}

fn jpeg_stream(header: &Jpeg, bytes: Vec<u8>) -> Stream {
    let color = match header.components {
        1 => "DeviceGray",
        4 => "DeviceCMYK",
        _ => "DeviceRGB",
    };
    let mut dictionary = image_dictionary(header.width.into(), header.height.into(), 8, color.into());
    dictionary.set("Filter", "DCTDecode");
    if header.components == 4 {
        // Programs write four colours upside down.
        dictionary.set("Decode", [1, 0, 1, 0, 1, 0, 1, 0].map(Object::from).to_vec());
    }
    Stream::new(dictionary, bytes).with_compression(false)
}

fn png_stream(bytes: &[u8]) -> Result<(Stream, f32, f32), Refusal> {
    let header = read_png_header(bytes)?;
    if !header.plain {
        return png_stream(&flattened(bytes)?);
    }
    let chunk =
        |wanted: [u8; 4]| png_chunks(bytes).filter(move |(kind, _)| *kind == wanted).map(|(_, data)| data);
    let rows: Vec<u8> = chunk(*b"IDAT").flatten().copied().collect();
    let (components, color) = match header.color {
        ColorType::Indexed => {
            let palette = chunk(*b"PLTE").next().ok_or_else(|| malformed("no palette"))?;
            let last = i64::try_from(palette.len() / 3).unwrap_or(i64::MAX) - 1;
            let colors = Object::String(palette.to_vec(), lopdf::StringFormat::Hexadecimal);
            (1, Object::Array(vec!["Indexed".into(), "DeviceRGB".into(), last.into(), colors]))
        }
        ColorType::Grayscale => (1, "DeviceGray".into()),
        _ => (3, "DeviceRGB".into()),
    };
    let bits = header.depth as u8;
    let mut dictionary = image_dictionary(header.width, header.height, bits, color);
    dictionary.set("Filter", "FlateDecode");
    dictionary.set(
        "DecodeParms",
        dictionary! { "Predictor" => 15, "Colors" => components, "BitsPerComponent" => bits, "Columns" => header.width },
    );
    let stream = Stream::new(dictionary, rows).with_compression(false);
    Ok((stream, pixels(header.width), pixels(header.height)))
}

#[expect(clippy::cast_precision_loss, reason = "a place on paper, far coarser than what is lost")]
fn pixels(count: u32) -> f32 {
    count as f32
}

/// The same picture on white, in a PNG that a PDF can take as it is.
fn flattened(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(png_error)?;
    let size = reader.output_buffer_size().ok_or(Refusal::TooComplex)?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(png_error)?;
    pixels.truncate(frame.buffer_size());
    let (color, flat) = match frame.color_type {
        ColorType::GrayscaleAlpha => (ColorType::Grayscale, on_white::<2>(&pixels)),
        ColorType::Rgba => (ColorType::Rgb, on_white::<4>(&pixels)),
        color => (color, pixels),
    };
    let mut packed = Vec::new();
    let mut encoder = png::Encoder::new(&mut packed, frame.width, frame.height);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header().map_err(png_error)?;
    writer.write_image_data(&flat).map_err(png_error)?;
    writer.finish().map_err(png_error)?;
    Ok(packed)
}

/// Pixels of `N` bytes, the last of which says how opaque the others are.
fn on_white<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    let mut flat = Vec::with_capacity(pixels.len() / N * (N - 1));
    for pixel in pixels.chunks_exact(N) {
        let (colors, alpha) = (&pixel[..N - 1], u16::from(pixel[N - 1]));
        for &color in colors {
            let mixed = (u16::from(color) * alpha + 255 * (255 - alpha) + 127) / 255;
            flat.push(u8::try_from(mixed).unwrap_or(u8::MAX));
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_a_camera_was_held_is_read_in_both_byte_orders() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        assert_eq!(orientation(little), Some(6));
        assert_eq!(orientation(big), Some(8));
        assert_eq!(orientation(b"II*\0"), None);
        assert_eq!(orientation(b"II*\0\xff\xff\xff\xff"), None);
    }

    #[test]
    fn every_orientation_fills_the_same_box() {
        for orientation in 1..=8 {
            let matrix = placed(orientation, 30.0, 20.0);
            let mut corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)].map(|(right, up)| {
                let along = |axis: usize| matrix[axis] * right + matrix[axis + 2] * up + matrix[axis + 4];
                format!("{:.0} {:.0}", along(0).abs(), along(1).abs())
            });
            corners.sort();
            assert_eq!(corners, ["0 0", "0 20", "30 0", "30 20"], "orientation {orientation}");
        }
    }

    #[test]
    fn what_is_transparent_becomes_white() {
        assert_eq!(on_white::<4>(&[10, 20, 30, 0, 10, 20, 30, 255]), [255, 255, 255, 10, 20, 30]);
        assert_eq!(on_white::<2>(&[0, 128]), [127]);
    }
}
