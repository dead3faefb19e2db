"""No key leaves unfail but to its own provider: not in the log, not in an answer, not in an error.

What every gateway of every test prints is searched when the test ends; here providers try to give keys away.
"""

import json

import openai
import pytest

from samples import user
from servers import CALLER_KEYS, PROVIDER_KEY, secrets

HELLO = {"model": "any", "messages": [user("Hello")]}
JSON = {"content-type": "application/json", "x-key": PROVIDER_KEY, "set-cookie": f"key={PROVIDER_KEY}"}

# How a provider of each wire tells an error, each naming the key.
SAID = f"Incorrect API key provided: {PROVIDER_KEY}, from Bearer {PROVIDER_KEY}."
BODIES = {
    "openai-chat": json.dumps({"error": {"message": SAID, "type": SAID, "code": PROVIDER_KEY, "param": PROVIDER_KEY}}),
    "anthropic": json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": SAID}}),
    "gemini": json.dumps({"error": {"code": 400, "message": SAID, "status": "INVALID_ARGUMENT"}}),
}


def is_clean(text):
    return not any(secret in text for secret in secrets())


@pytest.mark.parametrize("mode", ["developer", "product"])
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize("plain", [False, True], ids=["json", "text"])
def test_what_a_provider_repeats(provider, start_gateway, connect, mode, status, plain):
    gateway = start_gateway([provider], mode=mode, rules='deadline = "200ms"', keys={"web": None})
    client = connect(gateway)
    provider.script(default={"status": status, "headers": JSON, "body": SAID if plain else BODIES[provider.wire]})
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(**HELLO, stream=stream)
        assert is_clean(f"{caught.value.response.headers} {caught.value.response.text}")
    records = gateway.records()
    assert [record["request"]["caller"] for record in records] == ["web", "web"]
    assert is_clean(gateway.output())


def test_what_a_model_says_is_not_changed(client, provider):
    """A secret in the words of an answer is the caller's own business; changing them would break answers."""
    provider.script({"say": "The key is sk-1234567890abcdefghijklmnop.", "act": "answer"})
    answer = client.chat.completions.create(**HELLO)
    assert answer.choices[0].message.content == "The key is sk-1234567890abcdefghijklmnop."


def test_prompts_and_answers_are_not_logged(gateway, client):
    client.chat.completions.create(model="any", messages=[user("The word is xylophone")])
    assert len(gateway.records()) == 1
    assert "xylophone" not in gateway.output()


def test_callers_keys_stay_with_unfail(provider, start_gateway, connect):
    gateway = start_gateway([provider], keys={"web": None})
    for headers in [{}, {"x-api-key": CALLER_KEYS["web"]}, {"x-goog-api-key": CALLER_KEYS["web"]}]:
        connect(gateway).chat.completions.create(**HELLO, extra_headers=headers)
    sent = json.dumps(provider.calls())
    assert sent.count(PROVIDER_KEY) == 3
    assert not any(key in sent for key in CALLER_KEYS.values())
