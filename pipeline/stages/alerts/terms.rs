//! Words and phrases of a text, and how alike two texts are. English words and pairs of them; Chinese by pairs of
//! characters, which overlap and are put together to phrases again where they are shown.

use std::collections::BTreeSet;

/// Terms that are taken of a text.
const TERMS_MAX: usize = 40;
/// Characters that are looked at.
const CHARS_MAX: usize = 600;
/// Characters of a shingle: about a word.
const HAN_SHINGLE: usize = 2;
const LETTERS_SHINGLE: usize = 4;
/// Fewer say so little that many people write them by themselves: "打不开", "it is down".
const SHINGLES_MIN: usize = 8;
/// Fingerprints of texts that are alike differ in so few bits at most. With a word put in front, behind or in the place of
/// another, half of the texts of 13 to 20 Chinese characters differ in 8 and nine of ten in 14; of two different reviews or
/// tweets, one pair in ten thousand differs in 16.
pub const ALIKE_BITS: u32 = 14;
/// Vectors of a model lie closer: of two different texts, one pair in a hundred differs in 8.
const ALIKE_VECTOR_BITS: u32 = 3;
/// The last bit of a fingerprint says of what it is.
const OF_VECTOR: u64 = 1;

/// Words that say nothing of what a text is about, in the order of their bytes.
const STOP: &[&str] = &[
    "a", "about", "after", "again", "ago", "all", "already", "also", "am", "amp", "an", "and", "any", "are", "aren't",
    "as", "ask", "at", "back", "be", "because", "been", "before", "being", "but", "by", "can", "can't", "cannot",
    "can’t", "come", "could", "day", "did", "didn't", "do", "does", "doesn't", "doing", "don't", "done", "don’t",
    "down", "even", "ever", "every", "few", "for", "from", "get", "gets", "getting", "give", "go", "goes", "going",
    "gone", "gonna", "good", "got", "great", "had", "has", "hasn't", "have", "haven't", "having", "he", "her", "here",
    "hey", "hi", "him", "his", "how", "http", "https", "i", "i'd", "i'll", "i'm", "i've", "if", "im", "in", "into",
    "is", "isn't", "it", "it's", "its", "it’s", "i’m", "just", "know", "last", "least", "let", "like", "ll", "look",
    "lot", "made", "make", "many", "may", "me", "more", "most", "much", "my", "need", "never", "new", "next", "no",
    "not", "now", "of", "off", "ok", "on", "one", "only", "or", "other", "our", "out", "over", "own", "please", "pls",
    "put", "re", "really", "right", "rt", "said", "same", "say", "see", "she", "should", "since", "so", "some",
    "still", "such", "sure", "take", "tell", "than", "thank", "thanks", "that", "that's", "the", "their", "them",
    "then", "there", "these", "they", "thing", "things", "this", "those", "through", "thru", "thx", "time", "to",
    "today", "told", "too", "two", "u", "up", "ur", "us", "use", "ve", "very", "via", "want", "was", "wasn't", "way",
    "we", "we'll", "we're", "we've", "well", "were", "what", "when", "where", "which", "while", "who", "why", "will",
    "with", "won't", "would", "yes", "yet", "you", "you're", "your",
];

/// Characters that join others and mean nothing by themselves.
const STOP_HAN: &str = "的了是我你他她它们这那就都也很在有和与不没吗呢吧啊哦哈嗯呀么个之而但又还要会能可以说给对让被把从到得着过再才只去来上下好太多买用";

/// The distinct terms of a text, in its order; at most 40.
pub fn terms(text: &str) -> Vec<String> {
    let mut found = Terms::default();
    for piece in pieces(text) {
        match piece {
            Piece::Word(word) => found.word(word),
            Piece::Han(run) => found.han(run),
            Piece::Break => found.last = None,
        }
    }
    found.list
}

#[derive(Default)]
struct Terms {
    list: Vec<String>,
    seen: BTreeSet<String>,
    /// The word before, if it counts.
    last: Option<String>,
}

