"""What schemathesis has to be told.

Its regular expressions know no properties of Unicode, so it cannot make names by their pattern: it makes any text of the
right length, and what no name may hold becomes an `x` here. And no schema knows the time,
or which messages there are.
"""

import unicodedata
from typing import Any

import schemathesis

NAMES = {
    *("username", "domain", "entity", "entities", "sessionId", "workerId"),
    *("humanUsername", "aiUsername"),
}
# Visible by their category, and blank all the same.
BLANK = "\u115f\u1160\u2800\u3164\uffa0\ufffc"


def drop_patterns(schema: Any) -> None:
    """Takes patterns that it cannot read out of a document."""
    if isinstance(schema, dict):
        if "\\p{" in str(schema.get("pattern", "")):
            del schema["pattern"]
        for value in schema.values():
            drop_patterns(value)
    elif isinstance(schema, list):
        for value in schema:
            drop_patterns(value)


def is_plain(character: str) -> bool:
    """True for characters that are welcome in every name, wherever they stand."""
    return character == " " or (unicodedata.category(character)[0] in "LNPS" and character not in BLANK)


def with_something_to_see(text: str) -> str:
    """The text, with an `x` in the place of its first character if all of it is blank."""
    return "x" + text[1:] if text and not text.strip() else text


def welcome(field: str, value: Any) -> Any:
    """The value of a field as a name, or a text, may be. Nobody waits: that would take the test's time."""
    if isinstance(value, dict):
        return {name: welcome(name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [welcome(field, inner) for inner in value]
    if field == "wait" and value in range(1, 26):
        return 0
    if isinstance(value, str) and (field in NAMES or field == "text"):
        return with_something_to_see("".join(c if is_plain(c) else "x" for c in value))
    return value


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Takes the patterns of names out of the document."""
    drop_patterns(raw_schema)


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Makes names of the texts in their fields."""
    return welcome("", body)


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """Makes names of the texts in their parameters."""
    return welcome("", query)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Takes out of what should be accepted: ids of messages that there are not; times, of which the clock alone knows whether
    they are far enough ahead; and the second of two parameters that have to agree."""
    if not case.meta.generation.mode.is_positive:
        return
    if isinstance(case.body, dict):
        case.body.pop("replyTo", None)
        params = case.body.get("botParams")
        for time in ("notBefore", "expiresAt"):
            isinstance(params, dict) and params.pop(time, None)
    if isinstance(case.query, dict):
        case.query.pop("beforeId", None)
        if "after" in case.query:
            case.query.pop("since", None)
