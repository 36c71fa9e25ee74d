//! What the texts in a request may be, as the document says it: lengths, and patterns of names. The lengths are those of the
//! queue-service as it is set by default; it is the queue-service that refuses what is longer.

use repartee_process::names;
use utoipa::openapi::{
    OpenApi as Document, RefOr, Schema,
    path::{Operation, Parameter, ParameterIn},
    schema::{AdditionalProperties, ArrayItems, Object, SchemaType, Type},
};

use crate::visitor;

/// Longest text of a message, in bytes of UTF-8, and of an error.
const TEXT_BYTES: u32 = 16_384;
const ERROR_BYTES: u32 = 1_024;
/// Longest idempotency key.
const KEY_CHARS: u32 = 255;

/// Something that can be seen, and no NUL.
const TEXT: &str =
    r"^[^\u0000]*[^\p{C}\p{Z}\p{M}\u{115F}\u{1160}\u{2800}\u{3164}\u{FFA0}\u{FFFC}\u{1D159}][^\u0000]*$";
/// Up to 365d, in one unit; the code takes several, as 1h30m.
const SPAN: &str =
    "^(?:[1-9][0-9]{0,4}[sm]|[1-9][0-9]{0,2}h|(?:[1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-5])d)$";
const UUID: &str = "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
const CURSOR_OR_NOTHING: &str = r"^(?:[0-9a-fA-F]{16}\.(?:0|[1-9][0-9]{0,18}))?$";
const WITHOUT_NUL: &str = r"^[^\u0000]*$";

/// What a text may be.
#[derive(Clone, Copy)]
struct Limits {
    least: u32,
    /// `u32::MAX`: without end.
    most: u32,
    pattern: Option<&'static str>,
}

/// Up to 200 characters without control characters.
const ONE_LINE: Limits = Limits { least: 0, most: 200, pattern: Some(r"^[^\u0000-\u001F\u007F-\u009F]*$") };

const fn name(most: u32) -> Limits {
    Limits { least: 1, most, pattern: Some(names::PATTERN) }
}

const fn exactly(chars: u32, pattern: &'static str) -> Limits {
    Limits { least: chars, most: chars, pattern: Some(pattern) }
}

const fn name_or_nothing(most: u32) -> Limits {
    Limits { least: 0, most, pattern: Some(names::PATTERN_OR_NOTHING) }
}

/// The limits of a field, which has one name wherever it is sent.
fn of_field(field: &str) -> Option<Limits> {
    Some(match field {
        "username" | "humanUsername" | "aiUsername" | "entity" | "entities" | "sessionId" | "workerId" => {
            name(names::NAME_CHARS)
        }
        "color" | "humanColor" | "aiColor" => {
            Limits { least: 0, most: names::COLOR_CHARS, pattern: Some(names::COLOR_PATTERN) }
        }
        "domain" => name(names::DOMAIN_CHARS),
        "text" => Limits { least: 1, most: TEXT_BYTES, pattern: Some(TEXT) },
        "error" => Limits { least: 1, most: ERROR_BYTES, pattern: None },
        "messageId" | "messageIds" | "replyTo" | "beforeId" | "authorOf" | "addressOf" => exactly(36, UUID),
        "author" | "address" => exactly(32, "^[0-9a-fA-F]{32}$"),
        "reason" => ONE_LINE,
        "for" => Limits { least: 2, most: 6, pattern: Some(SPAN) },
        "leaseToken" => exactly(32, "^[0-9a-fA-F]{32}$"),
        "cursor" | "lastEventId" => Limits { least: 0, most: 36, pattern: Some(CURSOR_OR_NOTHING) },
        _ => return None,
    })
}

