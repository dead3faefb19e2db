"""The processes the SDKs talk to: simulated providers, and unfail in front of them.

Starts real binaries and reads what they print; nothing here fakes an answer.
"""

import json
import os
import queue
import signal
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

START_LIMIT_S = 20.0
STOP_LIMIT_S = 10.0
ANNOUNCEMENT = "listening on "

# Reading the system's certificates takes longer than most tests, so every client is given these.
TLS = ssl.create_default_context()

# Every simulated provider is reached with this key. It must never show up in what unfail prints or answers. It has
# no digits, so that it is kept out because it is known and not because it looks like a key.
PROVIDER_KEY = "sk-provider-key-of-the-sdk-tests"

# What callers present, by the name of the key in the configuration. `web` is what every client uses.
CALLER_KEYS = {"web": "uf-caller-key-of-the-sdk-tests", "narrow": "uf-narrow-caller-key-of-the-sdk-tests"}

# What a provider has behind its origin, as the catalog's rows say it.
BASE_PATHS = {"openai-chat": "/v1", "anthropic": "", "gemini": ""}


@dataclass(frozen=True)
class Upstream:
    """A row of the catalog and a model of it; only its base URL is replaced by a simulated provider's."""

    provider: str
    wire: str
    model: str

    @property
    def target(self):
        return f"{self.provider}/{self.model}"


UPSTREAMS = {
    "openai-chat": Upstream("openai", "openai-chat", "gpt-5.4-mini"),
    "anthropic": Upstream("anthropic", "anthropic", "claude-sonnet-5-5"),
    "gemini": Upstream("gemini", "gemini", "gemini-3.8-flash"),
}
WIRES = tuple(UPSTREAMS)


class Process:
    """A server of ours: started with its address read from its first words, ended when the test ends."""

    def __init__(self, command, environment=None):
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        self.name = Path(command[0]).name
        self._printed = []
        self._stopped = False
        self._address = queue.Queue()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=inherited | (environment or {}),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self._wait_for_address()

    def _read(self):
        for line in self._process.stdout:
            self._printed.append(line.rstrip("\n"))
            if ANNOUNCEMENT in line:
                self._address.put(line.split(ANNOUNCEMENT, 1)[1].split()[0].rstrip("/"))
        self._address.put(None)

    def _wait_for_address(self):
        try:
            address = self._address.get(timeout=START_LIMIT_S)
        except queue.Empty:
            address = None
        if address is None:
            self.stop()
            raise RuntimeError(f"{self.name} did not say where it listens:\n{self.output()}")
        return address

    def output(self):
        """Everything the process has printed so far; all there will be, once it has stopped."""
        return "\n".join(self._printed)

    def stop(self):
        """Asks the process to end and returns its exit code. One that does not end fails the test."""
        self._stopped = True
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        # Its output ends when it does, and waiting for that needs no polling.
        self._reader.join(timeout=STOP_LIMIT_S)
        try:
            code = self._process.wait(timeout=STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise RuntimeError(f"{self.name} did not end when asked to:\n{self.output()}") from None
        self._process.stdout.close()
        return code

    def faults(self):
        """Ends the process and says what must not be said of any."""
        early = not self._stopped and self._process.poll() is not None
        code = self.stop()
        if early or code not in (0, -signal.SIGTERM):
            when = " before it was asked to" if early else ""
            return [f"{self.name} ended with {code}{when}:\n{self.output()}"]
        return []


class Provider(Process):
    """A simulated provider speaking one wire."""

    def __init__(self, wire):
        self.wire = wire
        super().__init__([binary("UNFAIL_SIM_BIN"), "--wire", wire, "--port", "0"])
        self._control = httpx.Client(base_url=f"{self.url}/_sim", verify=TLS)

    def stop(self):
        self._control.close()
        return super().stop()

    @property
    def base_url(self):
        """What a catalog row names as the provider's base URL."""
        return self.url + BASE_PATHS[self.wire]

    def script(self, *acts, default="answer", **settings):
        """Says how the next calls are answered, one act per call, and by `default` after them.

        An act is its text form (`"cut-after:5"`), `{"say": words, "act": act}` or `{"status": n, "body": text}`.
        `settings` are `limit` and `accept_keys`.
        """
        script = {"acts": list(acts), "default": default} | settings
        answer = self._control.post("/script", json=script)
        if answer.status_code != 200:
            raise ValueError(f"the simulated provider refuses {script}: {answer.text}")

    def calls(self):
        """Every call received so far, oldest first."""
        answer = self._control.get("/calls")
        answer.raise_for_status()
        return answer.json()

    def last_call(self):
        return self.calls()[-1]

    def ended(self, within_s):
        """How the latest call ended (`sent`, `caller_gone`, …), waiting for its end; `open` when it has none."""
        limit = time.monotonic() + within_s
        while (end := self.last_call()["end"]) == "open" and time.monotonic() < limit:
            time.sleep(0.01)
        return end


class Gateway(Process):
    """`unfail serve` with a configuration file."""

    def __init__(self, config):
        environment = {"SDK_TESTS_PROVIDER_KEY": PROVIDER_KEY} | {
            key_variable(name): secret for name, secret in CALLER_KEYS.items()
        }
        super().__init__([binary("UNFAIL_BIN"), "serve", "--config", str(config)], environment)

    @property
    def base_url(self):
        """What the `openai` SDK takes as its base URL."""
        return f"{self.url}/v1"

    def records(self):
        """Stops the gateway and returns its request log: one record per request."""
        self.stop()
        return [json.loads(line) for line in self._printed if line.startswith("{")]

    def faults(self):
        faults = super().faults()
        output = self.output()
        faults += [f"{self.name} printed a secret:\n{output}" for secret in secrets() if secret in output]
        return faults + ([f"{self.name} panicked:\n{output}"] if "panicked" in output else [])


def secrets():
    """Whatever must never be printed or answered."""
    return [PROVIDER_KEY, *CALLER_KEYS.values()]


def key_variable(name):
    """The environment variable a caller key's secret is read from."""
    return f"SDK_TESTS_{name.upper()}_KEY"


def binary(variable):
    """Path of a binary under test."""
    path = os.environ.get(variable)
    if not path or not Path(path).is_file():
        raise RuntimeError(f"{variable} names no binary; run `cargo xtask test --only sdk`")
    return path


def configuration(providers, rules="", keys=None, mode="developer", more=""):
    """An `unfail.toml` with a route `any` through `providers` in order, under these TOML lines of rules.

    `keys` maps caller keys to the routes they may use (`None`: all); `more` is further TOML.
    """
    blocks = [f'[server]\nlisten = "127.0.0.1:0"\nmode = "{mode}"\n']
    upstreams = [UPSTREAMS[provider.wire] for provider in providers]
    for provider, upstream in zip(providers, upstreams, strict=True):
        blocks.append(
            f"[providers.{upstream.provider}]\n"
            f'base_url = "{provider.base_url}"\n'
            f'keys = ["env:SDK_TESTS_PROVIDER_KEY"]\n'
        )
    chain = json.dumps([upstream.target for upstream in upstreams])
    blocks.append(f"[routes.any]\nchain = {chain}\n{rules}\n")
    for name, routes in (keys or {}).items():
        allowed = "" if routes is None else f"routes = {json.dumps(routes)}\n"
        blocks.append(f'[keys.{name}]\nsecret = "env:{key_variable(name)}"\n{allowed}')
    return "\n".join([*blocks, more])
