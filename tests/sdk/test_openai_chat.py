"""The `openai` SDK asks unfail and gets whole answers, whichever wire the provider behind it speaks."""

import asyncio
import json

import openai
import pytest

from samples import MANY_LANGUAGES, PNG, PNG_URL, Order, picture, unknown_fields, user
from servers import CALLER_KEYS, PROVIDER_KEY


def test_plain(client, provider, upstream):
    answer = client.chat.completions.create(model="any", messages=[user("Hello there")])
    [choice] = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content == f"{provider.wire} heard: Hello there (turn 1)"
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert choice.message.refusal is None and choice.message.tool_calls is None
    assert answer.model == upstream.model
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert unknown_fields(answer) == []


@pytest.mark.parametrize("name", ["target", "model"])
def test_a_target_and_a_model_can_be_named_instead_of_a_route(client, upstream, name):
    answer = client.chat.completions.create(model=getattr(upstream, name), messages=[user("Hello")])
    assert answer.choices[0].message.content.startswith(upstream.wire)


def test_headers_tell_how_the_answer_was_found(client, upstream):
    raw = client.chat.completions.with_raw_response.create(model="any", messages=[user("Hello")])
    assert raw.headers["x-unfail-target"] == upstream.target
    assert raw.headers["x-unfail-route"] == "any"
    assert raw.headers["x-unfail-attempts"] == "1"
    assert raw.headers["x-unfail-trail"] == f"{upstream.provider}:ok"
    assert float(raw.headers["x-unfail-cost-usd"]) > 0
    assert raw.headers["x-unfail-request-id"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_in_product_mode_nothing_tells_who_answered(provider, upstream, start_gateway, connect, stream):
    client = connect(start_gateway([provider], mode="product"))
    raw = client.chat.completions.with_raw_response.create(
        model="any", messages=[user("Hello")], stream=stream, extra_headers={"x-unfail-user": "u-1"}
    )
    names = {name for name in raw.headers if name.startswith("x-unfail-")}
    assert names == {"x-unfail-request-id"}
    answers = list(raw.parse()) if stream else [raw.parse()]
    assert {answer.model for answer in answers} == {"any"}
    assert {answer.id for answer in answers} == {raw.headers["x-unfail-request-id"]}
    assert upstream.model not in str(answers)


def test_system_developer_and_several_turns(client, provider):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        user("First"),
        {"role": "assistant", "content": "Answer"},
        user([{"type": "text", "text": "Second"}]),
    ]
    text = client.chat.completions.create(model="any", messages=messages).choices[0].message.content
    assert text.startswith(f"{provider.wire} heard: Second (turn 2; system: ")
    assert "Be brief." in text and "Be kind." in text


def test_the_last_turn_may_be_the_assistants(client):
    messages = [user("Say yes"), {"role": "assistant", "content": "The answer is "}]
    assert client.chat.completions.create(model="any", messages=messages).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_ends_the_answer(client, limit):
    answer = client.chat.completions.create(model="any", messages=[user("Tell me a story")], **{limit: 3})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3
    assert len(answer.choices[0].message.content) == 12, "the simulated model counts four letters as a token"


@pytest.mark.parametrize("stop", ["red", ["blue", "red"]], ids=["text", "list"])
def test_a_stop_text_ends_the_answer(client, provider, stop):
    answer = client.chat.completions.create(model="any", messages=[user("one red two")], stop=stop)
    assert answer.choices[0].message.content == f"{provider.wire} heard: one "
    assert answer.choices[0].finish_reason == "stop"


def test_unicode_arrives_as_it_was_sent(client, provider):
    answer = client.chat.completions.create(model="any", messages=[user(MANY_LANGUAGES)])
    assert answer.choices[0].message.content == f"{provider.wire} heard: {MANY_LANGUAGES} (turn 1)"


def test_an_image_arrives_whole(client):
    parts = [{"type": "text", "text": "What is this?"}, picture(PNG_URL), picture(PNG_URL)]
    text = client.chat.completions.create(model="any", messages=[user(parts)]).choices[0].message.content
    assert text.count(f"I see a image/png of {len(PNG)} bytes.") == 2


def test_common_parameters_are_served_by_every_wire(client):
    """Whatever a wire or model does not take is left out, never a reason to refuse."""
    answer = client.chat.completions.create(
        model="any",
        messages=[user("Hello") | {"name": "ada"}],
        temperature=0.4,
        top_p=0.9,
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        user="u-1",
        metadata={"team": "tests"},
        store=False,
        service_tier="auto",
        verbosity="low",
        prompt_cache_key="key",
        safety_identifier="someone",
        logit_bias={"50256": -100},
        stop=None,
    )
    assert answer.choices[0].finish_reason == "stop"


