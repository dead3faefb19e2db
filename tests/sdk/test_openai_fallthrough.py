"""One provider fails, the next answers over another wire: the `openai` SDK sees one normal answer."""

import openai
import pytest

from samples import PNG, PNG_URL, Order, Streamed, function, WEATHER, picture, unknown_fields, user
from servers import UPSTREAMS

# A provider and the one behind it, each wire once in both places.
CHAINS = [("openai-chat", "anthropic"), ("anthropic", "gemini"), ("gemini", "openai-chat")]

# What the first provider does, and what the trail calls it; some wires have finer words for the same.
FAILURES = {
    "retry-after-seconds:30": {"rate_limited"},
    "retry-after-date:30": {"rate_limited"},
    "retry-after-ms:30000": {"rate_limited"},
    "reset-headers:30": {"rate_limited"},
    "limited-without-hint": {"rate_limited"},
    "overloaded": {"overloaded"},
    "unavailable": {"overloaded", "transient"},
    "server-error": {"transient"},
    "html-bad-gateway": {"transient"},
    "reset-before-headers": {"transient"},
    "cut-before-first": {"transient"},
    "error-under-200": {"overloaded", "transient"},
    "empty-choices": {"malformed"},
    "invalid-json": {"malformed"},
    "hang-before-headers": {"timeout"},
    "hang-after-headers": {"timeout"},
    "unauthorized": {"auth"},
    "payment-required": {"quota"},
    "quota-exhausted": {"quota"},
    "model-not-found": {"config"},
}


@pytest.fixture(params=CHAINS, ids="-".join)
def chain(request, start_provider):
    """Two providers of different wires."""
    return [start_provider(wire) for wire in request.param]


@pytest.fixture
def both(chain, start_gateway, connect):
    """A client of unfail in front of the two."""
    return connect(start_gateway(chain, rules='first_token = "300ms"\ndeadline = "2s"'))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("act", FAILURES)
def test_the_second_answers(both, chain, act, stream):
    first, second = chain
    first.script(act)
    raw = both.chat.completions.with_raw_response.create(model="any", messages=[user("Hello")], stream=stream)
    if stream:
        answer = Streamed(raw.parse())
        text, finishes = answer.text, answer.finishes
    else:
        [choice] = raw.parse().choices
        text, finishes = choice.message.content, [choice.finish_reason]
    assert text == f"{second.wire} heard: Hello (turn 1)", "nothing of the first is in the answer"
    assert finishes == ["stop"]
    assert raw.headers["x-unfail-target"] == UPSTREAMS[second.wire].target
    failed, answered = raw.headers["x-unfail-trail"].split(",")
    assert failed in {f"{UPSTREAMS[first.wire].provider}:{name}" for name in FAILURES[act]}
    assert answered == f"{UPSTREAMS[second.wire].provider}:ok"
    assert (len(first.calls()), len(second.calls())) == (1, 1)


def test_the_whole_request_reaches_the_second(both, chain):
    first, second = chain
    first.script(default="overloaded")
    parts = [{"type": "text", "text": "What is this?"}, picture(PNG_URL)]
    messages = [{"role": "system", "content": "Be brief."}, user(parts)]
    answer = both.chat.completions.create(model="any", messages=messages, max_tokens=200, temperature=0.5)
    text = answer.choices[0].message.content
    assert text.startswith(f"{second.wire} heard: What is this? (turn 1; system: Be brief.)")
    assert f"I see a image/png of {len(PNG)} bytes." in text
    assert unknown_fields(answer) == []


def test_a_schema_is_kept_by_the_second(both, chain):
    chain[0].script(default="server-error")
    answer = both.chat.completions.parse(model="any", messages=[user("Order")], response_format=Order)
    assert isinstance(answer.choices[0].message.parsed, Order)


def test_a_conversation_with_tools_moves_from_one_to_the_other(both, chain):
    """The first calls the function and is limited when the result comes: the second goes on from there."""
    first, second = chain
    tools = [function(WEATHER)]
    told = [user("Weather in both cities, in parallel")]
    message = both.chat.completions.create(model="any", messages=told, tools=tools).choices[0].message
    told += [message, *({"role": "tool", "tool_call_id": call.id, "content": "sun"} for call in message.tool_calls)]
    first.script("retry-after-seconds:30")
    answer = both.chat.completions.create(model="any", messages=told, tools=tools).choices[0]
    assert answer.finish_reason == "stop"
    assert answer.message.content.startswith(f"{second.wire} learned: ")
    assert answer.message.content.count("sun") == 2


def test_a_limited_provider_is_left_alone_afterwards(both, chain):
    first, second = chain
    first.script("retry-after-seconds:30")
    for _ in range(5):
        both.chat.completions.create(model="any", messages=[user("Hello")])
    assert (len(first.calls()), len(second.calls())) == (1, 5)


def test_a_fault_of_the_caller_does_not_move_on(both, chain):
    first, second = chain
    said = '{"error": {"message": "temperature: must be lower", "type": "invalid_request_error", "code": 400}}'
    first.script({"status": 400, "headers": {"content-type": "application/json"}, "body": said})
    with pytest.raises(openai.BadRequestError, match="must be lower"):
        both.chat.completions.create(model="any", messages=[user("Hello")], temperature=2)
    assert (len(first.calls()), len(second.calls())) == (1, 0)


def test_a_stream_that_broke_is_not_continued_by_the_second(both, chain):
    first, second = chain
    first.script("cut-after:5")
    with pytest.raises(openai.APIError):
        list(both.chat.completions.create(model="any", messages=[user("Hello")], stream=True))
    assert (len(first.calls()), len(second.calls())) == (1, 0)


def test_the_answer_comes_while_the_first_still_hangs(both, chain):
    first, _ = chain
    first.script("hang-before-headers")
    answer = both.chat.completions.create(model="any", messages=[user("Hello")])
    assert answer.choices[0].finish_reason == "stop"
    assert first.ended(within_s=1.0) == "caller_gone", "the one that hung is not kept waiting"


def test_all_failed(both, chain):
    for provider in chain:
        provider.script(default="overloaded")
    with pytest.raises(openai.InternalServerError) as caught:
        both.chat.completions.create(model="any", messages=[user("Hello")])
    assert caught.value.status_code == 503
    names = [UPSTREAMS[provider.wire].provider for provider in chain]
    assert caught.value.body["unfail"]["trail"] == f"{names[0]}:overloaded,{names[1]}:overloaded"
    assert int(caught.value.response.headers["x-unfail-attempts"]) == 2


@pytest.mark.parametrize("field", ["models", "fallbacks"])
def test_a_chain_named_in_the_request(both, chain, field):
    """`model` first, then what the request lists."""
    targets = [UPSTREAMS[provider.wire].target for provider in chain]
    chain[1].script(default="overloaded")
    raw = both.chat.completions.with_raw_response.create(
        model=targets[1], messages=[user("Hello")], extra_body={field: [targets[0]]}
    )
    assert raw.headers["x-unfail-target"] == targets[0]
