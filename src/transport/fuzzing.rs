//! What has to hold of the names in a certificate, whatever bytes they have. See `src/fuzzing.rs`.

use super::certificate::role;
use crate::domain::Role;

const SEQUENCE: u8 = 0x30;
const ECDSA_WITH_SHA256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// A key on the curve P-256, by its algorithm.
const KEY_KIND: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[6, 3, 0x55, 0x1d, 17];

/// The names of a certificate, each with its tag and length: a role is that of the only one that is ours. A certificate that
/// has its names twice is nobody's.
pub fn names(names: &[u8]) {
    let found = role(&certificate(names, 1));
    let uris: Option<Vec<&[u8]>> = split(names)
        .map(|names| names.into_iter().filter(|(tag, _)| tag & 0xdf == 0x86).map(|(_, name)| name).collect());
    if let Some(role) = found {
        let Some(uris) = uris else { panic!("{role:?} of names that cannot be told apart") };
        let prefix = b"urn:quiniela:";
        let ours =
            uris.iter().filter(|uri| uri.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)));
        let ours: Vec<_> = ours.collect();
        assert!(ours.len() == 1 && *ours[0] == role.to_string().as_bytes(), "{role:?} of {ours:?}");
    } else if let Some(text) = only_uris(names) {
        assert_eq!(Role::of_names(text.iter().copied()), None, "{text:?} are nobody's");
    }
    assert_eq!(role(&certificate(names, 2)), None);
    assert_eq!(role(&[&certificate(names, 1)[..], b"\0"].concat()), None, "something follows it");
}

/// The names, if all of them are URIs of plain text in their shortest form.
fn only_uris(names: &[u8]) -> Option<Vec<&str>> {
    let text = |(tag, name): (u8, &'_ [u8])| (tag == 0x86 && name.is_ascii() && name.len() < 0x80).then_some(());
    let all = split(names)?;
    all.iter().try_for_each(|name| text(*name))?;
    // Only a length of one byte is the shortest form of these.
    let length: usize = all.iter().map(|(_, name)| name.len() + 2).sum();
    if length != names.len() {
        return None;
    }
    all.into_iter().map(|(_, name)| str::from_utf8(name).ok()).collect()
}

/// Splits names into tags and contents.
fn split(mut rest: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut names = Vec::new();
    while let [tag, length, behind @ ..] = rest {
        let (length, behind) = match length {
            0..=0x7f => (usize::from(*length), behind),
            0x81..=0x84 => {
                let (digits, behind) = behind.split_at_checked(usize::from(length - 0x80))?;
                (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), behind)
            }
            _ => return None,
        };
        let (name, behind) = behind.split_at_checked(length)?;
        names.push((*tag, name));
        rest = behind;
    }
    rest.is_empty().then_some(names)
}

/// A certificate with these names, so many times. Nobody has signed it: who reads a role does not ask that.
pub fn certificate(names: &[u8], times: usize) -> Vec<u8> {
    let algorithm = tlv(SEQUENCE, &[ECDSA_WITH_SHA256]);
    let empty_name = tlv(SEQUENCE, &[]);
    let validity = tlv(SEQUENCE, &[&tlv(0x17, &[b"250101000000Z"]), &tlv(0x17, &[b"350101000000Z"])]);
    let key = tlv(SEQUENCE, &[&tlv(SEQUENCE, &[KEY_KIND]), &tlv(3, &[&[0, 4], &[7; 64]])]);
    let extension = tlv(SEQUENCE, &[SUBJECT_ALTERNATIVE_NAME, &tlv(4, &[&tlv(SEQUENCE, &[names])])]);
    let extensions = tlv(0xa3, &[&tlv(SEQUENCE, &[&extension.repeat(times)])]);
    let version_and_number = [0xa0, 3, 2, 1, 2, 2, 1, 1];
    let content = [&version_and_number[..], &algorithm, &empty_name, &validity, &empty_name, &key, &extensions];
    tlv(SEQUENCE, &[&tlv(SEQUENCE, &content), &algorithm, &tlv(3, &[&[0, 1, 2, 3]])])
}

/// A value of DER: tag, length, content.
fn tlv(tag: u8, pieces: &[&[u8]]) -> Vec<u8> {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut bytes = vec![tag];
    match length {
        0..0x80 => bytes.push(length as u8),
        0x80..0x100 => bytes.extend([0x81, length as u8]),
        _ => bytes.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn such_a_certificate_is_read() {
        let uri = |text: &str| tlv(0x86, &[text.as_bytes()]);
        assert_eq!(role(&certificate(&uri("urn:quiniela:central"), 1)), Some(Role::Central));
        assert_eq!(role(&certificate(&uri("urn:uuid:1"), 1)), None);
    }
}