def test_temperature_reaches_models_that_take_it(start_provider, start_gateway, connect):
    provider = start_provider("openai-chat")
    client = connect(start_gateway([provider]))
    client.chat.completions.create(model="any", messages=[user("Hello")], temperature=0.4)
    assert provider.last_call()["body"]["temperature"] == 0.4


def test_several_choices_where_the_wire_has_them(client, provider):
    ask = {"model": "any", "messages": [user("Hello")], "n": 2}
    if provider.wire == "openai-chat":
        answer = client.chat.completions.create(**ask)
        assert [choice.index for choice in answer.choices] == [0, 1]
        assert unknown_fields(answer) == []
    else:
        # One answer where two were asked for would be wrong; so is an answer about something else.
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**ask)


def test_reasoning_effort(client, provider):
    answer = client.chat.completions.create(model="any", messages=[user("Think")], reasoning_effort="low")
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0
    assert unknown_fields(answer) == [], "thoughts are counted and not shown: the SDK has no field for them"
    assert answer.choices[0].message.content == f"{provider.wire} heard: Think (turn 1)"


@pytest.mark.parametrize("effort", ["none", "minimal", "medium", "high", "xhigh"])
def test_every_reasoning_effort_is_served(client, effort):
    answer = client.chat.completions.create(model="any", messages=[user("Think")], reasoning_effort=effort)
    assert answer.choices[0].finish_reason == "stop"


def test_parse_gives_a_typed_object(client):
    answer = client.chat.completions.parse(model="any", messages=[user("Order")], response_format=Order)
    order = answer.choices[0].message.parsed
    assert isinstance(order, Order) and order.lines
    assert unknown_fields(answer) == []


def test_parse_hands_the_whole_schema_to_the_model(client, provider):
    client.chat.completions.parse(model="any", messages=[user("Order")], response_format=Order)
    sent = json.dumps(provider.last_call()["body"])
    for word in ["customer", "Full name.", "amount", "price", "mood", "note", "express"]:
        assert word in sent


def test_json_object(client, provider):
    provider.script({"say": '{"colour":"red"}', "act": "answer"})
    answer = client.chat.completions.create(
        model="any", messages=[user("A colour as JSON")], response_format={"type": "json_object"}
    )
    assert json.loads(answer.choices[0].message.content) == {"colour": "red"}


@pytest.mark.parametrize("act", ["gzip", "gzip-forced", "every-byte", "slow-drip:64:1", "close-on-next-request"])
def test_odd_deliveries_are_normal_answers(client, provider, act):
    provider.script(act, act)
    for _ in range(2):
        answer = client.chat.completions.create(model="any", messages=[user(MANY_LANGUAGES)])
        assert MANY_LANGUAGES in answer.choices[0].message.content
        assert answer.choices[0].finish_reason == "stop"


def test_a_large_answer(client, provider):
    provider.script("big-body:150000")
    ask = {"model": "any", "messages": [user("Long")], "max_completion_tokens": 50_000}
    assert len(client.chat.completions.create(**ask).choices[0].message.content) >= 150_000


def test_a_refusal_of_the_model_is_an_answer(client, provider):
    provider.script("declined")
    choice = client.chat.completions.create(model="any", messages=[user("Something bad")]).choices[0]
    assert choice.message.refusal or choice.finish_reason == "content_filter"


def test_many_at_once_with_the_async_client(gateway, provider):
    async def ask(client, number):
        answer = await client.chat.completions.create(model="any", messages=[user(f"Number {number}")])
        return answer.choices[0].message.content

    async def ask_all():
        settings = {"api_key": CALLER_KEYS["web"], "max_retries": 0, "_strict_response_validation": True}
        async with openai.AsyncOpenAI(base_url=gateway.base_url, **settings) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(20)))

    expected = [f"{provider.wire} heard: Number {number} (turn 1)" for number in range(20)]
    assert asyncio.run(ask_all()) == expected


def test_models(client, upstream):
    models = {model.id: model for model in client.models.list()}
    assert models["any"].owned_by == "unfail"
    assert models[upstream.target].owned_by == upstream.provider
    assert client.models.retrieve("any").id == "any"
    assert client.models.retrieve(upstream.target).id == upstream.target
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")


def test_the_callers_key_stays_here_and_the_providers_key_goes_there(client, provider):
    client.chat.completions.create(model="any", messages=[user("Hello")])
    headers = json.dumps(provider.last_call()["headers"])
    assert PROVIDER_KEY in headers
    assert CALLER_KEYS["web"] not in headers
    assert "stainless" not in headers
