"""What a model is told: put together from the text files in `prompts/`, the persona, the talk and the memories.

Everything that somebody wrote (memories, messages, names) goes in as data: between tags of ours, which it cannot close.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import JsonValue

from agents.draft import Brief
from agents.endpoint import Message
from agents.phrases import phrases
from agents.turn import PersonaCard, Said
from knowledge.recall import Recall, Recalled

_MOST_HISTORY = 24
_HISTORY_CHARACTERS = 6000
_MEMORY_CHARACTERS = 1200
_PROFILE_CHARACTERS = 3600
_LINES = 10
_LINES_ENOUGH = 8
_OWN_LINES = frozenset(("said", "document"))
_LINE_CHARACTERS = 240
_NAME_CHARACTERS = 60
_RARE = 0.05
_SHORT, _MIDDLE = 60, 160

_TAGS = re.compile(r"<(?=\s*/?\s*(?:memor|message|think|tool_call))", re.IGNORECASE)
_MARK = re.compile(r"\[(m\d+|none)\]", re.IGNORECASE)


@dataclass(slots=True)
class Shown:
    """What the model was shown: memories under their numbers, from 1 on, and lines as examples of the manner."""

    numbered: list[Recalled] = field(default_factory=list)
    lines: list[Recalled] = field(default_factory=list)

    def add(self, memories: Iterable[Recalled]) -> list[int]:
        """Number those that have no number yet; return the numbers of all."""
        numbers = {memory.memory_id: number for number, memory in enumerate(self.numbered, start=1)}
        found = []
        for memory in memories:
            if memory.memory_id not in numbers:
                self.numbered.append(memory)
                numbers[memory.memory_id] = len(self.numbered)
            found.append(numbers[memory.memory_id])
        return found

    def trim(self, most: int) -> None:
        """Keep the first few memories and no lines."""
        del self.numbered[most:]
        self.lines.clear()

    def texts(self) -> tuple[str, ...]:
        """Return the words of everything that was shown."""
        return tuple(memory.text for memory in (*self.numbered, *self.lines))


async def nearest_lines(recall: Recall, brief: Brief, shown: Shown) -> list[Recalled]:
    """Return lines the persona itself wrote, nearest to the question first, that are not among the memories shown."""
    turn = brief.turn
    known = {memory.memory_id for memory in shown.numbered}
    lines: dict[int, Recalled] = {}
    for question in (brief.question, ""):
        found = await recall.recall(
            turn.viewer,
            question,
            limit=_LINES + len(known),
            own_only=True,
            kinds=_OWN_LINES,
            names=brief.names,
            now=turn.now,
        )
        lines |= {memory.memory_id: memory for memory in found if memory.memory_id not in known | set(lines)}
        if len(lines) >= _LINES_ENOUGH:
            break
    return list(lines.values())[:_LINES]


def messages_of(
    brief: Brief, shown: Shown, *, has_tools: bool = False, most_history: int = _MOST_HISTORY
) -> list[Message]:
    """Return the talk as the model gets it: who it speaks as, what was said, and the message with its memories."""
    system = _system(brief, shown, has_tools=has_tools)
    return [
        {"role": "system", "content": system},
        *_history(brief.turn.history, most_history),
        {"role": "user", "content": _last(brief, shown)},
    ]


def block(shown: Shown, numbers: Iterable[int], brief: Brief) -> str:
    """Return memories as data, each under its number."""
    return "\n".join(_memory(number, shown.numbered[number - 1], brief) for number in numbers)


def wording(name: str, /, **values: str) -> str:
    """Return a short wording of `prompts/words.toml`; "a.b" is b in its table a."""
    found: Any = _words()
    for key in name.split("."):
        found = found[key]
    return str(found).format(**values)


def prompt(name: str, /, **values: str) -> str:
    """Return the text of `prompts/<name>.md` with its places filled."""
    return _template(name).substitute(values).strip()


def language_name(code: str) -> str:
    """Return a language's name in English, which models understand best."""
    named: dict[str, str] = phrases("en").say["languages"]
    return named.get(code) or wording("of_unknown_language", code=code)


@cache
def load_prompts(name: str) -> dict[str, Any]:
    """Return one of the tables in `prompts/`."""
    return tomllib.loads(files("agents").joinpath("prompts", name).read_text(encoding="utf-8"))


def as_data(text: str, most: int) -> str:
    """Return somebody's words as data: they close no tag of ours, carry no mark, and end somewhere."""
    text = _MARK.sub(r"(\1)", _TAGS.sub("‹", text.strip()))
    return text if len(text) <= most else f"{text[:most].rsplit(' ', 1)[0]} …"


# ------------------------------------------------------------------------------------------- system


def _system(brief: Brief, shown: Shown, *, has_tools: bool) -> str:
    turn = brief.turn
    persona = turn.persona
    name = persona.name
    kind = persona.kind if persona.kind in ("brand", "memorial", "fictional") else "self"
    profile = "\n\n".join(filter(None, (persona.biography, persona.description)))
    habits = _habits(persona.style, brief.language)
    lines = [f"- {_on_one_line(as_data(line.text, _LINE_CHARACTERS))}" for line in shown.lines]
    length = _words()["length"][_length(persona.style)]
    parts = [
        prompt(kind, name=name),
        prompt(
            "profile",
            name=name,
            profile=as_data(profile, _PROFILE_CHARACTERS) or wording("nothing_known", name=name),
        ),
        prompt("manner", name=name, habits="\n".join(f"- {habit}" for habit in habits)) if habits else "",
        prompt("examples", name=name, examples="\n".join(lines)) if lines else "",
        prompt(
            "rules",
            name=name,
            language=language_name(brief.language),
            length=length,
            most=str(turn.max_characters),
        ),
        prompt("tools", languages=_languages(persona)) if has_tools else "",
        prompt("caution", name=name) if brief.is_cautious else "",
        prompt("group") if turn.is_group else "",
        prompt("moment", moment=_local(turn.now, persona).strftime("%A %Y-%m-%d %H:%M")),
    ]
    return "\n\n".join(part for part in parts if part)


