"""Fixtures of the SDK tests: simulated providers, unfail in front of them, and clients of the official SDKs.

`cargo xtask test --only sdk` builds the binaries and says where they are (`UNFAIL_BIN`, `UNFAIL_SIM_BIN`); without
them every test fails, none is skipped.
"""

import os

import openai
import pytest

from servers import CALLER_KEYS, TLS, UPSTREAMS, WIRES, Gateway, Provider, configuration

# The SDKs read keys, base URLs and proxies from the environment; the tests say all of that themselves.
for name in list(os.environ):
    if name.startswith(("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_")) or name.lower().endswith("_proxy"):
        del os.environ[name]


@pytest.fixture
def started():
    """Keeps processes and ends them after the test, last one first. One that crashed, panicked or printed a secret
    fails the test."""
    processes = []
    yield processes
    faults = []
    for process in reversed(processes):
        try:
            faults += process.faults()
        except RuntimeError as error:
            faults.append(str(error))
    assert not faults, "\n\n".join(faults)


@pytest.fixture
def start_provider(started):
    """`start_provider("anthropic")` starts a simulated provider of that wire."""

    def start(wire):
        provider = Provider(wire)
        started.append(provider)
        return provider

    return start


@pytest.fixture
def start_gateway(started, tmp_path):
    """`start_gateway([provider, …])` starts unfail with route `any` through them, in that order."""

    def start(providers, **settings):
        file = tmp_path / f"unfail-{len(started)}.toml"
        file.write_text(configuration(providers, **settings), encoding="utf-8")
        gateway = Gateway(file)
        started.append(gateway)
        return gateway

    return start


@pytest.fixture(params=WIRES)
def provider(request, start_provider):
    """A simulated provider of each wire in turn."""
    return start_provider(request.param)


@pytest.fixture
def upstream(provider):
    """What the gateway calls `provider`."""
    return UPSTREAMS[provider.wire]


@pytest.fixture
def gateway(provider, start_gateway):
    """unfail in front of that one provider; the route is `any`."""
    return start_gateway([provider])


@pytest.fixture
def connect():
    """`connect(gateway)` makes an `openai` client of a gateway. It checks every answer against the SDK's own types
    and never tries again by itself, unless told otherwise."""
    clients = []

    def make(server, **settings):
        transport = openai.DefaultHttpxClient(verify=TLS)
        settings = {"api_key": CALLER_KEYS["web"], "max_retries": 0, "timeout": 20.0} | settings
        client = openai.OpenAI(
            base_url=server.base_url, http_client=transport, _strict_response_validation=True, **settings
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect, gateway):
    """An `openai` client of `gateway`."""
    return connect(gateway)
