//! Chinese, English, or neither: all that the models need to know.
//!
//! Scripts decide, and within the Latin script short words that only one language has. A trigram recogniser names more languages but needs
//! longer texts and many times the time, and has no answer for what shops really get: Chinese with brand names in it.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

/// Bytes that are looked at: bounds the time for a long text, and no text changes its language later so often that it would matter.
const BYTES_MAX: usize = 4_000;

/// Bytes of a word that are compared; longer words are in no list.
const WORD_MAX: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// Chinese, in simplified or traditional characters.
    Zh,
    En,
    /// Any other language, or none (numbers, emoji).
    Other,
}

impl Language {
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Zh => "zh",
            Language::En => "en",
            Language::Other => "other",
        }
    }
}

/// The language that most of a text is in. Markers that redaction left, and addresses, count for none.
pub fn language(text: &str) -> Language {
    let seen = Seen::of(&text[..text.floor_char_boundary(BYTES_MAX)]);
    let chinese = seen.han > 0 && is_chinese_among_names(&seen);
    if seen.is_of_another_script() {
        Language::Other
    } else if chinese {
        Language::Zh
    } else if seen.words == 0 || seen.foreign > seen.english {
        Language::Other
    } else {
        Language::En
    }
}

/// A Chinese word has about two characters. Where the Latin words make sentences (`the`, `is`), the Chinese must outweigh them; where they
/// are names, it need only be there.
fn is_chinese_among_names(seen: &Seen) -> bool {
    match seen.english + seen.foreign {
        0 => seen.han * 2 >= seen.words,
        _ => seen.han > seen.words * 2,
    }
}

/// What a text is made of.
#[derive(Default)]
struct Seen {
    /// Chinese characters.
    han: usize,
    kana: usize,
    /// Letters of other scripts than Latin.
    letters: usize,
    /// Words in Latin letters.
    words: usize,
    /// Of them, those that English has and its neighbours have not.
    english: usize,
    /// Of them, those that other languages have and English has not, by the list or by their accents.
    foreign: usize,
}

impl Seen {
    fn of(text: &str) -> Self {
        let mut seen = Self::default();
        let mut rest = text.chars();
        loop {
            let here = rest.as_str();
            let Some(c) = rest.next() else { return seen };
            let len = match c {
                // What most characters of most texts are, asked first.
                '\u{4E00}'..='\u{9FFF}' => {
                    seen.han += 1;
                    continue;
                }
                '[' => marker_len(here),
                _ if is_latin(c) => seen.word(here),
                _ => {
                    seen.character(c);
                    continue;
                }
            };
            rest = here[len..].chars();
        }
    }

    fn character(&mut self, c: char) {
        match c {
            '\u{3400}'..='\u{4DBF}' | '\u{20000}'..='\u{323AF}' => self.han += 1,
            // Full-width marks: between most clauses of Chinese, and letters of nobody.
            '，' | '。' | '！' | '？' | '、' | '：' | '；' | '（' | '）' | '“' | '”' | '…' => {}
            '\u{3041}'..='\u{3096}' | '\u{30A1}'..='\u{30FA}' => self.kana += 1,
            '\u{370}'.. if c.is_alphabetic() => self.letters += 1,
            _ => {}
        }
    }

    /// Counts the word at the beginning, or leaves the address there out; gives its length in bytes.
    fn word(&mut self, text: &str) -> usize {
        let end = word_len(text);
        if text[end..].starts_with("://") {
            return text.find(|c: char| !c.is_ascii_graphic()).unwrap_or(text.len());
        }
        let word = &text[..end];
        self.words += 1;
        match tongue(word) {
            Some(Tongue::English) => self.english += 1,
            Some(Tongue::Foreign) => self.foreign += 1,
            None => {}
        }
        end
    }

    /// Japanese has kana in every clause, Chinese an odd の in a shop's name.
    fn is_of_another_script(&self) -> bool {
        let japanese = self.kana > 1 && self.kana * 6 > self.han;
        japanese || self.letters + self.kana > self.han.max(self.words)
    }
}

