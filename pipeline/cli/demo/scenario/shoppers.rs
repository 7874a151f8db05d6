//! What shoppers click. Each comes with an intent that shows in the clicks, and that a model can only guess at.

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::json;

use super::catalogue::Category;
use super::{Event, PRODUCTS, Product, any_product, chance};
use crate::config::InputKind;

/// In the shop at a time.
const VISITS: usize = 40;
/// How many of a hundred have been there before.
const REGULARS: f64 = 40.0;
const REGULAR_USERS: u32 = 300;

/// What somebody came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    /// A few products, of any kind.
    Look,
    /// Products of one kind, again and again.
    Compare,
    /// One product: looked at, put into the cart, and mostly bought.
    Buy,
}

#[derive(Debug)]
struct Visit {
    user: String,
    intent: Intent,
    product: &'static Product,
    /// Clicks so far, and how many of them only look.
    clicks: u32,
    looks: u32,
}

/// Who is in the shop.
pub struct Shoppers {
    rng: Rng,
    visits: Vec<Visit>,
    count: u64,
    users: u64,
}

impl Shoppers {
    pub fn new(seed: u64) -> Self {
        let mut shoppers = Self { rng: Rng::with_seed(seed), visits: Vec::new(), count: 0, users: 0 };
        shoppers.visits = (0..VISITS).map(|_| shoppers.visit()).collect();
        shoppers
    }

    /// The next click of one of them, at `now`.
    pub fn next(&mut self, now: Timestamp) -> Event {
        self.count += 1;
        let at = self.rng.usize(..self.visits.len());
        let (action, product) = self.click(at);
        let visit = &mut self.visits[at];
        visit.clicks += 1;
        let key = visit.user.clone();
        let event = json!({
            "event_id": format!("k-{}", self.count),
            "event_time": format!("{now:.3}"),
            "user": key,
            "item": product.id,
            "category": category(product),
            "brand": product.brand,
            "price": price(product),
            "action": action,
        });
        if self.is_over(at, action) {
            self.visits[at] = self.visit();
        }
        Event { kind: InputKind::Click, key, payload: Some(event.to_string().into_bytes()) }
    }

    fn visit(&mut self) -> Visit {
        let rng = &mut self.rng;
        let (intent, looks) = match rng.u32(..100) {
            0..60 => (Intent::Look, rng.u32(2..7)),
            60..88 => (Intent::Compare, rng.u32(5..13)),
            _ => (Intent::Buy, rng.u32(2..6)),
        };
        self.users += 1;
        let user = match chance(rng, REGULARS) {
            true => format!("s-{:03}", rng.u32(..REGULAR_USERS)),
            false => format!("s-new-{}", self.users),
        };
        Visit { user, intent, product: any_product(rng), clicks: 0, looks }
    }

    fn click(&mut self, at: usize) -> (&'static str, &'static Product) {
        let visit = &self.visits[at];
        let (intent, product, looking) = (visit.intent, visit.product, visit.clicks < visit.looks);
        match intent {
            Intent::Look => ("view", any_product(&mut self.rng)),
            Intent::Compare => {
                let action = if chance(&mut self.rng, 8.0) { "favourite" } else { "view" };
                (action, self.alike(product))
            }
            Intent::Buy if looking && chance(&mut self.rng, 30.0) => ("view", self.alike(product)),
            Intent::Buy if looking => ("view", product),
            Intent::Buy if visit.clicks == visit.looks => ("cart", product),
            Intent::Buy => ("purchase", product),
        }
    }

    /// One in five who put something into the cart leaves it there.
    fn is_over(&mut self, at: usize, action: &str) -> bool {
        let visit = &self.visits[at];
        match visit.intent {
            Intent::Look | Intent::Compare => visit.clicks >= visit.looks,
            Intent::Buy => action == "purchase" || action == "cart" && chance(&mut self.rng, 20.0),
        }
    }

    fn alike(&mut self, product: &Product) -> &'static Product {
        let alike: Vec<&Product> = PRODUCTS.iter().filter(|other| other.category == product.category).collect();
        alike[self.rng.usize(..alike.len())]
    }
}

fn category(product: &Product) -> &'static str {
    match product.category {
        Category::Device => "devices",
        Category::Appliance => "appliances",
        Category::Care => "care",
        Category::Food => "food",
        Category::Clothing => "clothing",
    }
}

/// Products of a kind cost about the same; the longer name is the dearer one.
fn price(product: &Product) -> f64 {
    let base = match product.category {
        Category::Device => 299.0,
        Category::Appliance => 89.0,
        Category::Care => 9.0,
        Category::Food => 19.0,
        Category::Clothing => 129.0,
    };
    base * (1.0 + product.id.len() as f64 / 20.0)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn some_buy_and_only_what_lies_in_their_cart() {
        let mut shoppers = Shoppers::new(3);
        let now = Timestamp::from_second(1_795_341_600).unwrap();
        let clicks: Vec<Value> =
            (0..5000).map(|_| serde_json::from_slice(&shoppers.next(now).payload.unwrap()).unwrap()).collect();
        let of = |action: &str| clicks.iter().filter(|click| click["action"] == action).count();
        assert!(of("view") > 4000 && of("purchase") > 30 && of("cart") > of("purchase"), "{}", of("purchase"));
        for (at, bought) in clicks.iter().enumerate().filter(|(_, click)| click["action"] == "purchase") {
            let before = clicks[..at].iter().rev();
            let mut carts = before.filter(|click| click["action"] == "cart" && click["user"] == bought["user"]);
            assert!(carts.any(|cart| cart["item"] == bought["item"]), "{bought}");
        }
        let mut again = Shoppers::new(3);
        assert_eq!(clicks[0], serde_json::from_slice::<Value>(&again.next(now).payload.unwrap()).unwrap());
    }
}
