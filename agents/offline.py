"""The offline answerer: it answers with the persona's own sentences, or says that it does not remember.

It never makes anything up. What it says by itself are fixed phrases; everything else is quoted.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agents.disclosure import fixed, languages, statement
from agents.draft import Draft
from agents.evidence import ENOUGH, Quote
from agents.finding import Findings
from agents.language import usable
from agents.manner import Manner, manner_of
from agents.phrases import SIX, Phrases, phrases
from agents.reading import Reading
from agents.sentences import is_repeat, quotable
from agents.turn import Reason, Turn
from agents.words import fold, tokens
from knowledge.recall import Recalled

_SURE = 0.9
_JOINED = 0.85
_MOST_MEMORIES = 3
_MOST_CHARACTERS = 480
_WHOLE = 260
_LONG = 400
_BRIEF = 70
_FEW = 3
_SHORTEST_KEPT = 12
_SOON = timedelta(days=2)
_NEW_TALK = timedelta(hours=6)


def compose(turn: Turn, reading: Reading, language: str, findings: Findings) -> Draft:
    """Return the answer made of what was found. Pure: the same turn gives the same answer."""
    return _Composer(turn, reading, language, findings).draft()


class _Composer:
    """Puts one answer together."""

    def __init__(self, turn: Turn, reading: Reading, language: str, findings: Findings) -> None:
        self.turn = turn
        self.reading = reading
        self.language = language
        self.findings = findings
        self.spoken = usable(turn, language)
        self.words: Phrases = phrases(self.spoken)
        self.manner: Manner = manner_of(turn.persona.style, self.spoken)
        self.ours = [said.text for said in turn.history if said.is_ours]
        self.seed = f"{turn.conversation_id}/{len(turn.history)}/{zlib.crc32(reading.asked.encode())}"

    def draft(self) -> Draft:
        if self.reading.aim == "unheard":
            return self._plain(fixed("unheard", self.language), "unheard")
        said = self._answer()
        if self.reading.asks_ai:
            persona = self.turn.persona
            truth = statement(persona.kind, persona.name, self.language)
            if self.reading.aim == "identity" or said.reason != "answered":
                return self._plain(truth, "identity")
            return Draft(
                text=f"{truth}\n\n{said.text}",
                reason="identity",
                label=said.label,
                memory_ids=said.memory_ids,
                sources=said.sources,
            )
        return said

    def _answer(self) -> Draft:
        match self.reading.aim:
            case "small_talk":
                return self._small_talk()
            case "know_me":
                return self._know_me()
            case "you_told":
                return self._you_told()
            case "mine" if self.findings.told:
                return self._told_back()
            case "told":
                return self._heard()
            case "more":
                return self._quoted(self._unsaid()) or self._not_remembered("not_remembered_more")
            case "question" if self.reading.is_follow_up:
                return self._quoted(self._unsaid()) or self._not_remembered("not_remembered")
            case _ if self.findings.parts:
                return self._each() or self._not_remembered("not_remembered")
            case _:
                return self._quoted(self._enough()) or self._not_remembered("not_remembered")

    # ------------------------------------------------------------------------------ with memories

    def _enough(self) -> list[Quote]:
        return [quote for quote in self.findings.quotes if quote.support >= ENOUGH]

    def _unsaid(self) -> list[Quote]:
        return [quote for quote in self._enough() if not is_repeat(quote.text, _lines(self.ours))]

    def _each(self) -> Draft | None:
        """Return the answers to several questions, one below the other, without those that are not remembered."""
        drafts: list[Draft] = []
        used: set[int] = set()
        for part in self.findings.parts:
            fresh = [each for each in part.quotes if each.support >= ENOUGH and each.memory.memory_id not in used]
            if draft := self._quoted(fresh, opens=not drafts):
                drafts.append(draft)
                used.update(draft.memory_ids)
        if not drafts:
            return None
        return Draft(
            text="\n\n".join(draft.text for draft in drafts),
            label=drafts[0].label,
            memory_ids=tuple(memory_id for draft in drafts for memory_id in draft.memory_ids),
            sources=tuple(source for draft in drafts for source in draft.sources),
        )

    def _quoted(self, chosen: Sequence[Quote], *, opens: bool = True) -> Draft | None:
        if not chosen:
            return None
        pieces: list[str] = []
        used: list[Recalled] = []
        best = chosen[0]
        for quote in chosen:
            joins = quote is best or (
                quote.support >= max(_JOINED, best.support - 0.1) and quote.memory.language == best.memory.language
            )
            piece = self._piece(quote)
            if not joins or is_repeat(piece, pieces) or len(" ".join([*pieces, piece])) > _MOST_CHARACTERS:
                continue
            pieces.append(piece)
            used.append(quote.memory)
            if len(used) == _MOST_MEMORIES:
                break
        if not pieces:
            pieces, used = [best.text], [best.memory]
        text = " ".join(_stopped(piece) for piece in pieces)
        lead = self._lead(best)
        opening = self._opening() if opens else ""
        return Draft(
            text=opening + (f"{lead} {self.words.quoted(text)}" if lead else text),
            label=self.words.say["label"].format(name=self.turn.persona.name),
            memory_ids=tuple(memory.memory_id for memory in used),
            sources=tuple(memory.text for memory in used),
        )

    def _piece(self, quote: Quote) -> str:
        """Return what is quoted of one memory: all of what answers as a whole, else the sentences that do."""
        memory = quote.memory
        sentences = quotable(memory.text, memory.language or self.language)
        whole = " ".join(_stopped(sentence) for sentence in sentences)
        is_short = memory.kind != "document" and len(whole) <= _WHOLE and len(sentences) <= _FEW
        if is_short or (quote.is_whole and len(whole) <= _LONG):
            return whole
        start = 0 if quote.is_whole else quote.place
        end = quote.place + quote.length
        kept = [_stopped(sentence) for sentence in sentences[start:end]]
        goes_on = quote.is_whole or self._wants_recipe()
        for following in sentences[end:]:
            piece = " ".join(kept)
            if len(piece) + len(following) > (_LONG if goes_on else _WHOLE) or not (goes_on or len(piece) < _BRIEF):
                break
            kept.append(_stopped(following))
        return " ".join(kept)

    def _wants_recipe(self) -> bool:
        return self.findings.asked is not None and self.findings.asked.wanted == "how"

    def _lead(self, quote: Quote) -> str:
        """Return the words before a quote that would mislead without them: its language, or when it was written."""
        memory = quote.memory
        say = self.words.say
        if memory.language and memory.language != self.language and memory.language in say["languages"]:
            return self._pick("in_language").format(language=say["languages"][memory.language])
        at = memory.happened_at
        speaks_of_now = memory.language in SIX and phrases(memory.language).deictic.search(fold(quote.text))
        if at and speaks_of_now and memory.kind == "said" and self.turn.now - at > _SOON:
            return self._pick("dated").format(date=self._date(at))
        return ""

    def _date(self, at: datetime) -> str:
        try:
            local = at.astimezone(ZoneInfo(self.turn.persona.timezone))
        except (ZoneInfoNotFoundError, ValueError):
            local = at
        say = self.words.say
        return str(say["date"]).format(day=local.day, month=say["months"][local.month - 1], year=local.year)

    def _you_told(self) -> Draft:
        return self._told_back() if self.findings.told else self._plain(self._pick("nothing_told"), "not_remembered")

    def _told_back(self) -> Draft:
        return self._with_told(self._pick("you_told_me"), self.findings.told)

    def _know_me(self) -> Draft:
        name = self.turn.person_name.strip()
        known = self._pick("know_you_name").format(person=name) if name else ""
        if not self.findings.told:
            text = f"{known} {self._pick('know_nothing')}".strip()
            return self._plain(text, "answered" if known else "not_remembered")
        draft = self._with_told(self._pick("know_you"), self.findings.told)
        return Draft(
            text=f"{known} {draft.text}".strip(),
            label=draft.label,
            memory_ids=draft.memory_ids,
            sources=draft.sources,
        )

    def _with_told(self, frame: str, told: Sequence[Recalled]) -> Draft:
        kept: list[Recalled] = []
        for memory in told:
            if not is_repeat(memory.text, [each.text for each in kept]):
                kept.append(memory)
        lines = [self.words.quoted(_shortened(memory.text)) for memory in kept]
        return Draft(
            text=frame.format(quotes=", ".join(lines)),
            label=self.words.say["label_plain"],
            memory_ids=tuple(memory.memory_id for memory in kept),
            sources=tuple(memory.text for memory in kept),
        )

    def _heard(self) -> Draft:
        """Answer somebody who tells something: with a memory that it clearly touches, else with thanks."""
        asked_for = self.findings.asked
        if asked_for and sum(key.weight >= 1 for key in asked_for.keys) >= 2:
            touched = [quote for quote in self.findings.quotes if quote.support >= _SURE]
            if draft := self._quoted([quote for quote in touched if not is_repeat(quote.text, _lines(self.ours))][:1]):
                return draft
        is_kept = len(self.reading.asked) >= _SHORTEST_KEPT
        return self._plain(self._dressed(self._pick(self._by_kind("told_me" if is_kept else "ack"))), "small_talk")

    # --------------------------------------------------------------------------- without memories

    def _small_talk(self) -> Draft:
        talk = self.reading.talk
        if talk == "who_are_you":
            return self._plain(self._who_are_you(), "identity")
        if talk == "greeting":
            return self._plain(self._greeting(), "small_talk")
        if talk == "goodbye":
            own = self.manner.closing(self.seed)
            text = self._pick(self._by_kind("goodbye")).format(name=self._called())
            return self._plain(self._dressed(f"{text} {own}." if own else text), "small_talk")
        text = self._pick(self._by_kind(talk))
        if self.reading.has_greeting and talk == "how_are_you":
            text = f"{self._own_greeting() or self._first_greeting()} {text}"
        return self._plain(self._dressed(text), "small_talk")

    def _who_are_you(self) -> str:
        kind = self.turn.persona.kind
        key = {"brand": "who_are_you_brand", "fictional": "who_are_you_fictional"}.get(kind, "who_are_you")
        return self._pick(key).format(name=self.turn.persona.name)

    def _greeting(self) -> str:
        text = self._pick(self._by_kind("greeting")).format(name=self._called())
        own = self._own_greeting()
        if own:
            text = f"{own} {self._pick(self._by_kind('how_are_you'))}"
        return self._dressed(text)

    def _own_greeting(self) -> str:
        own = self.manner.greeting(self.seed)
        opening = "¡" if self.spoken == "es" and self.manner.has_opening_marks else ""
        return f"{opening}{own}{self._called()}!" if own else ""

    def _first_greeting(self) -> str:
        return str(self.words.say[self._by_kind("greeting")][0]).format(name=self._called())

    def _opening(self) -> str:
        """Return the greeting before an answer: only to whoever greets, and at the start of a talk."""
        last = max((said.at for said in self.turn.history if said.is_ours), default=None)
        if not self.reading.has_greeting or (last and self.turn.now - last < _NEW_TALK):
            return ""
        return f"{self._own_greeting() or self._first_greeting()} "

    def _not_remembered(self, what: str) -> Draft:
        if self.language not in SIX and self.language in languages():
            return self._plain(fixed("not_remembered", self.language), "not_remembered")
        return self._plain(self._dressed(self._opening() + self._pick(self._by_kind(what))), "not_remembered")

    def _plain(self, text: str, reason: Reason) -> Draft:
        return Draft(text=text, reason=reason, label=self.words.say["label_plain"])

    # ---------------------------------------------------------------------------------- helpers

    def _by_kind(self, what: str) -> str:
        brand = f"{what}_brand"
        return brand if self.turn.persona.kind == "brand" and brand in self.words.say else what

    def _pick(self, what: str) -> str:
        return self.words.pick(what, seed=self.seed, unlike=self.ours[-3:])

    def _dressed(self, text: str) -> str:
        return self.manner.dressed(text, self.seed)

    def _called(self) -> str:
        """Return the person's first name as it follows a greeting, empty where it is not known or not fitting."""
        name = self.turn.person_name.strip().split(" ")[0]
        is_a_name = name[:1].isalpha() and len(tokens(name)) == 1 and not any(c.isdigit() for c in name)
        return f" {name}" if is_a_name and not self.turn.is_group else ""


def _stopped(sentence: str) -> str:
    last = sentence.rstrip()[-1:]
    return f"{sentence}." if last.isalnum() or last in ")»”\"'€%" else sentence


def _shortened(text: str, most: int = 200) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most].rsplit(' ', 1)[0]}…"


def _lines(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in (text, *quotable(text, ""))]