impl Terms {
    fn add(&mut self, term: String) {
        if self.list.len() < TERMS_MAX && self.seen.insert(term.clone()) {
            self.list.push(term);
        }
    }

    fn word(&mut self, word: &str) {
        let word = word.trim_matches(['\'', '’', '-', '_']).to_lowercase();
        let counts = word.chars().count() > 2
            && word.chars().any(char::is_alphabetic)
            && STOP.binary_search(&word.as_str()).is_err();
        if !counts {
            self.last = None;
            return;
        }
        if let Some(last) = self.last.replace(word.clone()) {
            self.add(format!("{last} {word}"));
        }
        self.add(word);
    }

    fn han(&mut self, run: &str) {
        self.last = None;
        let chars: Vec<char> = run.chars().collect();
        for pair in chars.windows(2) {
            if !pair.iter().any(|c| STOP_HAN.contains(*c)) {
                self.add(pair.iter().collect());
            }
        }
    }
}

enum Piece<'a> {
    Word(&'a str),
    Han(&'a str),
    /// Something that ends a phrase.
    Break,
}

/// The text cut where letters of one kind end. Names of users, addresses and what redaction has put in are left out.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let end = text.char_indices().nth(CHARS_MAX).map_or(text.len(), |(at, _)| at);
    let mut pieces = Vec::new();
    for token in text[..end].split_whitespace() {
        let left_out = token.starts_with(['@', '[', '<', '{']) || token.contains("://") || token.starts_with("www.");
        if left_out {
            pieces.push(Piece::Break);
            continue;
        }
        cut(token, &mut pieces);
    }
    pieces
}

fn cut<'a>(token: &'a str, pieces: &mut Vec<Piece<'a>>) {
    let (mut start, mut kind) = (0, Class::Other);
    let mut push = |from: usize, to: usize, kind: Class| match kind {
        Class::Letter if from < to => pieces.push(Piece::Word(&token[from..to])),
        Class::Han if from < to => pieces.push(Piece::Han(&token[from..to])),
        Class::Other if from < to && token[from..to] != *"#" => pieces.push(Piece::Break),
        _ => {}
    };
    for (at, c) in token.char_indices() {
        let now = class(c);
        if now != kind {
            push(start, at, kind);
            (start, kind) = (at, now);
        }
    }
    push(start, token.len(), kind);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Han,
    Other,
}

fn class(c: char) -> Class {
    match c {
        '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{323af}' => Class::Han,
        '\'' | '’' | '-' | '_' => Class::Letter,
        c if c.is_alphanumeric() => Class::Letter,
        _ => Class::Other,
    }
}

/// A fingerprint of 64 bits in which texts that are alike differ in few (Charikar, Similarity estimation techniques from
/// rounding algorithms, 2002; on shingles as in Manku, Jain & Sarma, Detecting near-duplicates for web crawling, 2007).
/// Names of users, addresses and digits count for nothing: the same text with another order number is the same. `None` for
/// a text that says too little to be a copy.
pub fn fingerprint(text: &str) -> Option<u64> {
    let mut letters: Vec<char> = Vec::new();
    for token in text.split_whitespace() {
        if token.starts_with('@') || token.contains("://") {
            continue;
        }
        letters.extend(token.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase));
        if letters.len() >= CHARS_MAX {
            break;
        }
    }
    let (mut sums, mut count) = ([0i32; 64], 0);
    let is_han = |c: &char| class(*c) == Class::Han;
    for run in letters.chunk_by(|one, next| is_han(one) == is_han(next)) {
        let size = if is_han(&run[0]) { HAN_SHINGLE } else { LETTERS_SHINGLE };
        for shingle in run.windows(size.min(run.len())) {
            let bytes: String = shingle.iter().collect();
            add(&mut sums, super::hash::of(bytes.as_bytes()));
            count += 1;
        }
    }
    (count >= SHINGLES_MIN).then(|| bits(&sums) & !OF_VECTOR)
}

