//! The shop of the scenario: brands and products that do not exist.

use super::Language;

/// The same in both languages.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    pub en: &'static str,
    pub zh: &'static str,
}

impl Words {
    pub fn of(self, language: Language) -> &'static str {
        match language {
            Language::En => self.en,
            Language::Zh => self.zh,
        }
    }
}

const fn words(en: &'static str, zh: &'static str) -> Words {
    Words { en, zh }
}

/// What kind of thing a product is: decides what people say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    Device,
    Appliance,
    Care,
    Food,
    Clothing,
}

/// A thing that the shop sells.
#[derive(Debug)]
pub struct Product {
    /// As in events.
    pub id: &'static str,
    pub brand: &'static str,
    pub name: Words,
    pub category: Category,
    /// What people talk about when they talk about it.
    pub aspects: &'static [Words],
    /// How many of a hundred events are about it.
    pub popularity: f64,
    /// How many of a hundred reviews complain, on a day like any other.
    pub complaints: f64,
}

/// Twelve: each has a row on a terminal of 24.
pub const PRODUCTS: &[Product] = &[
    Product {
        id: "velmora-q7",
        brand: "velmora",
        name: words("Velmora Q7", "维墨拉 Q7 手机"),
        category: Category::Device,
        aspects: &[
            words("battery", "电池"),
            words("screen", "屏幕"),
            words("camera", "相机"),
            words("signal", "信号"),
            words("charging", "充电"),
        ],
        popularity: 12.0,
        complaints: 18.0,
    },
    Product {
        id: "velmora-slate-11",
        brand: "velmora",
        name: words("Velmora Slate 11", "维墨拉 平板 11"),
        category: Category::Device,
        aspects: &[
            words("screen", "屏幕"),
            words("stylus", "触控笔"),
            words("battery", "续航"),
            words("sound", "音质"),
        ],
        popularity: 8.0,
        complaints: 14.0,
    },
    Product {
        id: "velmora-pip",
        brand: "velmora",
        name: words("Velmora Pip", "维墨拉 豆豆耳机"),
        category: Category::Device,
        aspects: &[
            words("sound", "音质"),
            words("noise cancelling", "降噪"),
            words("case", "充电盒"),
            words("fit", "佩戴感"),
        ],
        popularity: 9.0,
        complaints: 15.0,
    },
    Product {
        id: "quillbeam-folio-14",
        brand: "quillbeam",
        name: words("Quillbeam Folio 14", "羽烁 轻本 14"),
        category: Category::Device,
        aspects: &[
            words("keyboard", "键盘"),
            words("fan", "风扇"),
            words("hinge", "转轴"),
            words("display", "显示屏"),
            words("trackpad", "触摸板"),
        ],
        popularity: 9.0,
        complaints: 16.0,
    },
    Product {
        id: "quillbeam-page-2",
        brand: "quillbeam",
        name: words("Quillbeam Page 2", "羽烁 阅读器 2"),
        category: Category::Device,
        aspects: &[
            words("page turning", "翻页"),
            words("front light", "背光"),
            words("battery", "续航"),
            words("store", "书城"),
        ],
        popularity: 6.0,
        complaints: 10.0,
    },
    Product {
        id: "hearthwyn-torrent-60",
        brand: "hearthwyn",
        name: words("Hearthwyn Torrent 60", "暖禾苑 热水器 60L"),
        category: Category::Appliance,
        aspects: &[
            words("heating", "加热"),
            words("water pressure", "水压"),
            words("installation", "安装"),
            words("thermostat", "温控"),
        ],
        popularity: 8.0,
        complaints: 17.0,
    },
    Product {
        id: "hearthwyn-grain-4",
        brand: "hearthwyn",
        name: words("Hearthwyn Grain 4", "暖禾苑 电饭煲 4L"),
        category: Category::Appliance,
        aspects: &[
            words("timer", "预约功能"),
            words("inner pot", "内胆"),
            words("lid", "锅盖"),
            words("rice", "米饭口感"),
        ],
        popularity: 8.0,
        complaints: 12.0,
    },
    Product {
        id: "hearthwyn-swan",
        brand: "hearthwyn",
        name: words("Hearthwyn Swan", "暖禾苑 天鹅水壶"),
        category: Category::Appliance,
        aspects: &[words("spout", "壶嘴"), words("handle", "把手"), words("switch", "开关"), words("lid", "壶盖")],
        popularity: 7.0,
        complaints: 13.0,
    },
    Product {
        id: "sablefern-fern",
        brand: "sablefern",
        name: words("Sablefern Fern", "黛蕨 洗发水"),
        category: Category::Care,
        aspects: &[words("scent", "香味"), words("pump", "泵头"), words("lather", "泡沫"), words("texture", "质地")],
        popularity: 9.0,
        complaints: 14.0,
    },
    Product {
        id: "orchisle-cherries",
        brand: "orchisle",
        name: words("Orchisle cherries", "果屿湾 樱桃礼盒"),
        category: Category::Food,
        aspects: &[
            words("taste", "味道"),
            words("packaging", "包装"),
            words("size", "个头"),
            words("freshness", "新鲜度"),
        ],
        popularity: 9.0,
        complaints: 18.0,
    },
    Product {
        id: "orchisle-dawn",
        brand: "orchisle",
        name: words("Orchisle Dawn", "果屿湾 晨光酸奶"),
        category: Category::Food,
        aspects: &[
            words("taste", "口感"),
            words("date", "生产日期"),
            words("packaging", "包装"),
            words("ice pack", "冰袋"),
        ],
        popularity: 7.0,
        complaints: 12.0,
    },
    Product {
        id: "norvane-drift",
        brand: "norvane",
        name: words("Norvane Drift", "北岚汐 羽绒服"),
        category: Category::Clothing,
        aspects: &[words("zip", "拉链"), words("colour", "颜色"), words("size", "尺码"), words("stitching", "做工")],
        popularity: 8.0,
        complaints: 16.0,
    },
];
