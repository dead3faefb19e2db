"""What the `openai` SDK raises when unfail has no answer: the typed exception, what to do, and nothing secret."""

import openai
import pytest

from samples import user
from servers import CALLER_KEYS, PROVIDER_KEY

HELLO = {"model": "any", "messages": [user("Hello")]}

# A request that no target can serve now waits for one as long as it may; these may not.
AT_ONCE = 'deadline = "500ms"'


def refused(client, error, **ask):
    """The exception of this type that a request raises, plain and streamed alike."""
    with pytest.raises(error) as caught:
        client.chat.completions.create(**HELLO | ask)
    assert type(caught.value) is error
    assert caught.value.body["message"] == caught.value.body["message"].strip() != ""
    assert PROVIDER_KEY not in str(caught.value.body)
    return caught.value


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_all_limited(provider, upstream, start_gateway, connect, stream):
    client = connect(start_gateway([provider], rules=AT_ONCE))
    provider.script("retry-after-seconds:7")
    error = refused(client, openai.RateLimitError, stream=stream)
    assert (error.status_code, error.code, error.type) == (429, "rate_limit_exceeded", "rate_limit_error")
    assert 1 <= int(error.response.headers["retry-after"]) <= 7
    assert 0 < int(error.response.headers["retry-after-ms"]) <= 7000
    assert error.response.headers["x-unfail-trail"] == f"{upstream.provider}:rate_limited"
    assert error.body["unfail"]["request_id"] == error.response.headers["x-unfail-request-id"]
    assert len(provider.calls()) == 1


def test_product_mode_says_nothing_about_providers(provider, upstream, start_gateway, connect):
    client = connect(start_gateway([provider], mode="product", rules=AT_ONCE))
    provider.script("retry-after-seconds:7")
    error = refused(client, openai.RateLimitError)
    assert int(error.response.headers["retry-after"]) <= 7
    told = f"{error.response.headers} {error.response.text}"
    for word in [upstream.provider, upstream.model, "simulated", "trail"]:
        assert word not in told
    assert "x-unfail-request-id" in error.response.headers


def test_the_sdk_does_not_repeat_what_unfail_has_tried(provider, start_gateway, connect):
    gateway = start_gateway([provider], rules=AT_ONCE)
    client = connect(gateway, max_retries=3)
    provider.script(default="retry-after-seconds:7")
    error = refused(client, openai.RateLimitError)
    assert error.response.headers["x-should-retry"] == "false"
    client.close()
    assert len(gateway.records()) == 1


def test_the_sdk_waits_for_a_known_wait_when_nothing_was_tried(start_provider, start_gateway, connect):
    """The second request finds the target resting: no call was made, so the SDK may come back after the wait."""
    provider = start_provider("anthropic")
    gateway = start_gateway([provider], rules=AT_ONCE)
    provider.script("retry-after-seconds:2")
    refused(connect(gateway), openai.RateLimitError)
    answer = connect(gateway, max_retries=2).chat.completions.create(**HELLO)
    assert answer.choices[0].finish_reason == "stop"
    assert len(provider.calls()) == 2


def test_a_request_that_may_wait_gets_its_answer(client, provider):
    """With time left and a known wait, unfail itself comes back to the only target there is."""
    provider.script("retry-after-ms:300")
    assert client.chat.completions.create(**HELLO).choices[0].finish_reason == "stop"
    assert len(provider.calls()) == 2


@pytest.mark.parametrize("key", ["uf-wrong", CALLER_KEYS["web"][:-1], CALLER_KEYS["web"].upper()])
def test_a_wrong_key(provider, start_gateway, connect, key):
    client = connect(start_gateway([provider], keys={"web": None}), api_key=key, max_retries=2)
    error = refused(client, openai.AuthenticationError)
    assert (error.status_code, error.code) == (401, "invalid_api_key")
    assert key not in error.response.text
    with pytest.raises(openai.AuthenticationError):
        client.models.list()
    assert provider.calls() == []


def test_the_right_key(provider, start_gateway, connect):
    gateway = start_gateway([provider], keys={"web": None, "narrow": ["any"]})
    for key in CALLER_KEYS.values():
        connect(gateway, api_key=key).chat.completions.create(**HELLO)
    # Lines of several threads may change places within a few milliseconds.
    records = sorted(gateway.records(), key=lambda record: record["at_ms"])
    assert [record["request"]["caller"] for record in records] == ["web", "narrow"]