/// The same of a vector: on which side of 63 planes it lies.
pub fn fingerprint_of_vector(vector: &[f32]) -> Option<u64> {
    if vector.len() < 64 {
        return None;
    }
    let side = |(i, x): (usize, &f32)| u64::from(*x > 0.0) << i;
    Some(vector.iter().take(64).enumerate().map(side).fold(0, |bits, bit| bits | bit) | OF_VECTOR)
}

fn add(sums: &mut [i32; 64], hash: u64) {
    for (i, sum) in sums.iter_mut().enumerate() {
        *sum += if hash >> i & 1 == 1 { 1 } else { -1 };
    }
}

fn bits(sums: &[i32; 64]) -> u64 {
    sums.iter().enumerate().fold(0, |bits, (i, sum)| bits | u64::from(*sum > 0) << i)
}

pub fn alike(one: u64, other: u64) -> bool {
    let most = match (one & OF_VECTOR, other & OF_VECTOR) {
        (0, 0) => ALIKE_BITS,
        (OF_VECTOR, OF_VECTOR) => ALIKE_VECTOR_BITS,
        _ => return false,
    };
    (one ^ other).count_ones() <= most
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn terms_are_what_a_text_is_about() {
        let found =
            terms("@united My flight was Cancelled Flightled again!! The payment page http://t.co/x won't load");
        assert_eq!(
            found,
            ["flight", "cancelled", "cancelled flightled", "flightled", "payment", "payment page", "page", "load"]
        );
        assert_eq!(terms("退款失败，客服不理 app闪退"), ["退款", "款失", "失败", "客服", "app", "闪退"]);
        assert_eq!(terms("[phone] 123 45"), Vec::<String>::new());
    }

    #[test]
    fn stop_words_can_be_searched() {
        assert!(STOP.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn texts_that_are_alike_have_alike_fingerprints() {
        let check = |one: &str, other: &str, expected: bool| {
            let (one, other) = (fingerprint(one).unwrap(), fingerprint(other).unwrap());
            assert_eq!(alike(one, other), expected, "{} bits", (one ^ other).count_ones());
        };
        check("Worst app ever, order 123 never arrived", "worst app ever - order 977 never ARRIVED!", true);
        check("这个商家太差了,订单12一直不发货", "这个商家太差了，订单99一直不发货！", true);
        check("Worst app ever, order 123 never arrived", "The battery lasts two days, I am happy", false);
        check("这个商家太差了,订单12一直不发货", "电池很耐用,屏幕也清晰,推荐购买", false);
        // A word more, less or another.
        check("更新把我的电饭煲变砖了，退货！", "大家注意，更新把我的电饭煲变砖了，退货！！", true);
        check("更新把我的电饭煲变砖了，退货！", "更新把我的电饭煲变砖了，求解决", true);
        check("更新把我的电饭煲变砖了，退货！", "更新以后电饭煲煮不熟饭，客服也不理", false);
        check(
            "the update bricked my rice cooker, I want my money back",
            "ugh the update bricked my rice cooker, I want my money back now",
            true,
        );
        check(
            "the update bricked my rice cooker, I want my money back",
            "since the update my rice cooker beeps all night",
            false,
        );
        assert_eq!(fingerprint("12 @me"), None);
        // So many people write the same by themselves.
        assert_eq!((fingerprint("登录不了"), fingerprint("app down")), (None, None));
    }

    #[test]
    fn vectors_are_alike_where_they_lie_together_and_never_like_a_text() {
        let vector =
            |turned: usize| -> Vec<f32> { (0..64).map(|i| if i > 0 && i <= turned { -1.0 } else { 1.0 }).collect() };
        let of = |turned: usize| fingerprint_of_vector(&vector(turned)).unwrap();
        assert!(alike(of(0), of(3)) && !alike(of(0), of(4)));
        assert!(!alike(of(0), of(0) & !OF_VECTOR));
        assert_eq!(fingerprint_of_vector(&vector(0)[..63]), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in any::<String>()) {
            prop_assert!(terms(&text).len() <= TERMS_MAX);
            let _ = fingerprint(&text);
        }
    }
}