def _languages(persona: PersonaCard) -> str:
    counted = persona.style.get("languages")
    codes = [*persona.languages, *(counted if isinstance(counted, dict) else ())]
    return ", ".join(language_name(code) for code in list(dict.fromkeys(codes))[:4]) or wording("any_language")


def _habits(style: dict[str, JsonValue], language: str) -> list[str]:
    """Return the style card as sentences: rates first, then the phrases of the language that is answered in."""
    words = _words()["habits"]
    markers = style.get("markers")
    rates = {
        name: marker["rate"]
        for name, marker in (markers.items() if isinstance(markers, dict) else ())
        if isinstance(marker, dict) and isinstance(marker.get("rate"), int | float) and name in words
    }
    told = [
        words[name].format(rate=f"{rate:.0%}")
        for name, rate in sorted(rates.items(), key=lambda pair: -float(str(pair[1])))
        if isinstance(rate, int | float) and rate >= _RARE
    ]
    length = style.get("length")
    if isinstance(length, dict) and length.get("median"):
        told.append(words["length"].format(median=length["median"], low=length.get("p25"), high=length.get("p75")))
    for name in ("greetings", "closings", "phrases"):
        by_language = style.get(name)
        told += _listed(words[name], by_language.get(language) if isinstance(by_language, dict) else None)
    told += _listed(words["emoji_used"], style.get("emoji"))
    told += _listed(words["laughter_used"], style.get("laughter"))
    mixing = style.get("mixing")
    index = mixing.get("index") if isinstance(mixing, dict) else None
    if isinstance(index, int | float) and index > 10:
        told.append(words["mixing"])
    return told


def _listed(words: str, pairs: JsonValue) -> list[str]:
    if not isinstance(pairs, list):
        return []
    named = [as_data(str(pair[0]), 40) for pair in pairs[:5] if isinstance(pair, list) and pair]
    return [words.format(phrases=", ".join(f'"{phrase}"' for phrase in named))] if named else []


def _length(style: dict[str, JsonValue]) -> str:
    length = style.get("length")
    median = length.get("median") if isinstance(length, dict) else None
    if not isinstance(median, int | float) or not median:
        return "middle"
    return "short" if median <= _SHORT else "middle" if median <= _MIDDLE else "long"


# --------------------------------------------------------------------------------------- the talk


def _history(history: Sequence[Said], most: int) -> list[Message]:
    """Return what was said before, the newest that fits. Neighbours of one side are joined: some models want turns."""
    kept: list[Said] = []
    left = _HISTORY_CHARACTERS
    for said in reversed(history[-most:]):
        left -= len(said.text)
        if left < 0:
            break
        kept.append(said)
    found: list[Message] = []
    for said in reversed(kept):
        role = "assistant" if said.is_ours else "user"
        words = _said(said)
        if not words or (not found and said.is_ours):
            continue
        if found and found[-1]["role"] == role:
            found[-1]["content"] += f"\n{words}"
        else:
            found.append({"role": role, "content": words})
    return found


def _last(brief: Brief, shown: Shown) -> str:
    turn = brief.turn
    memories = block(shown, range(1, len(shown.numbered) + 1), brief)
    return prompt(
        "message",
        memories=memories or wording("none_found"),
        person=_attribute(turn.person_name) or wording("nobody"),
        message="\n".join(filter(None, map(_said, turn.messages))),
    )


def _said(said: Said) -> str:
    media = ", ".join(said.media)
    words = as_data(said.text, _HISTORY_CHARACTERS)
    if media:
        words = f"{wording('with_media', media=media)} {words}" if words else wording("came_without_words", media=media)
    if said.quoted and words:
        words = f"{wording('in_answer_to', quoted=_on_one_line(as_data(said.quoted, _LINE_CHARACTERS)))}\n{words}"
    return words


def _memory(number: int, memory: Recalled, brief: Brief) -> str:
    persona = brief.turn.persona
    words = _words()["by"]
    told_by = words.get(memory.kind, words["heard"])
    speaker = persona.name if memory.is_own else memory.speaker or wording("nobody")
    by = _attribute(told_by.format(speaker=speaker, name=persona.name))
    when = f' when="{_local(memory.happened_at, persona):%Y-%m-%d}"' if memory.happened_at else ""
    return f'<memory n="m{number}" by="{by}"{when}>{as_data(memory.text, _MEMORY_CHARACTERS)}</memory>'


def _attribute(text: str) -> str:
    return _on_one_line(text).replace('"', "'").replace("<", "‹").replace(">", "›")[:_NAME_CHARACTERS]


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _local(at: datetime, persona: PersonaCard) -> datetime:
    return at.astimezone(timezone_of(persona))


def timezone_of(persona: PersonaCard) -> ZoneInfo:
    """Return the persona's own time zone, UTC when it is not known."""
    try:
        return ZoneInfo(persona.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _words() -> dict[str, Any]:
    return load_prompts("words.toml")


@cache
def _template(name: str) -> Template:
    return Template(files("agents").joinpath("prompts", f"{name}.md").read_text(encoding="utf-8"))