def test_a_route_the_key_may_not_use(provider, upstream, start_gateway, connect):
    more = f'[routes.other]\nchain = ["{upstream.target}"]\n'
    client = connect(start_gateway([provider], keys={"narrow": ["any"]}, more=more), api_key=CALLER_KEYS["narrow"])
    for model in ["other", "auto", upstream.target, upstream.model]:
        error = refused(client, openai.PermissionDeniedError, model=model)
        assert (error.status_code, error.type) == (403, "permission_error")
    assert [model.id for model in client.models.list()] == ["any"]
    assert provider.calls() == []


@pytest.mark.parametrize("model", ["nothing", "anthropik/claude", "gemini/"])
def test_an_unknown_model(client, provider, model):
    error = refused(client, openai.NotFoundError, model=model)
    assert (error.status_code, error.code, error.param) == (404, "model_not_found", "model")
    assert model in error.message
    assert provider.calls() == []


def test_an_unknown_path(client):
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="any", input="text")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_prompt_that_is_too_long(client, provider, stream):
    provider.script("context-too-long")
    error = refused(client, openai.BadRequestError, stream=stream)
    assert (error.status_code, error.code) == (400, "context_length_exceeded")
    assert error.type == "invalid_request_error"
    assert len(provider.calls()) == 1


@pytest.mark.parametrize(
    ("ask", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "Hello"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages"),
        ({"temperature": "warm"}, "temperature"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"extra_body": {"stream": "yes"}}, "stream"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_parameter(client, ask, param):
    error = refused(client, openai.BadRequestError, **ask)
    assert (error.status_code, error.type) == (400, "invalid_request_error")
    assert error.param.startswith(param)


def test_a_prompt_that_is_refused(client, provider):
    """Some wires refuse with an error, others with an answer that has none; both say so in the SDK's own words."""
    provider.script("content-policy")
    if provider.wire == "openai-chat":
        error = refused(client, openai.BadRequestError)
        assert error.code == "content_policy_violation"
    else:
        answer = client.chat.completions.create(**HELLO)
        assert answer.choices[0].finish_reason == "content_filter"


def test_a_refusal_where_the_route_goes_on(provider, start_gateway, connect):
    client = connect(start_gateway([provider], rules='on_refusal = "next"'))
    provider.script("content-policy")
    error = refused(client, openai.BadRequestError)
    assert error.code == "content_policy_violation"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("act", "status", "code"),
    [
        ("server-error", 502, "upstream_error"),
        ("html-bad-gateway", 502, "upstream_error"),
        ("reset-before-headers", 502, "upstream_error"),
        ("cut-before-first", 502, "upstream_error"),
        ("invalid-json", 502, "upstream_error"),
        ("empty-choices", 502, "upstream_error"),
        ("unauthorized", 502, "upstream_error"),
        ("overloaded", 503, "server_is_overloaded"),
        ("hang-before-headers", 504, "timeout"),
        ("hang-after-headers", 504, "timeout"),
    ],
)
def test_a_provider_that_fails(provider, start_gateway, connect, act, status, code, stream):
    client = connect(start_gateway([provider], rules='first_token = "250ms"\ndeadline = "500ms"'))
    provider.script(default=act)
    error = refused(client, openai.InternalServerError, stream=stream)
    assert (error.status_code, error.code) == (status, code)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_credit_that_is_used_up(client, provider, stream):
    provider.script(default="payment-required")
    error = refused(client, openai.RateLimitError, stream=stream)
    assert (error.status_code, error.code) == (429, "insufficient_quota")


def test_the_callers_own_deadline(client, provider):
    provider.script("hang-before-headers")
    error = refused(client, openai.InternalServerError, extra_headers={"x-unfail-deadline-ms": "200"})
    assert (error.status_code, error.code) == (504, "timeout")
    assert provider.ended(within_s=1.0) == "caller_gone"


@pytest.mark.parametrize("act", ["hang-before-headers", "hang-after-headers"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_caller_that_gives_up_closes_the_provider(client, provider, act, stream):
    provider.script(act)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(**HELLO, stream=stream)
    assert provider.ended(within_s=1.0) == "caller_gone"


def test_a_caller_that_gives_up_in_a_stream_closes_the_provider(client, provider):
    provider.script("stall-after:3")
    stream = client.with_options(timeout=0.2).chat.completions.create(**HELLO, stream=True)
    with pytest.raises(openai.APITimeoutError):
        list(stream)
    assert provider.ended(within_s=1.0) == "caller_gone"
