"""Memories by words: a full-text index in a folder of its own, which can always be made again from the database."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import tantivy

_VERSION = 1
_WRITER_BYTES = 15_000_000
_ABOUT = "about.json"
_PLACE = "place"


@dataclass(frozen=True, slots=True)
class WordsDocument:
    """One memory as words. `tags` are what it can be filtered by; words and context are stems."""

    memory_id: int
    tags: tuple[str, ...]
    words: Sequence[str]
    context: Sequence[str]


class WordsIndex(Protocol):
    """Finds the memories that hold words, among those with the right tags."""

    def open(self, identity: str) -> int | None:
        """Return the place in the feed up to which it knows everything; None when it must be made again."""

    def reset(self, identity: str) -> None:
        """Throw everything away and begin anew."""

    def learn(self, documents: Iterable[WordsDocument], gone: Iterable[int]) -> None:
        """Take documents in, each in place of what was known of its memory; forget those that are gone."""

    def commit(self, place: int) -> None:
        """Keep what was learnt, together with the place in the feed that it reaches."""

    def search(self, terms: Sequence[tuple[str, float]], tags: Sequence[Sequence[str]], *, limit: int) -> list[int]:
        """Return the memories that hold the weighted terms best, of those with a tag out of every group of `tags`."""

    def rest(self) -> None:
        """Let go of what only writing needs, until there is something to write again."""

    def close(self) -> None:
        """Let go of the folder."""


class WordsUnavailable(Exception):
    """The index cannot be read; it is made again from the database."""


class TantivyWords:
    """The words in a tantivy index. Its place in the feed is a document of its own, so both are kept or neither."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        schema = tantivy.SchemaBuilder()
        # Unsigned fields given 0 killed the writer's thread: integers only.
        schema.add_integer_field("memory", indexed=True, fast=True)
        schema.add_text_field("tags", tokenizer_name="raw", index_option="basic")
        schema.add_text_field("words", tokenizer_name="whitespace", index_option="freq")
        schema.add_text_field("context", tokenizer_name="whitespace", index_option="freq")
        self._schema: tantivy.Schema = schema.build()
        self._index: tantivy.Index | None = None
        self._writer: tantivy.IndexWriter | None = None
        self._searcher: tantivy.Searcher | None = None

    def open(self, identity: str) -> int | None:
        if self._about() != {"version": _VERSION, "identity": identity}:
            return None
        try:
            with _failing_as_ours():
                self._start()
                return self._place()
        except WordsUnavailable:
            self.close()
            return None

    def reset(self, identity: str) -> None:
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._start()
        (self._folder / _ABOUT).write_text(json.dumps({"version": _VERSION, "identity": identity}), encoding="utf-8")

    def learn(self, documents: Iterable[WordsDocument], gone: Iterable[int]) -> None:
        with _failing_as_ours():
            writer = self._open_writer()
            for memory_id in gone:
                writer.delete_documents_by_term("memory", memory_id)
            for document in documents:
                writer.delete_documents_by_term("memory", document.memory_id)
                writer.add_document(self._document(document))

    def commit(self, place: int) -> None:
        marker = tantivy.Document()
        marker.add_integer("memory", -place)
        marker.add_text("tags", _PLACE)
        with _failing_as_ours():
            writer = self._open_writer()
            writer.delete_documents_by_term("tags", _PLACE)
            writer.add_document(marker)
            writer.commit()
            self._look_again()

    def search(self, terms: Sequence[tuple[str, float]], tags: Sequence[Sequence[str]], *, limit: int) -> list[int]:
        if self._searcher is None or not terms or not all(tags):
            return []
        ask, either, both = tantivy.Query, tantivy.Occur.Should, tantivy.Occur.Must
        wanted = []
        for term, weight in terms:
            for field, share in (("words", 1.0), ("context", 0.4)):
                found = ask.term_query(self._schema, field, term, index_option="freq")
                wanted.append((either, ask.boost_query(found, weight * share)))
        clauses = [(both, ask.boolean_query(wanted))]
        for group in tags:
            one_of = [(either, ask.term_query(self._schema, "tags", tag, index_option="basic")) for tag in group]
            clauses.append((both, ask.const_score_query(ask.boolean_query(one_of), 0.0)))
        query = ask.boolean_query(clauses)
        with _failing_as_ours():
            hits = self._searcher.search(query, limit, count=False).hits
            found_ids = self._searcher.fast_field_values("memory", [address for _, address in hits])
        return [int(memory_id) for memory_id in found_ids if memory_id is not None]

    def close(self) -> None:
        self.rest()
        self._index = self._searcher = None

    def rest(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            # Its threads may be gone already; nothing is lost that the feed does not hold.
            with contextlib.suppress(WordsUnavailable), _failing_as_ours():
                writer.wait_merging_threads()

    def _start(self) -> None:
        self._index = tantivy.Index(self._schema, str(self._folder))
        self._look_again()

    def _look_again(self) -> None:
        if self._index is None:
            raise WordsUnavailable("The index of words is closed.")
        self._index.reload()
        self._searcher = self._index.searcher()

    def _open_writer(self) -> tantivy.IndexWriter:
        if self._index is None:
            raise WordsUnavailable("The index of words is closed.")
        if self._writer is None:
            self._writer = self._index.writer(_WRITER_BYTES, 1)
        return self._writer

    def _place(self) -> int | None:
        if self._searcher is None:
            return None
        query = tantivy.Query.term_query(self._schema, "tags", _PLACE, index_option="basic")
        hits = self._searcher.search(query, 1, count=False).hits
        values = self._searcher.fast_field_values("memory", [address for _, address in hits])
        return -int(values[0]) if values and values[0] is not None else None

    def _document(self, document: WordsDocument) -> tantivy.Document:
        found = tantivy.Document()
        found.add_integer("memory", document.memory_id)
        for tag in document.tags:
            found.add_text("tags", tag)
        found.add_text("words", " ".join(document.words))
        found.add_text("context", " ".join(document.context))
        return found

    def _about(self) -> object:
        try:
            return json.loads((self._folder / _ABOUT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


@contextlib.contextmanager
def _failing_as_ours() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        # A damaged file may make tantivy panic, and its panic is no Exception.
        if isinstance(error, ValueError | OSError) or type(error).__name__ == "PanicException":
            raise WordsUnavailable("The index of words cannot be read or written.") from error
        raise