fn of_parameter(parameter: &Parameter) -> Option<Limits> {
    match (&parameter.parameter_in, parameter.name.as_str()) {
        (ParameterIn::Header, "X-Visitor") => Some(Limits {
            least: visitor::SHORTEST,
            most: visitor::LONGEST,
            pattern: Some("^[A-Za-z0-9_-]*$"),
        }),
        (ParameterIn::Header, "Idempotency-Key") => {
            Some(Limits { least: 1, most: KEY_CHARS, pattern: Some("^[!-~](?:[ -~]*[!-~])?$") })
        }
        (ParameterIn::Path, "id") => of_field("messageId"),
        (ParameterIn::Path, "name") => Some(Limits {
            least: 5,
            most: 10,
            pattern: Some("^(?:throughput|latency|answers|depth|storage)$"),
        }),
        (ParameterIn::Header, "Last-Event-ID") => of_field("lastEventId"),
        // What is no position is passed over; a query holds no NUL.
        (ParameterIn::Query, "reached") => {
            Some(Limits { least: 0, most: u32::MAX, pattern: Some(r"^[^\u0000]*$") })
        }
        (ParameterIn::Query, "sessionsAfter") => {
            Some(Limits { least: 0, most: 1_024, pattern: Some(r"^(?:[sw]:[^:]*:[^\u0000]*)?$") })
        }
        (ParameterIn::Query, "after") if is_text(parameter) => {
            Some(Limits { least: 0, most: 40, pattern: Some("^(?:(?:author|address):[0-9a-fA-F]{32})?$") })
        }
        // Empty, they ask for all of them.
        (ParameterIn::Query, "domain") => Some(name_or_nothing(names::DOMAIN_CHARS)),
        (ParameterIn::Query, "entity" | "workerId") => Some(name_or_nothing(names::NAME_CHARS)),
        (ParameterIn::Query, "author") => {
            Some(Limits { least: 0, most: 32, pattern: Some("^(?:[0-9a-fA-F]{32})?$") })
        }
        (ParameterIn::Query, "error") => Some(ONE_LINE),
        (ParameterIn::Query, name) => of_field(name),
        _ => None,
    }
}

fn is_text(parameter: &Parameter) -> bool {
    let Some(RefOr::T(Schema::Object(schema))) = &parameter.schema else { return false };
    schema.schema_type == SchemaType::Type(Type::String)
}

/// Writes the limits of all bodies.
pub(super) fn limit_bodies(document: &mut Document) {
    let schemas = document.components.iter_mut().flat_map(|components| components.schemas.values_mut());
    for schema in schemas {
        let RefOr::T(Schema::Object(object)) = schema else { continue };
        // Only what comes in is held to the fields that there are.
        if !matches!(object.additional_properties.as_deref(), Some(AdditionalProperties::FreeForm(false))) {
            continue;
        }
        for (field, schema) in &mut object.properties {
            if let Some(limits) = of_field(field) {
                limits.write(schema);
            }
        }
    }
}

/// Writes the limits of an operation's parameters.
pub(super) fn limit_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema {
            // A parameter is there or not; a header or a query has no null.
            object.schema_type = match std::mem::take(&mut object.schema_type) {
                SchemaType::Array(types) => types
                    .into_iter()
                    .find(|of| *of != Type::Null)
                    .map_or(SchemaType::AnyValue, SchemaType::Type),
                one => one,
            };
        }
        let limits = of_parameter(parameter);
        let is_query = parameter.parameter_in == ParameterIn::Query;
        match (limits, &mut parameter.schema) {
            (Some(limits), Some(schema)) => limits.write(schema),
            // Whatever it is for, a query that holds NUL is refused.
            (None, Some(RefOr::T(Schema::Object(text)))) if is_query && text.enum_values.is_none() => {
                if text.schema_type == SchemaType::Type(Type::String) {
                    text.pattern = Some(WITHOUT_NUL.to_owned());
                }
            }
            (None, _) | (_, None) => {}
        }
    }
}

impl Limits {
    fn write(self, schema: &mut RefOr<Schema>) {
        match schema {
            RefOr::T(Schema::Object(text)) => self.write_text(text),
            RefOr::T(Schema::Array(list)) => {
                if let ArrayItems::RefOrSchema(item) = &mut list.items {
                    self.write(item);
                }
            }
            RefOr::T(_) | RefOr::Ref(_) => {}
        }
    }

    fn write_text(self, text: &mut Object) {
        text.min_length = Some(self.least as usize).filter(|least| *least > 0);
        text.max_length = Some(self.most).filter(|most| *most < u32::MAX).map(|most| most as usize);
        text.pattern = self.pattern.map(str::to_owned);
    }
}
