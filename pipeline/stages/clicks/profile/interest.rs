//! Interests that decay.

use bytes::Bytes;

use crate::event::v1::Action;
use crate::stages::clicks::click::Click;
use crate::stages::clicks::session::Rules;
use crate::stages::clicks::state::{BRANDS_MAX, Brand, Memory, User};

/// What a click weighs: a kind of click that is rarer tells more, by the square root of how many views come for one of it.
/// Counted over Taobao's UserBehavior, 17.5 views come for a cart, 30.5 for a favourite, 43.3 for a purchase. An impression
/// is the shop's doing and not the user's; what is taken out of the cart is not wanted more for it.
fn weight(action: Action) -> f32 {
    match action {
        Action::View | Action::Unspecified => 1.0,
        Action::Cart => 4.2,
        Action::Favourite => 5.5,
        Action::Purchase => 6.6,
        Action::Impression | Action::Remove => 0.0,
    }
}

/// Something that a user is more or less interested in.
pub trait Liked {
    fn interest(&self) -> f32;
    /// What the interest is decayed to.
    fn as_of_ms(&self) -> i64;
}

impl Liked for Memory {
    fn interest(&self) -> f32 {
        self.interest
    }

    fn as_of_ms(&self) -> i64 {
        self.interest_ms
    }
}

impl Liked for Brand {
    fn interest(&self) -> f32 {
        self.interest
    }

    fn as_of_ms(&self) -> i64 {
        self.last_ms
    }
}

impl Brand {
    /// The name as text, which it was made from.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// Each with its share of the whole, the strongest first.
pub fn shares<'a, T: Liked>(liked: &'a [T], at_ms: i64, rules: &Rules) -> Vec<(&'a T, f64)> {
    let now = |liked: &T| f64::from(liked.interest()) * decay(at_ms - liked.as_of_ms(), rules);
    let mut shares: Vec<(&T, f64)> = liked.iter().map(|liked| (liked, now(liked))).collect();
    let sum: f64 = shares.iter().map(|(_, now)| now).sum();
    shares.retain(|(liked, _)| liked.interest() > 0.0);
    shares.iter_mut().for_each(|(_, share)| *share /= sum);
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

impl User {
    pub(super) fn take_interest(&mut self, click: &Click, rules: &Rules) {
        let weight = weight(click.action);
        if let Some(id) = click.category
            && let Some(memory) = self.categories.iter_mut().find(|memory| memory.id == id.0)
        {
            memory.interest = added(memory.interest, memory.interest_ms, click.at_ms, weight, rules);
            memory.interest_ms = memory.interest_ms.max(click.at_ms);
        }
        if let Some(name) = click.event.brand.as_deref().filter(|name| !name.is_empty() && weight > 0.0) {
            self.like_brand(name, click.at_ms, weight, rules);
        }
    }

    /// Where there is no room, the brand clicked longest ago leaves.
    fn like_brand(&mut self, name: &str, at_ms: i64, weight: f32, rules: &Rules) {
        let known = self.brands.iter().position(|brand| brand.name == name.as_bytes());
        let mut brand = match known {
            Some(place) => self.brands.remove(place),
            None => Brand { name: Bytes::copy_from_slice(name.as_bytes()), last_ms: at_ms, interest: 0.0 },
        };
        brand.interest = added(brand.interest, brand.last_ms, at_ms, weight, rules);
        brand.last_ms = brand.last_ms.max(at_ms);
        self.brands.truncate(BRANDS_MAX - 1);
        self.brands.insert(0, brand);
    }
}

/// An interest that stood at `interest` at `stood_ms`, as of the later of the two times, with a click that came in.
fn added(interest: f32, stood_ms: i64, at_ms: i64, weight: f32, rules: &Rules) -> f32 {
    let apart = decay((at_ms - stood_ms).abs(), rules);
    let (interest, weight) = (f64::from(interest), f64::from(weight));
    let sum = if at_ms >= stood_ms { interest * apart + weight } else { interest + weight * apart };
    sum as f32
}

/// What is left after so many milliseconds.
fn decay(ms: i64, rules: &Rules) -> f64 {
    (-(ms.max(0) as f64) / rules.interest_half_life_ms.max(1) as f64).exp2()
}
