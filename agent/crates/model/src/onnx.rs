//! A look at the outermost form of an ONNX file before it is parsed: the parser takes some damage for endless data.
//!
//! A file is one protobuf message, `ModelProto` of onnx.proto: the version of the format is field 1, the graph field 7.

/// A field's number and where the next one begins.
struct Field {
    number: u64,
    end: usize,
}

/// What is wrong with a file's outermost form, in words.
pub(crate) fn fault(file: &[u8]) -> Option<String> {
    let (mut version, mut graph) = (false, false);
    let mut place = 0;
    while place < file.len() {
        let Some(field) = field(file, place) else {
            return Some(format!("it makes no sense at byte {place}"));
        };
        if field.end > file.len() {
            return Some(format!(
                "it is cut off: there are {} bytes, and at least {} were written",
                file.len(),
                field.end
            ));
        }
        version |= field.number == 1;
        graph |= field.number == 7;
        place = field.end;
    }
    (!version || !graph).then(|| "it is no ONNX file".to_owned())
}

fn field(file: &[u8], place: usize) -> Option<Field> {
    let (key, place) = varint(file, place)?;
    let end = match key & 7 {
        0 => varint(file, place)?.1,
        1 => place.checked_add(8)?,
        2 => {
            let (length, place) = varint(file, place)?;
            place.checked_add(usize::try_from(length).ok()?)?
        }
        5 => place.checked_add(4)?,
        _ => return None,
    };
    let number = key >> 3;
    (1..1 << 29)
        .contains(&number)
        .then_some(Field { number, end })
}

/// A number of at most ten bytes, and the place behind it.
fn varint(file: &[u8], place: usize) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    for (index, byte) in file.get(place..)?.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index).min(63);
        if byte & 0x80 == 0 {
            return Some((number, place + index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_form() {
        // Version 8, a graph of three bytes.
        let good = [0x08, 8, 0x3a, 3, 1, 2, 3];
        assert_eq!(fault(&good), None);
        assert!(fault(&good[..5]).unwrap().contains("cut off"));
        assert!(fault(&[]).unwrap().contains("no ONNX"));
        assert!(fault(&[0xff; 64]).unwrap().contains("no sense"));
        assert!(fault(b"<!DOCTYPE html>").is_some());
    }
}
