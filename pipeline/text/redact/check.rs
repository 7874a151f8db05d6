//! Check digits and plausible parts: what tells an identity card or a bank card from any other long number.
//!
//! All functions take ASCII digits without separators.

use jiff::civil::Date;

/// Whether these 18 characters are a citizen identity number (GB 11643-1999): region, date of birth, sequence, check character.
pub(super) fn is_identity_18(number: &[u8]) -> bool {
    number.len() == 18
        && is_province(&number[..2])
        && is_birth_date(value(&number[6..10]), &number[10..14])
        && mod_11_2(&number[..17]) == number[17].to_ascii_uppercase()
}

/// Whether these 15 digits are an identity number of the form issued until 1999: region, date of birth with a two-digit year of the
/// twentieth century, sequence. It has no check character, so one in about eighty random numbers passes.
pub(super) fn is_identity_15(number: &[u8]) -> bool {
    number.len() == 15 && is_province(&number[..2]) && is_birth_date(1900 + value(&number[6..8]), &number[8..12])
}

/// The check character of 17 digits: ISO 7064 MOD 11-2, as GB 11643-1999 prescribes. The weight of place i from the right, counted from
/// one, is 2^(i−1) mod 11; the sum with the check character must be 1 mod 11.
fn mod_11_2(digits: &[u8]) -> u8 {
    const CHECK: [u8; 11] = *b"10X98765432";
    let sum = digits.iter().fold(0, |sum, d| (sum + u32::from(d - b'0')) * 2 % 11);
    CHECK[sum as usize]
}

/// Whether the last digit is the Luhn check digit of those before it (ISO/IEC 7812-1, annex B).
pub(super) fn is_luhn(number: &[u8]) -> bool {
    let sum: u32 = number.iter().rev().enumerate().map(|(place, d)| luhn_share(place, u32::from(d - b'0'))).sum();
    sum.is_multiple_of(10)
}

/// Every second digit from the right counts double, and a double of two digits counts as their sum.
fn luhn_share(place: usize, digit: u32) -> u32 {
    match (place % 2, digit * 2) {
        (0, _) => digit,
        (_, double) if double > 9 => double - 9,
        (_, double) => double,
    }
}

/// Whether a number of this length may begin with these digits, by the ranges that card networks have from ISO/IEC 7812. Every tenth
/// number passes Luhn's check, so without this every tenth order number, bar code and time stamp would be taken for a card.
pub(super) fn is_card_range(number: &[u8]) -> bool {
    if number.len() < 13 {
        return false;
    }
    match (value(&number[..2]), value(&number[..4]), number.len()) {
        (40..=49, _, 13 | 16 | 18 | 19) => true, // Visa, and Chinese debit cards in its range
        (34 | 37, _, 15) => true,                // American Express
        (30 | 36 | 38 | 39, _, 14 | 16..=19) => true, // Diners Club
        (35, _, 15..=19) => true,                // JCB
        (50..=59, _, 16..=19) => true,           // Mastercard, Maestro, RuPay
        (69, _, 13) => false,                    // bar codes of goods made in China
        (60..=69, _, 13..=19) => true,           // UnionPay, Discover, Maestro
        (_, 2200..=2204 | 2221..=2720, 16) => true, // Mir, Mastercard
        (81 | 82, _, 16) => true,                // RuPay
        (_, 9558 | 9550, 16..=19) => true,       // Chinese banks' old ranges
        _ => false,
    }
}

/// The first two digits of the administrative region (GB/T 2260), and those of residents from Hong Kong, Macau and Taiwan.
fn is_province(code: &[u8]) -> bool {
    matches!(value(code), 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83 | 91)
}

fn is_birth_date(year: u32, month_day: &[u8]) -> bool {
    let (month, day) = (value(&month_day[..2]), value(&month_day[2..4]));
    (1850..2100).contains(&year) && Date::new(year as i16, month as i8, day as i8).is_ok()
}

/// At most nine digits.
pub(super) fn value(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |value, d| value * 10 + u32::from(d - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_numbers_are_told_by_check_character_date_and_region() {
        let cases: [(&[u8], bool); 10] = [
            (b"11010519491231002X", true), // the standard's own example
            (b"440524188001010014", true), // the standard's own example
            (b"11010519491231002x", true),
            (b"110105194912310020", false),
            (b"11010519491331002X", false),
            (b"110101199003077758", true),
            (b"110101199003077757", false),
            (b"110101199002307750", false), // 30 February
            (b"990101199003077758", false),
            (b"1101011990030777", false),
        ];
        for (number, expected) in cases {
            assert_eq!(is_identity_18(number), expected, "{}", String::from_utf8_lossy(number));
        }
    }

    #[test]
    fn exactly_one_check_character_fits() {
        for seventeen in [b"11010519491231002", b"31010119800229123", b"51010720000101999"] {
            let fits = |c: &u8| is_identity_18(&[seventeen.as_slice(), &[*c]].concat());
            assert_eq!(b"0123456789X".iter().filter(|c| fits(c)).count(), 1);
        }
    }

    #[test]
    fn the_old_form_needs_a_region_and_a_date() {
        assert!(is_identity_15(b"110105491231002"));
        assert!(!is_identity_15(b"110105491331002"));
        assert!(!is_identity_15(b"100105491231002"));
    }

    #[test]
    fn luhn_finds_every_wrong_digit() {
        for number in ["4111111111111111", "378282246310005", "6222021234567890128", "79927398713"] {
            let number = number.as_bytes();
            let valid = if is_luhn(number) { number.to_vec() } else { with_check_digit(number) };
            assert!(is_luhn(&valid));
            for place in 0..valid.len() {
                let mut wrong = valid.clone();
                wrong[place] = b'0' + (wrong[place] - b'0' + 1) % 10;
                assert!(!is_luhn(&wrong), "{}", String::from_utf8_lossy(&wrong));
            }
        }
    }

    fn with_check_digit(number: &[u8]) -> Vec<u8> {
        let stem = &number[..number.len() - 1];
        let fitting = (b'0'..=b'9').map(|d| [stem, &[d]].concat()).find(|n| is_luhn(n));
        fitting.expect("one digit in ten fits")
    }

    #[test]
    fn card_ranges_leave_out_bar_codes_and_time_stamps() {
        for number in
            ["4111111111111111", "5555555555554444", "378282246310005", "6222021234567890128", "2221000000000009"]
        {
            assert!(is_card_range(number.as_bytes()), "{number}");
        }
        for number in ["6901234567892", "9787111213826", "20241122103000", "1732271400000", "411111111111"] {
            assert!(!is_card_range(number.as_bytes()), "{number}");
        }
    }
}
