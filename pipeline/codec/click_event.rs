use super::text_event::event_time;
use crate::event::json::Named;
use crate::event::{RawRecord, Reason, Rejection, v1};

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

fn check_price(price: Option<f64>) -> Result<(), Rejection> {
    match price {
        Some(price) if !price.is_finite() || price < 0.0 => {
            Err(Rejection::new(Reason::Invalid, format!("price: expected a finite number of 0 or more, found {price}")))
        }
        _ => Ok(()),
    }
}

fn missing(field: &str, place: &str) -> Rejection {
    Rejection::new(Reason::Missing, format!("{field} is required: missing or empty {place}"))
}
