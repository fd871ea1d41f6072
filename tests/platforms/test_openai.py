"""The local endpoint answers and fails as the protocol has it; else tests against it would prove nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion

from tests.platforms.openai import Fault, OpenAI

ASKED: Any = {"model": "local", "messages": [{"role": "user", "content": "What did you bake?"}]}
TOOL: Any = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
async def model() -> AsyncIterator[OpenAI]:
    async with OpenAI() as endpoint:
        yield endpoint


@pytest.fixture
async def client(model: OpenAI) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=model.url, api_key="sk-local", max_retries=0, timeout=5) as made:
        yield made


async def test_every_answer_is_another_one_and_counts_its_tokens(model: OpenAI, client: AsyncOpenAI) -> None:
    answers: list[ChatCompletion] = [await client.chat.completions.create(**ASKED) for _ in range(3)]
    texts = [answer.choices[0].message.content or "" for answer in answers]
    assert len(set(texts)) == 3
    assert all(text.startswith("reply-") for text in texts)
    assert answers[0].choices[0].finish_reason == "stop"
    assert answers[0].usage is not None
    assert (answers[0].usage.prompt_tokens, answers[0].usage.completion_tokens) == (4, 1)
    assert [request["messages"] for request in model.requests] == [ASKED["messages"]] * 3
    assert len(model.calls_s) == 3


async def test_a_stream_brings_the_same_words_and_its_tokens_only_when_asked(
    model: OpenAI, client: AsyncOpenAI
) -> None:
    model.says("Bread every\n Sunday.", "Bread.")
    stream = await client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Bread every\n Sunday."
    assert [chunk.choices for chunk in chunks][-1] == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3
    plain = [chunk async for chunk in await client.chat.completions.create(**ASKED, stream=True)]
    assert all(chunk.usage is None for chunk in plain)
    assert plain[-1].choices[0].finish_reason == "stop"


async def test_tools_are_called_as_told_whole_and_in_pieces(model: OpenAI, client: AsyncOpenAI) -> None:
    for _ in range(2):
        model.calls_tools(("search", {"question": "bread"}), ("search", "{broken"), text="One moment.")
    answer = await client.chat.completions.create(**ASKED, tools=[TOOL])
    calls: Any = answer.choices[0].message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"question": "bread"}', "{broken"]
    assert answer.choices[0].finish_reason == "tool_calls"
    pieces: dict[int, str] = {}
    async for chunk in await client.chat.completions.create(**ASKED, tools=[TOOL], stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is not None
            pieces[call.index] = pieces.get(call.index, "") + (call.function.arguments or "")
    assert pieces == {0: '{"question": "bread"}', 1: "{broken"}


@pytest.mark.parametrize(
    ("fault", "raised", "code"),
    [
        ("401", openai.AuthenticationError, "invalid_api_key"),
        ("403", openai.PermissionDeniedError, "unsupported_country_region_territory"),
        ("404", openai.NotFoundError, "model_not_found"),
        ("429", openai.RateLimitError, "rate_limit_exceeded"),
        ("429_quota", openai.RateLimitError, "insufficient_quota"),
        ("500", openai.InternalServerError, None),
        ("503", openai.InternalServerError, None),
        ("context", openai.BadRequestError, "context_length_exceeded"),
        ("dropped", openai.APIConnectionError, None),
    ],
)
async def test_a_fault_is_what_it_is_named_after(
    model: OpenAI, client: AsyncOpenAI, fault: Fault, raised: type[openai.APIError], code: str | None
) -> None:
    model.fail(fault)
    with pytest.raises(raised) as caught:
        await client.chat.completions.create(**ASKED)
    assert caught.value.code == code
    if isinstance(caught.value, openai.RateLimitError):
        assert ("retry-after" in caught.value.response.headers) is (fault == "429")
    assert (await client.chat.completions.create(**ASKED)).choices


async def test_a_stream_breaks_off_in_the_middle(model: OpenAI, client: AsyncOpenAI) -> None:
    model.fail("dropped_stream")
    model.says("one two three four five six")
    heard: list[str] = []
    with pytest.raises(Exception, match=r"incomplete|closed|Connection"):
        await _hear(client, heard)
    assert heard[0] == "one"
    assert not any("six" in piece for piece in heard)


async def _hear(client: AsyncOpenAI, heard: list[str]) -> None:
    async for chunk in await client.chat.completions.create(**ASKED, stream=True):
        if chunk.choices[0].delta.content:
            heard.append(chunk.choices[0].delta.content)


async def test_a_hanging_call_lets_others_through_and_ends_with_its_caller(model: OpenAI, client: AsyncOpenAI) -> None:
    model.fail("hang")
    async with asyncio.TaskGroup() as group:
        hanging = group.create_task(client.chat.completions.create(**ASKED))
        while not model.open_calls:
            await asyncio.sleep(0.01)
        assert (await client.chat.completions.create(**ASKED)).choices
        hanging.cancel()
    async with asyncio.timeout(5):
        while model.open_calls:
            await asyncio.sleep(0.01)


async def test_chances_come_out_the_same_each_time(model: OpenAI, client: AsyncOpenAI) -> None:
    model.failure_chance = 0.5
    model.hang_s = 0
    outcomes = []
    for _ in range(2):
        model.random.seed(3)
        outcomes.append([await _outcome(client) for _ in range(20)])
    assert outcomes[0] == outcomes[1]
    assert {"fine"} < set(outcomes[0])


async def _outcome(client: AsyncOpenAI) -> str:
    try:
        await client.chat.completions.create(**ASKED)
    except (openai.OpenAIError, json.JSONDecodeError) as error:
        return type(error).__name__
    return "fine"


async def test_a_key_models_and_embeddings_are_served(model: OpenAI, client: AsyncOpenAI) -> None:
    assert [each.id for each in (await client.models.list()).data] == ["local"]
    vectors = (await client.embeddings.create(model="e", input=["bread", "bread", "cake"])).data
    assert vectors[0].embedding == vectors[1].embedding != vectors[2].embedding
    model.api_key = "another"
    with pytest.raises(openai.AuthenticationError):
        await client.models.list()


async def test_what_is_no_question_is_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model="local", messages=[])
    with pytest.raises(openai.NotFoundError):
        await client.moderations.create(input="hello")


async def test_it_can_be_tried_by_hand() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.platforms.openai"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().split()[-1]
    async with AsyncOpenAI(base_url=url, api_key="sk-local", max_retries=0) as client:
        assert (await client.chat.completions.create(**ASKED)).choices[0].message.content
    process.terminate()
    await process.wait()
