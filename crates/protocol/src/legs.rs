//! A signal of several legs: how it says so, and which order is which.
//!
//! A signal with a top-level array [`LEGS_POINTER`] asks for one order per member, in that order; each member is what the
//! broker gets, just as it came. A signal without it is one order: itself. There is no array of one: whether the broker
//! gets the member or the whole would be for every reader to guess.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ids::Leg;
use crate::signal::SignalError;

/// The optional member of a signal that lists its orders.
pub const LEGS_POINTER: &str = "/legs";

/// The most legs that one signal may have. They are sent one after another, each within the broker's time-out.
pub const MAX_LEGS: u16 = 8;

/// How many orders the signal with this body asks for: one, or 2 to [`MAX_LEGS`].
///
/// # Errors
/// [`SignalError::BadLegs`] when [`LEGS_POINTER`] is there and is no list of so many orders.
pub fn count(body: &Value) -> Result<u16, SignalError> {
    let no_list = |found: String| {
        let wanted = "a list of 2 to 8 orders (one order needs no list)";
        Err(SignalError::BadLegs { pointer: LEGS_POINTER.to_owned(), wanted, found })
    };
    match body.pointer(LEGS_POINTER) {
        None | Some(Value::Null) => Ok(1),
        Some(Value::Array(legs)) => {
            if let Some(at) = legs.iter().position(|leg| !leg.is_object()) {
                let (pointer, found) = (format!("{LEGS_POINTER}/{at}"), legs[at].to_string());
                return Err(SignalError::BadLegs { pointer, wanted: "a JSON object", found });
            }
            match u16::try_from(legs.len()) {
                Ok(count @ 2..=MAX_LEGS) => Ok(count),
                _ => no_list(format!("{} of them", legs.len())),
            }
        }
        Some(other) => no_list(other.to_string()),
    }
}

/// What the broker gets for one leg of a signal that was taken in with so many: the bytes as they came. None when the
/// body does not have that leg.
pub fn order(raw: &[u8], legs: u16, leg: Leg) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        legs: Vec<&'a RawValue>,
    }
    if legs == 1 {
        return (leg == Leg(0)).then(|| raw.to_vec());
    }
    let body: Body<'_> = serde_json::from_slice(raw).ok()?;
    body.legs.get(usize::from(leg.0)).map(|order| order.get().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_signal_without_legs_is_one_order_itself() {
        for text in [r#"{"id": 1}"#, r#"{"id":1,"legs":null}"#] {
            assert_eq!(count(&serde_json::from_str(text).unwrap()), Ok(1));
            assert_eq!(order(text.as_bytes(), 1, Leg(0)), Some(text.as_bytes().to_vec()));
            assert_eq!(order(text.as_bytes(), 1, Leg(1)), None);
        }
    }

    #[test]
    fn each_leg_is_what_the_broker_gets_byte_for_byte() {
        let text = r#"{"id":1, "legs": [ {"b": 1.50, "a": "CE"} , {"b":2e0,"a":"PE"} ]}"#;
        assert_eq!(count(&serde_json::from_str(text).unwrap()), Ok(2));
        let leg = |n| order(text.as_bytes(), 2, Leg(n)).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(leg(0).unwrap(), r#"{"b": 1.50, "a": "CE"}"#);
        assert_eq!(leg(1).unwrap(), r#"{"b":2e0,"a":"PE"}"#);
        assert_eq!(leg(2), None);
        assert_eq!(order(b"{}", 2, Leg(0)), None);
    }

    #[test]
    fn what_is_no_list_of_orders_is_refused_where_it_stands() {
        let too_many = vec![json!({}); usize::from(MAX_LEGS) + 1];
        for (legs, pointer) in [
            (json!([]), "/legs"),
            (json!([{}]), "/legs"),
            (json!(too_many), "/legs"),
            (json!({"0": {}}), "/legs"),
            (json!(2), "/legs"),
            (json!([{}, "buy"]), "/legs/1"),
            (json!([null, {}]), "/legs/0"),
        ] {
            let Err(SignalError::BadLegs { pointer: at, .. }) = count(&json!({"legs": legs})) else {
                panic!("{legs} was taken")
            };
            assert_eq!(at, pointer);
        }
        let error = count(&json!({"legs": [{}]})).unwrap_err().to_string();
        assert_eq!(error, "/legs must be a list of 2 to 8 orders (one order needs no list), not 1 of them");
        assert_eq!(MAX_LEGS, 8, "as people are told");
    }
}