/// The length of the word at the beginning, in bytes, with what an apostrophe joins to it.
fn word_len(text: &str) -> usize {
    let ascii = text.bytes().position(|b| !b.is_ascii_alphabetic() && b != b'\'').unwrap_or(text.len());
    if text.as_bytes().get(ascii).is_none_or(u8::is_ascii) {
        return ascii;
    }
    text.find(|c| !is_latin(c) && c != '\'').unwrap_or(text.len())
}

fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic()
        || ('\u{C0}'..='\u{24F}').contains(&c) && c != '×' && c != '÷'
        || ('\u{1E00}'..='\u{1EFF}').contains(&c)
}

/// The length of `[phone]` and the like; of the bracket alone where there is no marker.
fn marker_len(text: &str) -> usize {
    let name = text[1..].bytes().take_while(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')).count();
    if name > 0 && text[1 + name..].starts_with(']') { name + 2 } else { 1 }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tongue {
    English,
    Foreign,
}

fn tongue(word: &str) -> Option<Tongue> {
    if !word.is_ascii() {
        let borrowed = ["café", "cafés", "naïve", "résumé", "fiancé", "fiancée", "décor", "touché"];
        return (!borrowed.contains(&word.to_lowercase().as_str())).then_some(Tongue::Foreign);
    }
    let (stem, shortened) = match word.find('\'') {
        None => (word, false),
        Some(at) => (&word[..at], ["'s", "'t", "'m", "'re", "'ve", "'ll", "'d"].iter().any(|end| word.ends_with(end))),
    };
    let known = packed(stem).and_then(|key| WORDS.get(&key).copied());
    known.or(shortened.then_some(Tongue::English))
}

/// A short word in lower case as a number; `None` for a longer one.
fn packed(word: &str) -> Option<u64> {
    (word.len() <= WORD_MAX).then(|| word.bytes().fold(0, |key, b| key << 8 | u64::from(b.to_ascii_lowercase())))
}

static WORDS: LazyLock<HashMap<u64, Tongue, FixedState>> = LazyLock::new(|| {
    let english = ENGLISH.split_whitespace().map(|word| (word, Tongue::English));
    let foreign = FOREIGN.split_whitespace().map(|word| (word, Tongue::Foreign));
    english.chain(foreign).filter_map(|(word, tongue)| Some((packed(word)?, tongue))).collect()
});

/// Frequent in English, and rare in the languages of the other list.
const ENGLISH: &str = "the and is are was were be been being am i you he she it we they my your his her its our their this that these those
    of to for with from by at as but if than then when what which who why how not no have has had having do does did can could will
    would should may might very too so just only also there here all any some more most much many out up about into over after before again
    back because while where get got buy bought use used works work good great love like nice bad well really product best please thank
    thanks never ever would one two now new other him them us or on";

/// Frequent in French, German, Spanish, Portuguese, Italian, Dutch, the Scandinavian languages, Polish, Turkish, Indonesian, Malay and
/// Vietnamese (without their accents too), and not in English.
const FOREIGN: &str = "le la les un une des du et pas pour dans que qui sur avec ce cette il elle je tu nous vous mais ou ne au aux son mon
    tres bien bon bonne produit merci livraison
    der das den dem ein eine einen einem und ist nicht mit ich du sie es wir ihr auf zu von im auch sehr gut wie aber oder wenn nach bei
    aus schlecht danke kein keine produkt lieferung schnell
    el los las del al y en es por para con su una uno lo muy pero como mas este esta bueno buena gracias llego excelente todo
    o os da dos nas em um uma nao com se muito bom boa obrigado produto chegou rapido foi
    di che non per sono della ottimo buono molto prodotto grazie anche questo questa il gli ma tutto perfetto arrivato
    het een van niet met ik zijn maar ook voor goed heel erg mijn dat wat deze
    och att det som inte jag ar pa med av til er ikke jeg meget bra mycket
    nie jest sie na jak tak ale bardzo dobry polecam z
    ve bir bu icin cok ama urun iyi guzel
    yang dan ini itu tidak dengan untuk saya bagus sangat barang cepat sudah sekali
    rat khong toi hang tot cua cho nhung";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: Language, texts: &[&str]) {
        for text in texts {
            assert_eq!(language(text), expected, "{text}");
        }
    }

    #[test]
    fn chinese_in_both_scripts_and_among_names() {
        check(
            Language::Zh,
            &[
                "好",
                "物流很快，包装也很好，下次还会再来",
                "手機很好用，電池續航力也不錯",
                "這個賣家的服務態度非常差，不推薦",
                "iPhone 15 Pro Max 很好用",
                "HUAWEI Mate 60 Pro 拍照清晰",
                "买了Apple Watch，配合iPhone用很方便",
                "OK，好的",
                "这个app的UI太丑了",
                "用了Wi-Fi 6路由器，速度提升明显",
                "我的电话是[phone]，邮箱[email]，请联系",
                "看 https://shop.example/a/b/c/d/e/f 这个",
                "鲜の每日牛奶味道不错",
                "已收到，thank you！东西很不错，老公很喜欢",
                "👍👍 好评",
                "5星好评！！！",
                "质量太差了……退货！！",
                "客服说iPhone is not in stock，让我等了一个星期还没有发货",
                "Sony WH-1000XM5 降噪",
                "性价比高",
            ],
        );
    }

    #[test]
    fn english_also_with_a_word_of_chinese() {
        check(
            Language::En,
            &[
                "good",
                "Great product, fast delivery!",
                "I love my 小米手机",
                "I bought this 手机 yesterday and it is great",
                "Please refund 退款 now, I have been waiting for a week",
                "Don't buy it.",
                "battery died",
                "The café nearby sells it for less",
                "It's a naïve design but works",
                "would not recommend to anyone",
                "Where's my order?? #12345",
                "call me at [phone] or [email] please",
                "see https://la.example/le/les/une/que for the manual",
                "AMAZING QUALITY",
                "5 stars!!!",
                "I didn't like the colour, so I sent it back",
                "my card was charged twice",
                "How do I activate my card?",
                "screen cracked after 2 days 😡",
                "ok",
            ],
        );
    }

    #[test]
    fn other_languages_and_none() {
        check(
            Language::Other,
            &[
                "",
                "12345",
                "👍👍👍",
                "❤️🔥",
                "！！！？？",
                "[phone]",
                "最高の商品でした。とても気に入っています",
                "バッテリーの持ちが悪い",
                "届くのが早くて助かりました",
                "배송이 빠르고 좋아요",
                "제품이 정말 마음에 듭니다 iPhone",
                "Очень хороший товар, спасибо",
                "Доставка быстрая",
                "Très bon produit, je recommande",
                "Le produit est arrivé cassé",
                "La batterie ne tient pas",
                "Sehr gutes Produkt, schnelle Lieferung",
                "Das Handy ist nicht gut",
                "Leider ist der Akku schlecht",
                "Muy buen producto, llegó rápido",
                "La batería dura muy poco",
                "No me gusta, es muy caro",
                "Ottimo prodotto, molto bello",
                "Muito bom, chegou antes do prazo",
                "Heel goed product, snel geleverd",
                "Bardzo dobry produkt, polecam",
                "Çok güzel bir ürün",
                "Barang bagus, pengiriman cepat sekali",
                "Sản phẩm rất tốt",
                "สินค้าดีมาก",
                "منتج رائع جدا",
                "मोबाइल बहुत अच्छा है",
                "Πολύ καλό προϊόν",
                "המוצר מצוין",
                "Mycket bra produkt, jag är nöjd",
            ],
        );
    }

    #[test]
    fn a_word_is_in_one_list_only() {
        let foreign: Vec<_> = FOREIGN.split_whitespace().collect();
        let both = ENGLISH.split_whitespace().filter(|word| foreign.contains(word));
        assert_eq!(both.collect::<Vec<_>>(), [""; 0]);
        let long = ENGLISH.split_whitespace().chain(FOREIGN.split_whitespace()).filter(|w| w.len() > WORD_MAX);
        assert_eq!(long.collect::<Vec<_>>(), ["livraison", "lieferung", "excelente"]);
    }

    #[test]
    fn a_long_text_is_judged_by_its_beginning() {
        assert_eq!(language(&"好".repeat(1_000_000)), Language::Zh);
        assert_eq!(language(&"a".repeat(1_000_000)), Language::En);
    }
}
