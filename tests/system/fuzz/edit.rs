//! Inputs as scripts of edits: small changes of something good reach deeper than noise.

/// Begins an input that is taken as it is.
pub(crate) const RAW: u8 = 0xff;

/// The length of one edit: what to do, where (three bytes), and with what.
const EDIT: usize = 5;

/// What a script makes of `template`: sets bytes, flips bits, cuts off, doubles and removes. A script that begins with
/// [`RAW`] is itself the result.
pub(crate) fn edited(template: &[u8], script: &[u8]) -> Vec<u8> {
    if let Some((&RAW, raw)) = script.split_first() {
        return raw.to_vec();
    }
    let mut bytes = template.to_vec();
    for edit in script.chunks_exact(EDIT) {
        let (what, value) = (edit[0] % 5, edit[4]);
        let at = u32::from_le_bytes([edit[1], edit[2], edit[3], 0]) as usize;
        if bytes.is_empty() {
            break;
        }
        let at = at % bytes.len();
        let end = bytes.len().min(at + usize::from(value));
        match what {
            0 => bytes[at] = value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => bytes.truncate(at),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => drop(bytes.drain(at..end)),
        }
    }
    bytes
}

/// The script with one edit.
pub(crate) fn script(what: u8, at: u32, value: u8) -> Vec<u8> {
    let [low, middle, high, _] = at.to_le_bytes();
    vec![what, low, middle, high, value]
}

#[test]
fn a_script_does_what_it_says() {
    let template = b"abcdef";
    let does = |what, at, value| edited(template, &script(what, at, value));
    assert_eq!(does(0, 1, b'x'), b"axcdef");
    assert_eq!(does(1, 0, 0), b"`bcdef");
    assert_eq!(does(2, 3, 0), b"abc");
    assert_eq!(does(3, 1, 2), b"abcbcdef");
    assert_eq!(does(4, 1, 2), b"adef");
    assert_eq!(does(0, 7, b'x'), b"axcdef", "places beyond the end are taken modulo the length");
    assert_eq!(edited(template, b"\xffraw"), b"raw");
}
