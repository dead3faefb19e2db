"""The `openai` SDK streams from unfail, whichever wire the provider behind it speaks."""

import asyncio
import json

import openai
import pytest

from samples import MANY_LANGUAGES, Order, Streamed, unknown_fields, user
from servers import CALLER_KEYS

HELLO = {"model": "any", "messages": [user("Hello there")]}
WITH_USAGE = {"stream_options": {"include_usage": True}}


def streamed(client, **ask):
    return Streamed(client.chat.completions.create(**HELLO | ask, stream=True))


def test_a_stream_says_what_a_whole_answer_says(client):
    whole = client.chat.completions.create(**HELLO)
    answer = streamed(client, **WITH_USAGE)
    assert answer.text == whole.choices[0].message.content
    assert answer.finishes == [whole.choices[0].finish_reason]
    assert answer.usages == [whole.usage]


def test_the_order_of_chunks(client):
    answer = streamed(client, **WITH_USAGE)
    *content, finish, usage = answer.chunks
    assert content[0].choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].finish_reason is None and chunk.usage is None for chunk in content)
    assert finish.choices[0].finish_reason == "stop" and finish.usage is None
    assert not finish.choices[0].delta.content
    assert usage.choices == [] and usage.usage.total_tokens > 0
    assert len({(chunk.id, chunk.model, chunk.object) for chunk in answer.chunks}) == 1
    assert [path for chunk in answer.chunks for path in unknown_fields(chunk)] == []


def test_usage_comes_only_when_asked_for(client):
    answer = streamed(client)
    assert answer.usages == []
    assert all(len(chunk.choices) == 1 for chunk in answer.chunks)
    assert answer.chunks[-1].choices[0].finish_reason == "stop"


def test_the_stream_ends_with_its_end_marker(client):
    with client.chat.completions.with_streaming_response.create(**HELLO, stream=True) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert lines.count("data: [DONE]") == 1
    assert all(line.startswith("data: {") for line in lines[:-1])


def test_a_stream_arrives_while_it_is_written(client, provider):
    """The second half is only written after a pause; the first is there before it."""
    provider.script("stall-after:3")
    stream = client.chat.completions.create(**HELLO, stream=True)
    arrived = ""
    for chunk in stream:
        arrived += chunk.choices[0].delta.content or ""
        if len(arrived) >= 12:
            break
    assert provider.last_call()["end"] == "open"
    stream.close()


@pytest.mark.parametrize("act", ["every-byte", "gzip", "gzip-forced", "slow-drip:64:1", "answer:5:1"])
def test_odd_deliveries_are_normal_answers(client, provider, act):
    provider.script(act)
    answer = streamed(client, messages=[user(MANY_LANGUAGES)])
    assert MANY_LANGUAGES in answer.text
    assert answer.finishes == ["stop"]


@pytest.mark.parametrize("wire", ["openai-chat", "gemini"])
def test_a_missing_end_marker_is_made_good(start_provider, start_gateway, connect, wire):
    """Every choice has said why it ended, so nothing is missing but the marker."""
    provider = start_provider(wire)
    provider.script(default="no-done")
    client = connect(start_gateway([provider]))
    answer = streamed(client)
    assert answer.text == f"{wire} heard: Hello there (turn 1)"
    assert answer.finishes == ["stop"]
    with client.chat.completions.with_streaming_response.create(**HELLO, stream=True) as response:
        assert [line for line in response.iter_lines() if line][-1] == "data: [DONE]"


def test_limits_and_stops(client, provider):
    assert streamed(client, max_tokens=3).finishes == ["length"]
    stopped = streamed(client, messages=[user("one red two")], stop=["red"])
    assert (stopped.text, stopped.finishes) == (f"{provider.wire} heard: one ", ["stop"])


def test_reasoning_is_counted_and_not_shown(client, provider):
    answer = streamed(client, reasoning_effort="low", **WITH_USAGE)
    assert answer.usages[0].completion_tokens_details.reasoning_tokens > 0
    assert answer.text == f"{provider.wire} heard: Hello there (turn 1)"


def test_the_stream_helper_accumulates(client, provider):
    with client.chat.completions.stream(**HELLO, **WITH_USAGE) as stream:
        events = list(stream)
        completion = stream.get_final_completion()
    text = f"{provider.wire} heard: Hello there (turn 1)"
    assert "".join(event.delta for event in events if event.type == "content.delta") == text
    assert [event.content for event in events if event.type == "content.done"] == [text]
    assert completion.choices[0].message.content == text
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens > 0


def test_the_stream_helper_parses(client):
    ask = {"model": "any", "messages": [user("Order")], "response_format": Order}
    with client.chat.completions.stream(**ask) as stream:
        done = [event for event in stream if event.type == "content.done"]
    assert [type(event.parsed) for event in done] == [Order]


def test_the_async_client_streams(gateway, provider):
    async def ask():
        settings = {"api_key": CALLER_KEYS["web"], "max_retries": 0, "_strict_response_validation": True}
        async with openai.AsyncOpenAI(base_url=gateway.base_url, **settings) as client:
            stream = await client.chat.completions.create(**HELLO, stream=True)
            return Streamed([chunk async for chunk in stream])

    answer = asyncio.run(ask())
    assert answer.text == f"{provider.wire} heard: Hello there (turn 1)"
    assert answer.finishes == ["stop"]


@pytest.mark.parametrize("act", ["error-after:5", "cut-after:5", "malformed-after:5", "end-after:5", "stall-after:5"])
def test_a_broken_stream_raises_and_never_looks_finished(provider, start_gateway, connect, act):
    client = connect(start_gateway([provider], rules='stall = "300ms"'))
    provider.script(act)
    chunks = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(**HELLO, stream=True):
            chunks.append(chunk)
    answer = Streamed(chunks)
    assert answer.text, "what had arrived was passed on"
    assert answer.finishes == []
    assert caught.value.code == "stream_interrupted"
    assert caught.value.body["unfail"]["request_id"]


def test_leaving_a_stream_closes_the_provider(client, provider):
    provider.script("stall-after:3")
    stream = client.chat.completions.create(**HELLO, stream=True)
    next(stream)
    stream.close()
    assert provider.ended(within_s=1.0) == "caller_gone"


def test_a_streams_record_is_kept(gateway, client, upstream):
    streamed(client, user="u-7")
    [record] = gateway.records()
    assert record["request"]["stream"] and record["request"]["user"] == "u-7"
    assert record["outcome"] == "answered"
    assert record["path"]["final"] == upstream.target
    assert record["tokens"]["output"] > 0
    assert "Hello there" not in json.dumps(record)
