//! What is found and what is left, as tables of a text and what becomes of it.

use super::*;
use crate::config::Secret;
use crate::text::normalise;

pub(super) const ALL: [RedactionKind; 6] = [
    RedactionKind::Phone,
    RedactionKind::Email,
    RedactionKind::IdentityCard,
    RedactionKind::BankCard,
    RedactionKind::UrlToken,
    RedactionKind::IpAddress,
];

pub(super) fn redactor(kinds: &[RedactionKind], patterns: &[(&str, &str)], user: UserRedaction) -> Redactor {
    let patterns = patterns.iter().map(|(name, pattern)| (name.to_string(), Regex::new(pattern).unwrap())).collect();
    Redactor::new(&Redaction { kinds: kinds.to_vec(), patterns, user })
}

pub(super) fn all() -> Redactor {
    redactor(&ALL, &[], UserRedaction::Keep)
}

/// As the pipeline does it: normalised, then redacted.
pub(super) fn after(redactor: &Redactor, text: &str) -> String {
    redactor.redact(&normalise(text)).text.into_owned()
}

fn check(cases: &[(&str, &str)]) {
    let redactor = all();
    let wrong: Vec<_> = cases
        .iter()
        .map(|(text, expected)| (text, after(&redactor, text), expected))
        .filter(|(_, got, expected)| got != *expected)
        .map(|(text, got, expected)| format!("{text}\n   gives {got}\n   not   {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_left(texts: &[&str]) {
    check(&texts.iter().map(|&text| (text, text)).collect::<Vec<_>>());
}

#[test]
fn mobile_numbers_of_mainland_china() {
    check(&[
        ("我的电话是13800138000谢谢", "我的电话是[phone]谢谢"),
        ("13800138000", "[phone]"),
        ("138 0013 8000", "[phone]"),
        ("138-0013-8000", "[phone]"),
        ("138.0013.8000", "[phone]"),
        ("138－0013－8000", "[phone]"),
        ("138–0013–8000", "[phone]"),
        ("1380013 8000", "[phone]"),
        ("138 00138000", "[phone]"),
        ("1380 013 8000", "[phone]"),
        ("1 3 8 0 0 1 3 8 0 0 0", "[phone]"),
        ("1-3-8-0-0-1-3-8-0-0-0", "[phone]"),
        ("１３８００１３８０００", "[phone]"),
        ("电话：１３８　００１３　８０００。", "电话：[phone]。"),
        ("138\u{200B}0013\u{200B}8000", "[phone]"),
        ("1️⃣3️⃣8️⃣0️⃣0️⃣1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣", "[phone]"),
        ("٠٠٨٦ ١٣٨٠٠١٣٨٠٠٠", "[phone]"),
        ("+8613800138000", "[phone]"),
        ("+86 138 0013 8000", "[phone]"),
        ("+86-138-0013-8000", "[phone]"),
        ("＋８６ １３８００１３８０００", "[phone]"),
        ("(+86)138 0013 8000", "[phone]"),
        ("（86）13800138000", "[phone]"),
        ("86 13800138000", "[phone]"),
        ("8613800138000", "[phone]"),
        ("0086 13800138000", "[phone]"),
        ("008613800138000", "[phone]"),
        ("013800138000", "[phone]"),
        ("tel:13800138000", "tel:[phone]"),
        ("加wx13800138000同号", "加wx[phone]同号"),
        ("13912345678wx同号", "[phone]wx同号"),
        ("tel13912345678wx13800138000", "tel[phone]wx[phone]"),
        ("电话13800138000，备用19912345678", "电话[phone]，备用[phone]"),
        ("13800138000/13912345678", "[phone]/[phone]"),
        ("13800138000 13912345678", "[phone] [phone]"),
        ("买了3个 138 0013 8000", "买了3个 [phone]"),
        ("下单 2 138 0013 8000", "下单 2 [phone]"),
        ("2024-01-15 13800138000 张三", "2024-01-15 [phone] 张三"),
        ("1.13800138000 2.13912345678", "1.[phone] 2.[phone]"),
        ("call 13800138000.", "call [phone]."),
        ("13800138000元", "[phone]元"),
    ]);
}

#[test]
fn other_telephone_numbers() {
    check(&[
        ("010-62345678", "[phone]"),
        ("（010）62345678", "[phone]"),
        ("(0755) 8888 8888", "[phone]"),
        ("0755-88888888转801", "[phone]转801"),
        ("021-62345678-801", "[phone]"),
        ("02162345678", "[phone]"),
        ("0571 8765 4321", "[phone]"),
        ("0312-2345678", "[phone]"),
        ("+86 10 6234 5678", "[phone]"),
        ("+86-755-88888888", "[phone]"),
        ("0086 21 62345678", "[phone]"),
        ("客服400-123-4567", "客服[phone]"),
        ("4008123123", "[phone]"),
        ("400 812 3123", "[phone]"),
        ("4006-700-700", "[phone]"),
        ("800-810-8888", "[phone]"),
        ("+1 415-555-2671 is me", "[phone] is me"),
        ("+14155552671", "[phone]"),
        ("+1 (415) 555-2671", "[phone]"),
        ("(415) 555-2671", "[phone]"),
        ("415-555-2671", "[phone]"),
        ("415.555.2671", "[phone]"),
        ("1-800-555-0199", "[phone]"),
        ("+44 7911 123456", "[phone]"),
        ("+44 20 7946 0958", "[phone]"),
        ("+33 6 12 34 56 78", "[phone]"),
        ("+852 9123 4567", "[phone]"),
        ("+886912345678", "[phone]"),
        ("0044 7911 123456", "[phone]"),
        ("+49 (0)151 23456789", "[phone]"),
        ("+65 9123 4567 3 times", "[phone] 3 times"),
    ]);
}

#[test]
fn identity_cards() {
    check(&[
        ("身份证110101199003077758", "身份证[identity_card]"),
        ("11010519491231002X", "[identity_card]"),
        ("11010519491231002x的", "[identity_card]的"),
        ("１１０１０５１９４９１２３１００２Ｘ", "[identity_card]"),
        ("110101 19900307 7758", "[identity_card]"),
        ("110105-19491231-002X", "[identity_card]"),
        ("1101 0519 4912 3100 2X", "[identity_card]"),
        ("440524188001010014", "[identity_card]"),
        ("310101198510201234和13800138000", "[identity_card]和[phone]"),
        ("老证110105491231002", "老证[identity_card]"),
        ("110105491231002 12", "[identity_card] 12"),
        ("ID310101198510201234", "ID[identity_card]"),
    ]);
}

#[test]
fn bank_cards() {
    check(&[
        ("6222021000000000009", "[bank_card]"),
        ("卡号6217000010000000003，工行", "卡号[bank_card]，工行"),
        ("6228 4800 1234 5678 903", "[bank_card]"),
        ("6228-4800-1234-5678-903", "[bank_card]"),
        ("９５５８８００２００００００００００６", "[bank_card]"),
        ("4111 1111 1111 1111", "[bank_card]"),
        ("4111-1111-1111-1111", "[bank_card]"),
        ("4111111111111111", "[bank_card]"),
        ("5555555555554444", "[bank_card]"),
        ("3782 822463 10005", "[bank_card]"),
        ("6011111111111117", "[bank_card]"),
        ("3530111333300000", "[bank_card]"),
        ("30569309025904", "[bank_card]"),
        ("4000000000006", "[bank_card]"),
        ("2200000000000004", "[bank_card]"),
        ("card 4111 1111 1111 1111 exp 12/26", "card [bank_card] exp 12/26"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "[bank_card]"),
        ("尾号1234 6222021000000000009", "尾号1234 [bank_card]"),
    ]);
}

#[test]
fn mail_addresses() {
    check(&[
        ("foo@example.com", "[email]"),
        ("邮箱foo.bar+x@mail.example.co.uk，谢谢", "邮箱[email]，谢谢"),
        ("12345678@qq.com", "[email]"),
        ("13800138000@163.com", "[email]"),
        ("ｆｏｏ＠ｑｑ．ｃｏｍ", "[email]"),
        ("我的邮箱是foo@qq.com谢谢", "我的邮箱是[email]谢谢"),
        ("mail me (foo@example.com).", "mail me ([email])."),
        ("mailto:foo@example.com", "mailto:[email]"),
        ("josé@example.org", "[email]"),
        ("foo_bar-baz@sub-domain.example.com", "[email]"),
        ("a@b.cn,c@d.cn", "[email],[email]"),
        ("email=foo@example.com", "email=[email]"),
        ("foo@qq.com13800138000", "[email][phone]"),
        ("138 0013 8000@qq.com", "[phone]"),
        ("user@xn--fiqs8s.xn--fiqs8s", "[email]"),
    ]);
}

#[test]
fn urls_keep_what_is_harmless() {
    check(&[
        ("https://shop.example/item/1?token=abc", "https://shop.example/item/1?[url]"),
        ("看https://shop.example/i?id=1&sig=x谢谢", "看https://shop.example/i?[url]谢谢"),
        ("https://shop.example/s?q=手机&token=abc 好", "https://shop.example/s?[url] 好"),
        ("http://ann:secret@shop.example/a", "http://[url]@shop.example/a"),
        ("https://ann:pw@shop.example/a?x=1#y", "https://[url]@shop.example/a?[url]"),
        ("https://shop.example/#access_token=abc", "https://shop.example/#[url]"),
        ("https://shop.example/a;jsessionid=ABC", "https://shop.example/a;[url]"),
        ("https://shop.example/reset/9f8a7c6b5d4e3f2a1b0c/go", "https://shop.example/reset/[url]/go"),
        ("https://shop.example/r/550e8400-e29b-41d4-a716-446655440000", "https://shop.example/r/[url]"),
        ("(https://shop.example/?a=b).", "(https://shop.example/?[url])."),
        ("shop.example.com/reset?token=abc", "shop.example.com/reset?[url]"),
        ("www.shop.com?code=1", "www.shop.com?[url]"),
        ("https://shop.example/u/13800138000", "https://shop.example/u/[phone]"),
        ("https://shop.example/?u=13800138000&e=foo@x.com", "https://shop.example/?[url]"),
        ("https://shop.example/?ids[]=1&token=2", "https://shop.example/?[url]"),
        ("ｈｔｔｐｓ：／／shop.example/a?b=1", "https://shop.example/a?[url]"),
        ("shop.cn/x?t=1 https://b.cn/?y=2", "shop.cn/x?[url] https://b.cn/?[url]"),
        ("ftp://u:p@10.0.0.1/x", "ftp://[url]@[ip_address]/x"),
    ]);
}

#[test]
fn addresses_of_the_internet_protocol() {
    check(&[
        ("192.168.1.10", "[ip_address]"),
        ("我的IP是203.0.113.7，被封了", "我的IP是[ip_address]，被封了"),
        ("10.0.0.1:8080", "[ip_address]:8080"),
        ("http://10.0.0.1/a", "http://[ip_address]/a"),
        ("from 255.255.255.255.", "from [ip_address]."),
        ("2001:db8::8a2e:370:7334", "[ip_address]"),
        ("fe80::1 is down", "[ip_address] is down"),
        ("ip:2001:0db8:0000:0000:0000:ff00:0042:8329", "ip:[ip_address]"),
        ("http://[2001:db8::1]:80/", "http://[[ip_address]]:80/"),
        ("地址2408:8000::abcd。", "地址[ip_address]。"),
    ]);
}

#[test]
fn other_numbers_are_left() {
    check_left(&[
        "订单号2024112213800138000123",
        "订单号 138001380001",
        "订单1234567890123",
        "运单号SF1391234567890",
        "快递773012345678901",
        "订单20241122103000123456",
        "order 112-3456789-1234567",
        "价格1399元，原价1599元",
        "¥12,999.00",
        "1299 1399 4599 6999",
        "2024-11-22 10:30:00",
        "2024/11/22",
        "20241122103000",
        "1732271400000",
        "1732271400",
        "10:30-11:30",
        "尺寸13.8*0.01",
        "13.8x20.5x30cm",
        "165/88A 2XL",
        "1920x1080 144Hz",
        "ISBN 978-7-111-21382-6",
        "ISBN 9787111213826",
        "ISBN 0-306-40615-2",
        "条码6901234567892",
        "型号WH-1000XM5",
        "RTX 4090 24GB",
        "3.14159",
        "0.13800138000",
        "100%满意，10000次",
        "QQ 12345678",
        "邮编100000",
        "12306 10086 95588 110",
        "+100 points",
        "1+1=2",
        "C++17 and 20",
        "5-10天",
        "a1b2c3d4e5f60718293a",
        "550e8400-e29b-41d4-a716-446655440000",
        "9f13800138000ab1",
        "110101199003077757",
        "110101199013077758",
        "110105491331002",
        "4111111111111112",
        "4111 1111 1111 1112",
        "1234567812345670",
        "12800138000",
        "1380013800",
        "1112223334",
        "4155552671",
        "0755-12345",
        "62345678",
        "第138章 0013节 8000字",
        "电池5000mAh，屏幕6.7英寸，重量221克",
        "满300减50，叠加88折",
    ]);
}

#[test]
fn other_signs_are_left() {
    check_left(&[
        "@小米 你好",
        "@user thanks",
        "a@b",
        "foo @ bar.com",
        "foo@@bar",
        "5 @ 3.99",
        "@qq.com",
        "version 1.2.3.4",
        "v1.2.3.4",
        "固件1.2.3.4有问题",
        "HarmonyOS 4.0.0.126 很卡",
        "app版本：10.2.30.1",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "01.02.03.04",
        "std::vec::Vec a::b",
        "12:30:45",
        "00:1A:2B:3C:4D:5E",
        "比分 3:2:1",
        "https://shop.example/item/100012043978.html",
        "https://shop.example/best-phone-of-2024-reviewed",
        "https://shop.example/",
        "http://shop.example:8080/a/b.html",
        "www.shop.com",
        "What? really=yes",
        "good?yes",
        "is it 5.5?a=b",
        "",
        "好",
        "👍👍👍",
        "[phone]",
        "[x] 选中",
    ]);
}

#[test]
fn the_tables_are_of_some_size() {
    let source = include_str!("tests.rs");
    let pairs = source.lines().filter(|l| l.starts_with("        (\"")).count();
    let left = source.lines().filter(|l| l.starts_with("        \"") && l.ends_with("\",")).count();
    assert!(pairs >= 100 && left >= 60, "{pairs} {left}");
}

#[test]
fn a_kind_that_is_off_is_left() {
    let phones = redactor(&[RedactionKind::Phone], &[], UserRedaction::Keep);
    assert_eq!(after(&phones, "13800138000 foo@x.com 10.0.0.1"), "[phone] foo@x.com 10.0.0.1");
    let none = redactor(&[], &[], UserRedaction::Keep);
    assert_eq!(after(&none, "13800138000 foo@x.com https://x.cn/?a=b"), "13800138000 foo@x.com https://x.cn/?a=b");
    let cards = redactor(&[RedactionKind::BankCard], &[], UserRedaction::Keep);
    assert_eq!(after(&cards, "110101199003077758 4111111111111111"), "110101199003077758 [bank_card]");
}

#[test]
fn counts_are_by_name() {
    let redactor = redactor(&ALL, &[("order", r"JD\d{6,}")], UserRedaction::Keep);
    let redacted = redactor.redact("13800138000 和 13912345678，foo@x.com，JD123456");
    assert_eq!(redacted.text, "[phone] 和 [phone]，[email]，[order]");
    let counts: Vec<_> = redacted.counts.iter().map(|(name, count)| (name.as_ref(), *count)).collect();
    assert_eq!(counts, [("email", 1), ("phone", 2), ("order", 1)]);
}

#[test]
fn overlapping_finds_leave_nothing_between_them() {
    let redactor = redactor(&ALL, &[("name", "张.(?:138)?"), ("tail", r"8000年?"), ("any", "x*")], UserRedaction::Keep);
    assert_eq!(after(&redactor, "张三13800138000年"), "[phone]");
    assert_eq!(after(&redactor, "张三好"), "[name]好");
    assert_eq!(after(&redactor, "8000年"), "[tail]");
}

#[test]
fn what_a_pattern_uncovers_is_found_too() {
    let redactor = redactor(&ALL, &[("lead", "9999")], UserRedaction::Keep);
    assert_eq!(after(&redactor, "999913800138000"), "[lead][phone]");
}

#[test]
fn a_pattern_does_not_eat_markers() {
    let redactor = redactor(&ALL, &[("word", "[a-z]+")], UserRedaction::Keep);
    let once = after(&redactor, "hello 13800138000");
    assert_eq!(once, "[word] [phone]");
    assert_eq!(after(&redactor, &once), once);
}

#[test]
fn users_are_kept_or_named_anew_or_left_out() {
    assert_eq!(all().user("u-1").as_deref(), Some("u-1"));
    assert_eq!(redactor(&[], &[], UserRedaction::Drop).user("u-1"), None);
    // RFC 4231, test case 2.
    let keyed = redactor(&[], &[], UserRedaction::Pseudonym(Secret::new("Jefe")));
    assert_eq!(keyed.user("what do ya want for nothing?").as_deref(), Some("5bdcc146bf60754e6a042426089575c7"));
    assert_ne!(keyed.user("u-1"), keyed.user("u-2"));
    assert!(!format!("{keyed:?}").contains("Jefe"));
}

#[test]
fn a_text_without_finds_is_borrowed() {
    let redactor = all();
    assert!(matches!(redactor.redact("物流很快，5天就到了").text, Cow::Borrowed(_)));
}

#[test]
fn hostile_texts_take_linear_time() {
    let redactor = all();
    let long = |part: &str| part.repeat((1 << 17) / part.len());
    for part in [
        "1",
        "1 ",
        "1.",
        "a1",
        "@",
        "a@",
        "a.b?",
        "://",
        "a://",
        ":",
        "1:",
        "好&",
        "https://a?",
        "[phone",
        "13800138000",
        "(",
        "a.a@a.a.",
    ] {
        let text = long(part);
        let began = std::time::Instant::now();
        redactor.redact(&text);
        assert!(began.elapsed().as_secs() < 10, "{part}: {:?}", began.elapsed());
    }
}
