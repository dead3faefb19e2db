"""The `openai` SDK talks straight to a simulated provider: that one speaks the real wire.

unfail is not involved; what it is tested against is, and what callers expect of it.
"""

import json

import openai
import pytest

from samples import CLOCK, PNG, PNG_URL, WEATHER, Order, Streamed, function, picture, unknown_fields, user
from servers import PROVIDER_KEY

MODEL = "gpt-5.4-mini"
HELLO = {"model": MODEL, "messages": [user("Hello there")]}
HEARD = "openai-chat heard: Hello there (turn 1)"
TOOLS = [function(WEATHER), function(CLOCK)]


@pytest.fixture
def provider(start_provider):
    return start_provider("openai-chat")


@pytest.fixture
def client(provider, connect):
    return connect(provider, api_key=PROVIDER_KEY)


def test_plain(client):
    answer = client.chat.completions.create(**HELLO)
    assert answer.choices[0].message.content == HEARD
    assert answer.choices[0].finish_reason == "stop"
    assert unknown_fields(answer) == []


def test_streaming(client):
    stream = client.chat.completions.create(**HELLO, stream=True, stream_options={"include_usage": True})
    answer = Streamed(stream)
    assert (answer.text, answer.finishes, len(answer.usages)) == (HEARD, ["stop"], 1)
    assert answer.chunks[-1].choices == []
    assert [path for chunk in answer.chunks for path in unknown_fields(chunk)] == []


def test_choices_limits_and_stops(client):
    answer = client.chat.completions.create(**HELLO, n=2, max_completion_tokens=3)
    assert [choice.finish_reason for choice in answer.choices] == ["length", "length"]
    answer = client.chat.completions.create(**HELLO, stop="there")
    assert answer.choices[0].message.content == "openai-chat heard: Hello "


def test_a_round_with_parallel_tools(client):
    told = [user("Weather and time, both please")]
    answer = Streamed(client.chat.completions.create(model=MODEL, messages=told, tools=TOOLS, stream=True))
    assert answer.finishes == ["tool_calls"]
    calls = answer.tool_calls()
    assert [(name, arguments) for _, name, arguments in calls] == [
        ("get_weather", {"city": "some city", "unit": "celsius"}),
        ("get_time", {}),
    ]
    listed = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for id, name, arguments in calls
    ]
    told.append({"role": "assistant", "tool_calls": listed})
    told += [{"role": "tool", "tool_call_id": id, "content": "sun"} for id, _, _ in calls]
    message = client.chat.completions.create(model=MODEL, messages=told, tools=TOOLS).choices[0].message
    assert message.content.count("sun") == 2


def test_structured_output(client):
    answer = client.chat.completions.parse(**HELLO, response_format=Order)
    assert isinstance(answer.choices[0].message.parsed, Order)


def test_an_image(client):
    parts = [{"type": "text", "text": "What is this?"}, picture(PNG_URL)]
    answer = client.chat.completions.create(model=MODEL, messages=[user(parts)])
    assert f"I see a image/png of {len(PNG)} bytes." in answer.choices[0].message.content


def test_reasoning_is_counted_and_not_shown(client):
    answer = client.chat.completions.create(**HELLO, reasoning_effort="low")
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0
    assert unknown_fields(answer) == []


def test_models(client):
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).owned_by == "sim"


@pytest.mark.parametrize(
    ("act", "error", "status", "code"),
    [
        ("retry-after-seconds:7", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("quota-exhausted", openai.RateLimitError, 429, "insufficient_quota"),
        ("overloaded", openai.InternalServerError, 503, "server_is_overloaded"),
        ("server-error", openai.InternalServerError, 500, None),
        ("context-too-long", openai.BadRequestError, 400, "context_length_exceeded"),
        ("content-policy", openai.BadRequestError, 400, "content_policy_violation"),
        ("unauthorized", openai.AuthenticationError, 401, "invalid_api_key"),
        ("model-not-found", openai.NotFoundError, 404, "model_not_found"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_typed_errors(client, provider, act, error, status, code, stream):
    provider.script(act)
    with pytest.raises(error) as caught:
        client.chat.completions.create(**HELLO, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.request_id


def test_wrong_keys_and_requests(client, provider):
    provider.script(accept_keys=["another key"])
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(**HELLO)
    provider.script()
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**HELLO, extra_body={"colour": "red"})
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", "colour")


def test_an_error_in_the_middle_of_a_stream(client, provider):
    provider.script("error-after:5")
    chunks = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(**HELLO, stream=True):
            chunks.append(chunk)
    assert len(Streamed(chunks).text) == 20
    assert caught.value.type == "server_error"
