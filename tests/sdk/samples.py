"""What the tests send, and how they read what comes back. Knows the SDKs' types, starts nothing."""

import base64
import datetime
import enum
import json

import pydantic

# A picture of one pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()

# Letters of one to four bytes, and one joined of several.
MANY_LANGUAGES = "Grüße, 日本語, Привет, שלום, 🦀 and 👩‍👩‍👧‍👦"

WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city."},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
}
CLOCK = {"name": "get_time", "description": "The time.", "parameters": {"type": "object", "properties": {}}}


class Mood(enum.StrEnum):
    GOOD = "good"
    BAD = "bad"


class Line(pydantic.BaseModel):
    product: str
    amount: int = pydantic.Field(ge=1, le=50)
    price: float


class Order(pydantic.BaseModel):
    """Has whatever people put into schemas: nesting, lists, enums, optional values, formats, bounds."""

    customer: str = pydantic.Field(description="Full name.")
    lines: list[Line]
    mood: Mood
    note: str | None
    due: datetime.date
    express: bool


def user(content):
    return {"role": "user", "content": content}


def function(tool):
    """A tool as the OpenAI API takes it."""
    return {"type": "function", "function": tool}


def picture(url):
    """An image part as the OpenAI API takes it."""
    return {"type": "image_url", "image_url": {"url": url}}


def unknown_fields(value, path=""):
    """Paths of everything in an answer that the SDK's types do not know."""
    if isinstance(value, pydantic.BaseModel):
        extra = [f"{path}.{name}" for name in value.model_extra or {}]
        known = {name: getattr(value, name) for name in type(value).model_fields}
        return extra + [found for name, inner in known.items() for found in unknown_fields(inner, f"{path}.{name}")]
    if isinstance(value, list):
        return [found for at, inner in enumerate(value) for found in unknown_fields(inner, f"{path}[{at}]")]
    return []


class Streamed:
    """A streamed chat completion, read to its end and put together."""

    def __init__(self, chunks):
        self.chunks = list(chunks)
        self.choices = [choice for chunk in self.chunks for choice in chunk.choices]
        self.text = "".join(choice.delta.content or "" for choice in self.choices)
        self.finishes = [choice.finish_reason for choice in self.choices if choice.finish_reason]
        self.usages = [chunk.usage for chunk in self.chunks if chunk.usage]

    def tool_calls(self):
        """The calls as `(id, name, arguments)`, put together from their pieces."""
        calls = {}
        for choice in self.choices:
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, {"id": None, "name": None, "arguments": ""})
                if piece.id:
                    assert call["id"] is None, "a call is named once"
                    call |= {"id": piece.id, "name": piece.function.name}
                call["arguments"] += piece.function.arguments or ""
        assert list(calls) == list(range(len(calls))), "calls are numbered from 0"
        return [(call["id"], call["name"], json.loads(call["arguments"])) for call in calls.values()]
