use super::text_event::event_time;
use crate::event::json::Named;
use crate::event::{RawRecord, Reason, Rejection, v1};

/// What a name or an id may take. A user's state and what is counted for an item hold hundreds of them, and are one record
/// each: with names of this length they stay below what brokers take by default.
const NAME_BYTES_MAX: usize = 1024;
/// What a price may be in any currency. Sums of squares of such prices are still exact enough for a mean, and finite.
const PRICE_MAX: f64 = 1e12;

/// Makes whole what a format let through: the same click whichever format it came in.
///
/// `place` says where a field was looked for, for the message.
pub(super) fn complete(
    mut click: v1::Click,
    record: &RawRecord,
    place: impl Fn(&str) -> String,
) -> Result<v1::Click, Rejection> {
    for (field, value) in [("user", &click.user), ("item", &click.item)] {
        if value.is_empty() {
            return Err(missing(field, &place(field)));
        }
    }
    check_names(&click)?;
    check_action(click.action, &place)?;
    check_price(click.price)?;
    click.event_time = Some(event_time(click.event_time, record)?);
    if click.event_id.is_empty() {
        click.event_id = record.origin.to_string();
    }
    click.attributes.take_if(|attributes| attributes.fields.is_empty());
    Ok(click)
}

/// What a newer writer's action means cannot be guessed: counted as another it would be a lie.
fn check_action(action: i32, place: impl Fn(&str) -> String) -> Result<(), Rejection> {
    match action {
        0 => Err(missing("action", &place("action"))),
        known if v1::Action::name_of(known).is_some() => Ok(()),
        unknown => {
            let message = format!("action: expected {}, found number {unknown}", v1::Action::EXPECTED);
            Err(Rejection::new(Reason::Invalid, message))
        }
    }
}

fn check_names(click: &v1::Click) -> Result<(), Rejection> {
    let names = [
        ("event_id", Some(&click.event_id)),
        ("user", Some(&click.user)),
        ("item", Some(&click.item)),
        ("category", click.category.as_ref()),
        ("brand", click.brand.as_ref()),
        ("recommendation_id", click.recommendation_id.as_ref()),
    ];
    let bytes = names.into_iter().map(|(field, name)| (field, name.map_or(0, String::len)));
    match bytes.into_iter().find(|(_, bytes)| *bytes > NAME_BYTES_MAX) {
        Some((field, bytes)) => {
            let message = format!("{field}: expected {NAME_BYTES_MAX} bytes at most, found {bytes}");
            Err(Rejection::new(Reason::Invalid, message))
        }
        None => Ok(()),
    }
}

fn check_price(price: Option<f64>) -> Result<(), Rejection> {
    match price {
        Some(price) if !(0.0..=PRICE_MAX).contains(&price) => {
            let message = format!("price: expected a number from 0 to {PRICE_MAX:e}, found {price}");
            Err(Rejection::new(Reason::Invalid, message))
        }
        _ => Ok(()),
    }
}

fn missing(field: &str, place: &str) -> Rejection {
    Rejection::new(Reason::Missing, format!("{field} is required: missing or empty {place}"))
}
