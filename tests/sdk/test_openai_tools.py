"""The `openai` SDK's functions through unfail: called, answered and called again on every wire."""

import json

import openai
import pydantic
import pytest

from samples import CLOCK, WEATHER, Streamed, function, unknown_fields, user

TOOLS = [function(WEATHER), function(CLOCK)]


class GetWeather(pydantic.BaseModel):
    """Weather of a city."""

    city: str
    days: list[int]


@pytest.fixture(params=["whole", "stream"])
def called(request, client):
    """`called(**ask)` returns the calls a model makes as `(id, name, arguments)` and why it stopped."""

    def whole(**ask):
        answer = client.chat.completions.create(model="any", **ask)
        [choice] = answer.choices
        assert unknown_fields(answer) == []
        calls = choice.message.tool_calls or []
        read = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in calls]
        return read, choice.finish_reason

    def stream(**ask):
        answer = Streamed(client.chat.completions.create(model="any", **ask, stream=True))
        [finish] = answer.finishes
        return answer.tool_calls(), finish

    return {"whole": whole, "stream": stream}[request.param]


def assistant(calls, content=None):
    """The assistant's turn as a caller sends it back."""
    listed = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for id, name, arguments in calls
    ]
    return {"role": "assistant", "content": content, "tool_calls": listed}


def results(calls, text):
    return [{"role": "tool", "tool_call_id": id, "content": text.format(**arguments)} for id, _, arguments in calls]


def test_one_call_and_its_result(client, called):
    asked = [user("What is the weather?")]
    calls, finish = called(messages=asked, tools=TOOLS)
    [(id, name, arguments)] = calls
    assert finish == "tool_calls"
    assert id and name == "get_weather"
    assert arguments == {"city": "some city", "unit": "celsius"}

    told = [*asked, assistant(calls), *results(calls, "21 degrees in {city}")]
    answer = client.chat.completions.create(model="any", messages=told, tools=TOOLS).choices[0]
    assert answer.finish_reason == "stop"
    assert "21 degrees in some city" in answer.message.content


def test_parallel_calls_and_their_results(client, called):
    asked = [user("Weather and time, both please: in parallel")]
    calls, finish = called(messages=asked, tools=TOOLS)
    assert finish == "tool_calls"
    assert [name for _, name, _ in calls] == ["get_weather", "get_time"]
    assert len({id for id, _, _ in calls}) == 2
    assert calls[1][2] == {}, "no arguments are an empty object"

    # In the other order than they were called: the ids say which is which.
    told = [*asked, assistant(calls), *reversed(results(calls, "result"))]
    answer = client.chat.completions.create(model="any", messages=told, tools=TOOLS).choices[0]
    assert answer.finish_reason == "stop"
    assert answer.message.content.count("result") == 2


def test_two_rounds(client, called):
    """After the first result the caller asks again: the history holds a whole round when the second begins."""
    told = [user("What is the weather?")]
    for _ in range(2):
        calls, finish = called(messages=told, tools=TOOLS)
        assert finish == "tool_calls"
        told += [assistant(calls, "Let me look."), *results(calls, "rain")]
        answer = client.chat.completions.create(model="any", messages=told, tools=TOOLS).choices[0].message
        told += [{"role": "assistant", "content": answer.content}, user("And the weather tomorrow?")]
    assert "rain" in answer.content


@pytest.mark.parametrize("wire", ["openai-chat", "anthropic"])
def test_parallel_calls_can_be_turned_off(start_provider, start_gateway, connect, wire):
    """On the wires that have a switch for it."""
    client = connect(start_gateway([start_provider(wire)]))
    ask = {"model": "any", "messages": [user("both in parallel")], "tools": TOOLS}
    answer = client.chat.completions.create(**ask, parallel_tool_calls=False)
    assert len(answer.choices[0].message.tool_calls) == 1


def test_choices(called):
    asked = [user("Say something without tools")]
    calls, finish = called(messages=asked, tools=TOOLS)
    assert (calls, finish) == ([], "stop")
    calls, finish = called(messages=[user("Weather")], tools=TOOLS, tool_choice="none")
    assert (calls, finish) == ([], "stop")
    calls, finish = called(messages=[user("Weather")], tools=TOOLS, tool_choice="required")
    assert (len(calls), finish) == (1, "tool_calls")


def test_a_named_function_is_called(called, provider):
    choice = {"type": "function", "function": {"name": "get_time"}}
    calls, _ = called(messages=[user("I would rather get_weather")], tools=TOOLS, tool_choice=choice)
    if provider.wire == "anthropic":
        # This model cannot be forced; it is asked in words, which the simulated one does not heed.
        assert "`get_time`" in json.dumps(provider.last_call()["body"]["system"])
    else:
        assert [name for _, name, _ in calls] == ["get_time"]


def test_the_answer_of_the_model_can_be_sent_back_as_it_is(client):
    """What people do: append the SDK's own message object to the history."""
    told = [user("What is the weather?")]
    message = client.chat.completions.create(model="any", messages=told, tools=TOOLS).choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sun"}
    answer = client.chat.completions.create(model="any", messages=[*told, message, result], tools=TOOLS)
    assert "sun" in answer.choices[0].message.content


def test_parse_reads_arguments_into_types(client):
    tool = openai.pydantic_function_tool(GetWeather)
    answer = client.chat.completions.parse(model="any", messages=[user("Weather")], tools=[tool])
    [call] = answer.choices[0].message.tool_calls
    assert call.function.name == "GetWeather"
    assert isinstance(call.function.parsed_arguments, GetWeather)


def test_the_stream_helper_reads_arguments_into_types(client):
    tool = openai.pydantic_function_tool(GetWeather)
    with client.chat.completions.stream(model="any", messages=[user("Weather")], tools=[tool]) as stream:
        events = list(stream)
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [type(event.parsed_arguments) for event in done] == [GetWeather]


def test_a_history_of_another_provider_is_understood(client):
    """Ids and calls as somebody else's model made them: after a hop the history comes from elsewhere."""
    calls = [
        ("call_abcdefghijklmnopqrstuvwx", "get_weather", {"city": "Ulm", "unit": "celsius"}),
        ("toolu_01A09q90qw90lq917835lq9", "get_time", {}),
    ]
    told = [user("Weather?"), assistant(calls, "One moment."), *results(calls, "seen"), user("Thanks, without tools")]
    answer = client.chat.completions.create(model="any", messages=told, tools=TOOLS).choices[0]
    assert answer.finish_reason == "stop"
    assert "Thanks" in answer.message.content
