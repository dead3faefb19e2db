"""The `anthropic` SDK talks straight to a simulated provider: that one speaks the real wire.

unfail is not involved; what it is tested against is.
"""

import asyncio
import base64

import anthropic
import pytest

from samples import CLOCK, MANY_LANGUAGES, PNG, WEATHER, Order, unknown_fields, user
from servers import PROVIDER_KEY, TLS

# It always thinks, and knows no sampling parameters; the older one thinks within a budget.
MODEL = "claude-sonnet-5-5"
BUDGETED = "claude-sonnet-4-5"
HELLO = {"model": MODEL, "max_tokens": 1000, "messages": [user("Hello there")]}
HEARD = "anthropic heard: Hello there (turn 1)"
TOOLS = [
    {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
    for tool in (WEATHER, CLOCK)
]
THINKING = {"type": "adaptive", "display": "summarized"}
THOUGHT = "The caller said: Hello there. I answer that."


@pytest.fixture
def provider(start_provider):
    return start_provider("anthropic")


@pytest.fixture
def client(provider):
    settings = {"max_retries": 0, "timeout": 20.0, "http_client": anthropic.DefaultHttpxClient(verify=TLS)}
    with anthropic.Anthropic(
        base_url=provider.url, api_key=PROVIDER_KEY, _strict_response_validation=True, **settings
    ) as client:
        yield client


def kinds(message):
    return [block.type for block in message.content]


def test_plain(client):
    message = client.messages.create(**HELLO)
    [block] = message.content
    assert (block.type, block.text) == ("text", HEARD)
    assert (message.type, message.role, message.model) == ("message", "assistant", MODEL)
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert message.usage.input_tokens > 0 and message.usage.output_tokens == 10
    assert unknown_fields(message) == []


def test_system_and_several_turns(client):
    message = client.messages.create(
        model=MODEL,
        max_tokens=1000,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            user("First"),
            {"role": "assistant", "content": "Answer"},
            user([{"type": "text", "text": "Second"}]),
        ],
    )
    assert message.content[0].text == "anthropic heard: Second (turn 2; system: Be brief.)"


