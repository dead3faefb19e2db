"""The `google-genai` SDK talks straight to a simulated provider: that one speaks the real wire.

unfail is not involved; what it is tested against is. The SDK's own types refuse fields they do not know.
"""

import asyncio

import pytest
from google import genai
from google.genai import errors, types

from samples import CLOCK, MANY_LANGUAGES, PNG, WEATHER, Order
from servers import PROVIDER_KEY, TLS

# The newer signs its calls and gives them ids, the older does not.
MODEL = "gemini-3.8-flash"
OLDER = "gemini-2.5-pro"
HELLO = {"model": MODEL, "contents": "Hello there"}
HEARD = "gemini heard: Hello there (turn 1)"
DECLARATIONS = [
    types.FunctionDeclaration(
        name=tool["name"], description=tool["description"], parameters_json_schema=tool["parameters"]
    )
    for tool in (WEATHER, CLOCK)
]
TOOLS = [types.Tool(function_declarations=DECLARATIONS)]
THOUGHT = "The caller said: Hello there. I answer that."


@pytest.fixture
def provider(start_provider):
    return start_provider("gemini")


def connect(provider, **settings):
    options = types.HttpOptions(base_url=provider.url, timeout=20_000, client_args={"verify": TLS}, **settings)
    return genai.Client(api_key=PROVIDER_KEY, http_options=options)


@pytest.fixture
def client(provider):
    client = connect(provider)
    yield client
    client.close()


def config(**settings):
    return types.GenerateContentConfig(**settings)


@pytest.fixture(params=["whole", "stream"])
def ask(request, client):
    """`ask(…)` returns the answer: whole, or its last chunk with the parts of all of them."""

    def whole(**settings):
        return client.models.generate_content(**settings)

    def stream(**settings):
        chunks = list(client.models.generate_content_stream(**settings))
        parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
        chunks[-1].candidates[0].content.parts = parts
        return chunks[-1]

    return {"whole": whole, "stream": stream}[request.param]


def text_of(answer, thought=False):
    parts = answer.candidates[0].content.parts
    return "".join(part.text for part in parts if part.text and bool(part.thought) == thought)


@pytest.mark.parametrize("version", [None, "v1", "v1beta"])
def test_plain_under_every_version_of_the_path(provider, version):
    client = connect(provider, api_version=version)
    answer = client.models.generate_content(**HELLO)
    client.close()
    assert answer.text == HEARD
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.model_version == MODEL and answer.response_id
    usage = answer.usage_metadata
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count
    path = provider.last_call()["path"]
    assert path == f"/{version or path.split('/')[1]}/models/{MODEL}:generateContent"


def test_whole_and_streamed_say_the_same(ask):
    answer = ask(**HELLO)
    assert text_of(answer) == HEARD
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata.candidates_token_count > 0


def test_a_stream_comes_in_pieces(client):
    chunks = list(client.models.generate_content_stream(**HELLO))
    assert len(chunks) > 5
    assert [chunk.candidates[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert len({chunk.response_id for chunk in chunks}) == 1


def test_system_and_several_turns(ask):
    contents = [
        types.UserContent("First"),
        types.ModelContent("Answer"),
        types.UserContent([types.Part.from_text(text="Second")]),
    ]
    answer = ask(model=MODEL, contents=contents, config=config(system_instruction="Be brief."))
    assert text_of(answer) == "gemini heard: Second (turn 2; system: Be brief.)"


def test_a_chat_keeps_its_history(client):
    chat = client.chats.create(model=MODEL)
    assert chat.send_message("First").text == "gemini heard: First (turn 1)"
    assert "".join(chunk.text or "" for chunk in chat.send_message_stream("Second")) == "gemini heard: Second (turn 2)"


def test_limits_and_stops(ask):
    answer = ask(**HELLO, config=config(max_output_tokens=3))
    assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    answer = ask(**HELLO, config=config(stop_sequences=["there"], temperature=1.0, top_p=0.9, top_k=5, seed=7))
    assert text_of(answer) == "gemini heard: Hello "


def test_an_image(ask):
    contents = ["What is this?", types.Part.from_bytes(data=PNG, mime_type="image/png")]
    assert f"I see a image/png of {len(PNG)} bytes." in text_of(ask(model=MODEL, contents=contents))


def test_thinking_is_shown_when_asked_for(ask):
    settings = types.ThinkingConfig(include_thoughts=True, thinking_level=types.ThinkingLevel.LOW)
    answer = ask(**HELLO, config=config(thinking_config=settings))
    assert text_of(answer, thought=True) == THOUGHT
    assert text_of(answer) == HEARD
    assert answer.usage_metadata.thoughts_token_count > 0


def test_thinking_is_counted_and_not_shown_otherwise(ask):
    answer = ask(**HELLO, config=config(thinking_config=types.ThinkingConfig(thinking_level="LOW")))
    assert (text_of(answer, thought=True), text_of(answer)) == ("", HEARD)
    assert answer.usage_metadata.thoughts_token_count > 0


@pytest.mark.parametrize("model", [MODEL, OLDER])
def test_a_round_with_parallel_functions(ask, model):
    told = [types.UserContent("Weather and time, both please")]
    answer = ask(model=model, contents=told, config=config(tools=TOOLS))
    calls = [part.function_call for part in answer.candidates[0].content.parts if part.function_call]
    assert [(call.name, call.args) for call in calls] == [
        ("get_weather", {"city": "some city", "unit": "celsius"}),
        ("get_time", {}),
    ]
    assert [bool(call.id) for call in calls] == [model == MODEL] * 2

    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "sun"}))
        for call in calls
    ]
    told += [answer.candidates[0].content, types.Content(role="user", parts=results)]
    assert text_of(ask(model=model, contents=told, config=config(tools=TOOLS))).count("sun") == 2


