//! What people say, as tables: a row of these is picked for each event.
//!
//! In a line, `[a|b]` is a choice and `{slot}` is filled in: `product`, `aspect`, `days`, `order`, `tag` (an agent's
//! name). All of it was written for this scenario.

use super::Language;
use super::catalogue::Category;

/// One language's lines.
pub struct Phrases {
    pub devices: Lines,
    pub appliances: Lines,
    pub care: Lines,
    pub food: Lines,
    pub clothing: Lines,
    /// About any product.
    pub any: Lines,
    /// So short that many people write the very same.
    pub short: Lines,
    /// Reviews of the incident's product after the update.
    pub incident: &'static [&'static str],
    /// Conversations about the incident's product after the update.
    pub incident_talks: &'static [Talk],
    pub talks: &'static [Talk],
    /// Said around personal data: `{phone}`, `{email}`, `{card}`, `{ip}`, `{link}`.
    pub contact: &'static [&'static str],
}

/// Lines by mood.
pub struct Lines {
    pub praise: &'static [&'static str],
    pub complaint: &'static [&'static str],
    pub question: &'static [&'static str],
}

/// A conversation with the shop, turn by turn.
pub struct Talk {
    pub about_product: bool,
    pub turns: &'static [Turn],
}

/// One turn: any of these lines.
pub enum Turn {
    Customer(&'static [&'static str]),
    Agent(&'static [&'static str]),
    Bot(&'static [&'static str]),
}

impl Phrases {
    pub fn of(language: Language) -> &'static Phrases {
        match language {
            Language::En => &super::en::PHRASES,
            Language::Zh => &super::zh::PHRASES,
        }
    }

    pub fn about(&self, category: Category) -> &Lines {
        match category {
            Category::Device => &self.devices,
            Category::Appliance => &self.appliances,
            Category::Care => &self.care,
            Category::Food => &self.food,
            Category::Clothing => &self.clothing,
        }
    }
}