def test_limits_and_stops(client):
    message = client.messages.create(**HELLO | {"max_tokens": 3})
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 3)
    message = client.messages.create(**HELLO, stop_sequences=["there"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "there")
    assert message.content[0].text == "anthropic heard: Hello "


def test_an_image(client):
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    message = client.messages.create(**HELLO | {"messages": [user(content)]})
    assert f"I see a image/png of {len(PNG)} bytes." in message.content[0].text


def test_the_raw_stream_has_every_event_in_order(client):
    events = list(client.messages.create(**HELLO, stream=True))
    names = [event.type for event in events]
    deltas = names.count("content_block_delta")
    assert names == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * deltas,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert deltas > 5
    assert [path for event in events for path in unknown_fields(event)] == []


def test_the_stream_helper_accumulates(client):
    with client.messages.stream(**HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    whole = client.messages.create(**HELLO)
    assert text == HEARD
    assert (final.content[0].text, final.stop_reason) == (HEARD, whole.stop_reason)
    assert (final.role, final.model, final.type) == (whole.role, whole.model, whole.type)
    assert final.usage == whole.usage


def test_thinking_is_shown_when_asked_for(client):
    message = client.messages.create(**HELLO, thinking=THINKING)
    assert kinds(message) == ["thinking", "text"]
    assert message.content[0].thinking == THOUGHT and message.content[0].signature
    assert message.usage.output_tokens_details.thinking_tokens > 0


def test_thinking_is_signed_and_not_shown_otherwise(client):
    message = client.messages.create(**HELLO, thinking={"type": "adaptive"})
    assert kinds(message) == ["thinking", "text"]
    assert message.content[0].thinking == "" and message.content[0].signature
    assert message.usage.output_tokens_details.thinking_tokens > 0


def test_thinking_within_a_budget(client):
    ask = HELLO | {"model": BUDGETED, "max_tokens": 2000}
    message = client.messages.create(**ask, thinking={"type": "enabled", "budget_tokens": 1024})
    assert message.content[0].thinking == THOUGHT


def test_streamed_thinking(client):
    with client.messages.stream(**HELLO, thinking=THINKING) as stream:
        events = list(stream)
        final = stream.get_final_message()
    assert "".join(event.thinking for event in events if event.type == "thinking") == THOUGHT
    assert len([event for event in events if event.type == "signature"]) == 1
    assert kinds(final) == ["thinking", "text"]
    assert final.content[0].thinking == THOUGHT and final.content[0].signature


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_round_with_parallel_tools_and_thinking(client, stream):
    def ask(messages):
        settings = {"model": MODEL, "max_tokens": 1000, "thinking": THINKING, "tools": TOOLS, "messages": messages}
        if not stream:
            return client.messages.create(**settings)
        with client.messages.stream(**settings) as events:
            return events.get_final_message()

    told = [user("Weather and time, both please")]
    message = ask(told)
    assert message.stop_reason == "tool_use"
    assert kinds(message) == ["thinking", "tool_use", "tool_use"]
    weather, clock = message.content[1:]
    assert (weather.name, weather.input) == ("get_weather", {"city": "some city", "unit": "celsius"})
    assert (clock.name, clock.input) == ("get_time", {})

    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sun"} for call in (weather, clock)]
    message = ask([*told, {"role": "assistant", "content": message.content}, user(results)])
    assert message.stop_reason == "end_turn"
    assert message.content[-1].text.count("sun") == 2


def test_streamed_input_is_accumulated(client):
    ask = HELLO | {"messages": [user("Weather")]}
    with client.messages.stream(**ask, tools=TOOLS) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "input_json"]
    assert snapshots[-1] == {"city": "some city", "unit": "celsius"}
    assert len(snapshots) > 3


def test_tool_choices(client):
    def names(**ask):
        message = client.messages.create(**HELLO | ask, tools=TOOLS)
        return [block.name for block in message.content if block.type == "tool_use"]

    both = {"messages": [user("both")]}
    assert names(**both) == ["get_weather", "get_time"]
    assert len(names(**both, tool_choice={"type": "auto", "disable_parallel_tool_use": True})) == 1
    assert names(tool_choice={"type": "none"}) == []
    assert names(model=BUDGETED, tool_choice={"type": "tool", "name": "get_time"}) == ["get_time"]
    with pytest.raises(anthropic.BadRequestError, match="forced tool use"):
        names(tool_choice={"type": "any"})


def test_structured_output(client):
    message = client.messages.parse(**HELLO, output_format=Order)
    assert isinstance(message.parsed_output, Order)
    with client.messages.stream(**HELLO, output_format=Order) as stream:
        assert isinstance(stream.get_final_message().parsed_output, Order)


def test_counting_and_models(client):
    assert client.messages.count_tokens(model=MODEL, messages=HELLO["messages"]).input_tokens == 3
    models = client.models.list()
    assert MODEL in [model.id for model in models]
    assert client.models.retrieve(MODEL).id == MODEL
    assert [path for model in models for path in unknown_fields(model)] == []


@pytest.mark.parametrize("act", ["declined", "content-policy"])
def test_a_refusal_is_an_answer(client, provider, act):
    provider.script(act, act)
    message = client.messages.create(**HELLO)
    assert message.stop_reason == "refusal"
    assert message.stop_details.type == "refusal"
    with client.messages.stream(**HELLO) as stream:
        assert stream.get_final_message().stop_reason == "refusal"


@pytest.mark.parametrize(
    ("act", "error", "status", "kind"),
    [
        ("retry-after-seconds:7", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("overloaded", anthropic.InternalServerError, 529, "overloaded_error"),
        ("server-error", anthropic.InternalServerError, 500, "api_error"),
        ("unavailable", anthropic.InternalServerError, 503, "api_error"),
        ("html-bad-gateway", anthropic.InternalServerError, 502, None),
        ("context-too-long", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("quota-exhausted", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("unauthorized", anthropic.AuthenticationError, 401, "authentication_error"),
        ("payment-required", anthropic.APIStatusError, 402, "billing_error"),
        ("model-not-found", anthropic.NotFoundError, 404, "not_found_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_typed_errors(client, provider, act, error, status, kind, stream):
    provider.script(act)
    with pytest.raises(error) as caught:
        client.messages.create(**HELLO, stream=stream)
    assert (caught.value.status_code, caught.value.type) == (status, kind)
    if kind:
        assert caught.value.request_id == caught.value.body["request_id"] != ""
        passing = status == 429 or status >= 500
        assert caught.value.response.headers["x-should-retry"] == str(passing).lower()


def test_an_overloaded_provider_has_its_own_error(client, provider):
    provider.script("overloaded")
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(**HELLO)
    assert type(caught.value).__name__ == "OverloadedError"


def test_a_limit_states_its_wait(client, provider):
    provider.script("retry-after-seconds:7")
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(**HELLO)
    headers = caught.value.response.headers
    assert headers["retry-after"] == "7"
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")


def test_the_sdk_comes_back_after_the_stated_wait(client, provider):
    provider.script("retry-after-ms:50")
    assert client.with_options(max_retries=1).messages.create(**HELLO).content[0].text == HEARD
    assert len(provider.calls()) == 2


def test_wrong_keys_and_requests(client, provider):
    provider.script(accept_keys=["another key"])
    with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
        client.messages.create(**HELLO)
    provider.script()
    for wrong in [{"messages": []}, {"extra_body": {"temperature": 0.5}}, {"extra_body": {"colour": "red"}}]:
        with pytest.raises(anthropic.BadRequestError):
            client.messages.create(**HELLO | wrong)


def test_errors_of_the_connection(client, provider):
    provider.script("reset-before-headers", "hang-before-headers")
    with pytest.raises(anthropic.APIConnectionError):
        client.messages.create(**HELLO)
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.2).messages.create(**HELLO)
    assert provider.ended(within_s=1.0) == "caller_gone"


def test_an_error_in_the_middle_of_a_stream(client, provider):
    provider.script("error-after:5")
    events = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        for event in client.messages.create(**HELLO, stream=True):
            events.append(event.type)
    assert events.count("content_block_delta") == 5
    assert caught.value.type == "overloaded_error"


def test_an_answer_in_many_languages_byte_by_byte(client, provider):
    provider.script("every-byte")
    with client.messages.stream(**HELLO | {"messages": [user(MANY_LANGUAGES)]}) as stream:
        assert MANY_LANGUAGES in stream.get_final_text()


def test_the_async_client(provider):
    async def ask():
        settings = {"api_key": PROVIDER_KEY, "max_retries": 0, "_strict_response_validation": True}
        async with anthropic.AsyncAnthropic(base_url=provider.url, **settings) as client:
            async with client.messages.stream(**HELLO) as stream:
                return await stream.get_final_text()

    assert asyncio.run(ask()) == HEARD
