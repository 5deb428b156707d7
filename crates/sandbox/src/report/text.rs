//! CSV text, pushed onto a line.

/// Appends a field, quoted where it must be.
pub(super) fn push_csv(out: &mut Vec<u8>, text: &str) {
    if !text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Appends an instant as a wall clock shows it: "2024-10-24 13:45:00". Without a zone, in UTC.
pub(super) fn push_time(out: &mut Vec<u8>, seconds: i64, zone: Option<&jiff::tz::TimeZone>) {
    let zone = zone.cloned().unwrap_or(jiff::tz::TimeZone::UTC);
    let Ok(instant) = jiff::Timestamp::from_second(seconds) else { return };
    let civil = zone.to_datetime(instant);
    push_digits(out, civil.year().unsigned_abs().into(), 1000);
    for (mark, part) in [
        (b'-', civil.month()),
        (b'-', civil.day()),
        (b' ', civil.hour()),
        (b':', civil.minute()),
        (b':', civil.second()),
    ] {
        out.push(mark);
        push_digits(out, part.unsigned_abs().into(), 10);
    }
}

fn push_digits(out: &mut Vec<u8>, number: u32, mut unit: u32) {
    while unit > 0 {
        out.push(b'0' + u8::try_from(number / unit % 10).unwrap_or(0));
        unit /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let csv = |text| {
            let mut out = Vec::new();
            push_csv(&mut out, text);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(csv("plain"), "plain");
        assert_eq!(csv("a,b"), "\"a,b\"");
        assert_eq!(csv("say \"x\"\n"), "\"say \"\"x\"\"\n\"");
    }

    #[test]
    fn times_are_wall_clock_times() {
        let time = |zone: Option<&str>| {
            let mut out = Vec::new();
            push_time(
                &mut out,
                1_729_777_509,
                zone.map(|name| jiff::tz::TimeZone::get(name).unwrap()).as_ref(),
            );
            String::from_utf8(out).unwrap()
        };
        assert_eq!(time(None), "2024-10-24 13:45:09");
        assert_eq!(time(Some("America/New_York")), "2024-10-24 09:45:09");
    }
}