def test_functions_are_called_by_the_sdk_itself(client):
    def get_weather(city: str) -> dict:
        """Weather of a city."""
        return {"output": f"sun in {city}"}

    answer = client.models.generate_content(model=MODEL, contents="Weather", config=config(tools=[get_weather]))
    assert "sun in some city" in answer.text
    assert len(answer.automatic_function_calling_history) == 3


def test_function_calling_modes(client):
    def names(contents="Weather", **settings):
        calling = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(**settings))
        answer = client.models.generate_content(
            model=MODEL, contents=contents, config=config(tools=TOOLS, tool_config=calling)
        )
        return [call.name for call in answer.function_calls or []]

    assert names(mode="NONE") == []
    assert names(mode="AUTO") == ["get_weather"]
    assert names(mode="ANY", contents="without tools") == ["get_weather"]
    assert names(mode="ANY", allowed_function_names=["get_time"]) == ["get_time"]


@pytest.mark.parametrize("field", ["response_schema", "response_json_schema"])
def test_structured_output(client, field):
    schema = Order if field == "response_schema" else Order.model_json_schema()
    settings = {"response_mime_type": "application/json", field: schema}
    answer = client.models.generate_content(**HELLO, config=config(**settings))
    assert Order.model_validate_json(answer.text)
    if field == "response_schema":
        assert isinstance(answer.parsed, Order)


def test_counting_and_models(client):
    assert client.models.count_tokens(**HELLO).total_tokens == 3
    assert f"models/{MODEL}" in [model.name for model in client.models.list()]
    assert client.models.get(model=MODEL).input_token_limit == 1_048_576


def test_a_blocked_prompt_is_an_answer_without_one(client, provider):
    provider.script("content-policy", "declined")
    answer = client.models.generate_content(**HELLO)
    assert answer.candidates is None
    assert answer.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    answer = client.models.generate_content(**HELLO)
    assert answer.candidates[0].finish_reason == types.FinishReason.SAFETY


@pytest.mark.parametrize(
    ("act", "error", "code", "status"),
    [
        ("retry-after-seconds:7", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("quota-exhausted", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("context-too-long", errors.ClientError, 400, "INVALID_ARGUMENT"),
        ("unauthorized", errors.ClientError, 400, "INVALID_ARGUMENT"),
        ("payment-required", errors.ClientError, 402, "RESOURCE_EXHAUSTED"),
        ("model-not-found", errors.ClientError, 404, "NOT_FOUND"),
        ("overloaded", errors.ServerError, 503, "UNAVAILABLE"),
        ("server-error", errors.ServerError, 500, "INTERNAL"),
        ("html-bad-gateway", errors.ServerError, 502, "Bad Gateway"),
    ],
)
def test_typed_errors(ask, provider, act, error, code, status):
    provider.script(act)
    with pytest.raises(error) as caught:
        ask(**HELLO)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.message


def test_a_limit_states_its_wait_in_the_body(client, provider):
    provider.script("retry-after-seconds:7")
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(**HELLO)
    details = {detail["@type"].split(".")[-1]: detail for detail in caught.value.details["error"]["details"]}
    assert details["RetryInfo"]["retryDelay"] == "7s"
    assert details["QuotaFailure"]["violations"]


def test_the_sdk_comes_back_after_a_limit(provider):
    provider.script("retry-after-ms:10")
    client = connect(provider, retry_options=types.HttpRetryOptions(attempts=2, initial_delay=0.01, jitter=0.01))
    assert client.models.generate_content(**HELLO).text == HEARD
    client.close()
    assert len(provider.calls()) == 2


def test_wrong_keys_and_requests(client, provider):
    provider.script(accept_keys=["another key"])
    with pytest.raises(errors.ClientError, match="API key not valid"):
        client.models.generate_content(**HELLO)
    provider.script()
    for wrong in [{"stop_sequences": list("abcdef")}, {"max_output_tokens": 0}, {"candidate_count": 2}]:
        with pytest.raises(errors.ClientError) as caught:
            client.models.generate_content(**HELLO, config=config(**wrong))
        assert caught.value.status == "INVALID_ARGUMENT"


def test_an_error_in_the_middle_of_a_stream(client, provider):
    provider.script("error-after:5")
    text = ""
    with pytest.raises(errors.ServerError) as caught:
        for chunk in client.models.generate_content_stream(**HELLO):
            text += chunk.text
    assert HEARD.startswith(text) and len(text) == 20
    assert (caught.value.code, caught.value.status) == (503, "UNAVAILABLE")


def test_an_answer_in_many_languages_byte_by_byte(ask, provider):
    provider.script("every-byte")
    assert MANY_LANGUAGES in text_of(ask(model=MODEL, contents=MANY_LANGUAGES))


def test_the_async_client(provider):
    async def ask_async():
        client = connect(provider).aio
        whole = await client.models.generate_content(**HELLO)
        stream = await client.models.generate_content_stream(**HELLO)
        streamed = "".join([chunk.text or "" async for chunk in stream])
        await client.aclose()
        return whole.text, streamed

    assert asyncio.run(ask_async()) == (HEARD, HEARD)
