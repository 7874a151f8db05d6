//! Versions that look like IPv4 addresses.

/// What stands before a version: the product or a word for version, in Chinese and English. Operating systems have versions of four parts.
const WORDS: [&str; 25] = [
    "version",
    "ver",
    "v",
    "firmware",
    "fw",
    "release",
    "build",
    "update",
    "upgrade",
    "updated to",
    "upgraded to",
    "android",
    "os",
    "miui",
    "chrome",
    "app",
    "版本",
    "版本号",
    "固件",
    "系统",
    "升级到",
    "更新到",
    "升级",
    "更新",
    "鸿蒙",
];

/// How far back the word is looked for, in bytes.
const LOOK_BACK: usize = 24;

/// Whether four numbers after this text are a version: `固件 1.2.3.4`, `v1.2.3.4`, `HarmonyOS 4.0.0.126`.
pub(super) fn is_version(before: &str) -> bool {
    let from = before.ceil_char_boundary(before.len().saturating_sub(LOOK_BACK));
    let before = before[from..].trim_end_matches([' ', ':', '：', '为', '是', '（', '(', '-']).to_ascii_lowercase();
    WORDS.iter().any(|word| ends_with_word(&before, word))
}

/// An English word must be a whole one, or the end of a name such as `HarmonyOS`.
fn ends_with_word(before: &str, word: &str) -> bool {
    let Some(rest) = before.strip_suffix(word) else { return false };
    !word.is_ascii() || word == "os" || !rest.ends_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::is_version;

    #[test]
    fn the_word_before_decides() {
        for before in [
            "v",
            "App Version: ",
            "固件",
            "固件版本：",
            "HarmonyOS ",
            "updated with firmware ",
            "I updated to ",
            "升级到",
            "系统为",
        ] {
            assert!(is_version(before), "{before}");
        }
        for before in ["", "ip ", "地址是", "server ", "serv", "我的", "登录 ", "from ", "to ", "I v-"] {
            assert_eq!(is_version(before), before == "I v-", "{before}");
        }
    }
}
