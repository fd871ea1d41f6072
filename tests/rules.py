"""The rules of this code that its text shows: each takes a module and yields what breaks the rule.

A line may be let off with a comment that gives the reason, on it or right above it: `# <word>: <reason>`, where the
word is the rule's own (`no viewer`, `alone`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
Found = Iterator[tuple[int, str]]
Rule = Callable[["Module"], Found]


@dataclass(frozen=True)
class Module:
    """One file of ours. `path` is relative to the repository."""

    path: str
    text: str

    @classmethod
    def read(cls, root: Path, path: Path) -> Module:
        return cls(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)

    def functions(self) -> list[Function]:
        """Return the functions and methods that are in no other function."""
        found: list[Function] = []
        waiting: list[ast.AST] = [self.tree]
        while waiting:
            for child in ast.iter_child_nodes(waiting.pop()):
                if isinstance(child, Function):
                    found.append(child)
                else:
                    waiting.append(child)
        return found

    def is_let_off(self, word: str, first: int, last: int | None = None) -> bool:
        """Return whether a comment with the rule's word and a reason stands in these lines or right above them."""
        pattern = re.compile(rf"#\s*{re.escape(word)}:\s*\S+")
        above = first - 1
        while above > 0 and self.lines[above - 1].lstrip().startswith(("#", "@")):
            above -= 1
        return any(pattern.search(line) for line in self.lines[above : last or first])


# --------------------------------------------------------------------------------------------- imports

HOMES = {
    "aiogram": "channels/telegram",
    "slack_bolt": "channels/slack",
    "slack_sdk": "channels/slack",
    "discord": "channels/discord",
    "tweepy": "channels/x",
    "twilio": "channels/whatsapp",
    "sqlalchemy": "knowledge/",
    "sqlmodel": "knowledge/",
    "sqlite3": "knowledge/",
    "alembic": "knowledge/",
    "psycopg": "knowledge/",
    "weaviate": "knowledge/",
    "tantivy": "knowledge/",
    "onnxruntime": "knowledge/",
    "tokenizers": "knowledge/",
    "langgraph": "agents/",
    "langchain_core": "agents/",
    "langchain_openai": "agents/",
    "openai": "agents/",
    "jinja2": "admin/",
}
"""Where a library may be imported: in files whose path begins so."""


def libraries_stay_at_home(module: Module) -> Found:
    """A platform's SDK is imported in its adapter alone, SQL and vectors on the ground floor, and so on."""
    for node in module.nodes():
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and _called(node) == "import_module" and node.args:
            first = node.args[0]
            names = [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []
        for name in names:
            home = HOMES.get(name.partition(".")[0])
            if home and not module.path.startswith(home):
                yield _line(node), f"{name} is imported outside {home}*"


# ------------------------------------------------------------------------------------------- import time


def nothing_reads_the_environment_at_import(module: Module) -> Found:
    """The environment is read by `bot/settings.py` when it is asked, never while a module is imported."""
    for node in _run_at_import(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv") and _root(node) == "os":
            yield node.lineno, f"os.{node.attr} is read while the module is imported"


def _run_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        yield child
        if isinstance(child, Function):
            for part in (*child.decorator_list, *child.args.defaults, *filter(None, child.args.kw_defaults)):
                yield from ast.walk(part)
        elif not isinstance(child, ast.Lambda):
            yield from _run_at_import(child)


# ------------------------------------------------------------------------------------------------ tasks


def no_task_is_alone(module: Module) -> Found:
    """A background task is made in a task group that someone awaits; `# alone: <reason>` lets one off."""
    for node in module.nodes():
        is_alone = False
        if isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            is_alone = any(alias.name in ("create_task", "ensure_future") for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = node.func.value
            is_loop = isinstance(of, ast.Call) and _called(of) in ("get_running_loop", "get_event_loop")
            is_loop = is_loop or (isinstance(of, ast.Name) and of.id in ("asyncio", "loop", "_loop"))
            is_loop = is_loop or (isinstance(of, ast.Attribute) and of.attr in ("loop", "_loop"))
            is_alone = is_loop and node.func.attr in ("create_task", "ensure_future")
        if is_alone and not module.is_let_off("alone", _line(node)):
            yield _line(node), "a task is made outside a task group"


# ---------------------------------------------------------------------------------------------- viewers

_WORDLESS = {
    "id",
    "persona_id",
    "source_id",
    "record_id",
    "conversation_id",
    "message_id",
    "memory_id",
    "audience",
    "natural_key",
    "platform",
    "activity",
    "kind",
    "language",
    "session",
    "place",
    "position",
    "is_own",
    "is_owner",
}
"""Columns that say nothing of what was said: ids, kinds and order."""


def every_reading_of_memories_has_a_viewer(module: Module) -> Found:
    """Whoever selects words of memories or of the footprint calls `visible(...)`.

    Calling a function of the same module that builds the condition with it counts. Ids and kinds need no viewer.
    `# no viewer: <reason>` lets a function off.
    """
    if not module.path.startswith("knowledge/") or module.path.endswith(("tables.py", "viewer.py")):
        return
    tables = _named_after({"Memory", "FootprintRecord"}, module.tree.body)
    conditions = {
        function.name
        for function in module.functions()
        if "visible" in _calls(function) and not _calls(function) & {"select", "execute"}
    }
    for function in module.functions():
        mine = _named_after(tables, list(ast.walk(function)))
        readings = [node for node in ast.walk(function) if _reads_words(node, mine)]
        if not readings or _calls(function) & ({"visible"} | conditions):
            continue
        if not module.is_let_off("no viewer", function.lineno, function.end_lineno):
            yield _line(readings[0]), f"{function.name}() reads memories or the footprint without a viewer"


def _named_after(tables: set[str], nodes: list[ast.stmt] | list[ast.AST]) -> set[str]:
    """Return the names of the tables, and those given to the tables or their aliases in these statements."""
    found = set(tables)
    for node in nodes:
        if isinstance(node, ast.Assign) and _is_table(node.value, found):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def _is_table(node: ast.AST, tables: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in tables
    if isinstance(node, ast.Attribute):
        return node.attr == "__table__" and _is_table(node.value, tables)
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("alias", "cte", "subquery", "join", "outerjoin"):
            return _is_table(node.func.value, tables)
        return _called(node) in ("table", "aliased", "cast", "join") and any(_is_table(a, tables) for a in node.args)
    return False


def _reads_words(node: ast.AST, tables: set[str]) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return bool(re.search(r"\b(from|join)\s+\"?(memory|footprint_record)\b", node.value, flags=re.I))
    if not isinstance(node, ast.Call) or _called(node) != "select":
        return False
    if isinstance(node.func, ast.Attribute) and _is_table(node.func.value, tables):
        return True
    return any(_is_worded(argument, tables) for argument in node.args)


def _is_worded(node: ast.AST, tables: set[str]) -> bool:
    """Return whether an argument of `select` is one of the tables, whole, or a column of it that holds words."""
    if isinstance(node, ast.Attribute):
        of = node.value
        if isinstance(of, ast.Attribute) and of.attr == "c":
            of = of.value
        return node.attr not in _WORDLESS and _is_table(of, tables)
    if _is_table(node, tables):
        return True
    return any(_is_worded(child, tables) for child in ast.iter_child_nodes(node))


# -------------------------------------------------------------------------------------------------- SQL


def no_sql_is_put_together_from_strings(module: Module) -> Found:
    """Values are bound, never written into the words of a statement."""
    for node in module.nodes():
        if isinstance(node, ast.Call) and _called(node) in ("text", "exec_driver_sql", "executescript") and node.args:
            first = node.args[0]
            if isinstance(first, ast.JoinedStr | ast.BinOp) or (
                isinstance(first, ast.Call) and _called(first) == "format"
            ):
                yield node.lineno, "a statement is put together from strings"


# ------------------------------------------------------------------------------------------------- logs


def no_log_line_is_put_together(module: Module) -> Found:
    """A log line is an event's name, with ids and counts in `extra`: what people write never gets in."""
    for node in module.nodes():
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("debug", "info", "warning", "error", "exception", "critical")
            and _root(node.func).lower().strip("_") in ("log", "logger", "logging")
            and node.args
            and not isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, "a log line must begin with one fixed text, with the facts in extra="


# ------------------------------------------------------------------------------------------------ words


def prompts_are_in_files(module: Module) -> Found:
    """What a model is told stands in text files that people can read and change."""
    if not module.path.startswith("agents/"):
        return
    docstrings = {id(node.value) for node in module.nodes() if isinstance(node, ast.Expr)}
    for node in module.nodes():
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            words = node.value
            if len(words) > 400 or re.match(r"\s*you are\b", words, flags=re.I):
                yield node.lineno, "a prompt is inside Python code"


def a_module_says_what_it_is(module: Module) -> Found:
    """The first line of a module says the one thing it is about."""
    words = ast.get_docstring(module.tree)
    if not words:
        if module.tree.body:
            yield 1, "the module has no docstring"
    elif re.match(r"this (module|file|package)\b", words, flags=re.I):
        yield 1, "the docstring begins with the words that every module could begin with"


def files_are_split_by_idea(module: Module) -> Found:
    """No drawer for whatever is left over."""
    if re.search(r"(^|[/_])(utils?|helpers?|common|managers?|misc|stuff)\.py$", module.path):
        yield 1, "the file is named after no idea"


def no_failure_is_swallowed(module: Module) -> Found:
    """`except Exception: pass` hides what went wrong from everybody."""
    for node in module.nodes():
        if isinstance(node, ast.ExceptHandler) and all(isinstance(step, ast.Pass) for step in node.body):
            names = {getattr(part, "id", "") for part in ast.walk(node.type)} if node.type else {"Exception"}
            if names & {"Exception", "BaseException"}:
                yield node.lineno, "every failure is swallowed"


def only_the_command_line_prints(module: Module) -> Found:
    """Whatever is written to the terminal is written in one place."""
    for node in module.nodes():
        is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        if is_print and module.path != "bot/cli.py":
            yield _line(node), "print outside the command line"


def every_todo_has_an_issue(module: Module) -> Found:
    """A note to oneself that nobody else will find is not kept."""
    for number, line in enumerate(module.lines, 1):
        if re.search(r"#\s*(TODO|FIXME|XXX)\b(?!.*#\d+)", line):
            yield number, "a note without the number of an issue"


RULES: tuple[Rule, ...] = (
    libraries_stay_at_home,
    nothing_reads_the_environment_at_import,
    no_task_is_alone,
    every_reading_of_memories_has_a_viewer,
    no_sql_is_put_together_from_strings,
    no_log_line_is_put_together,
    prompts_are_in_files,
    a_module_says_what_it_is,
    files_are_split_by_idea,
    no_failure_is_swallowed,
    only_the_command_line_prints,
    every_todo_has_an_issue,
)


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _calls(node: ast.AST) -> set[str]:
    return {_called(child) for child in ast.walk(node) if isinstance(child, ast.Call)}


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return node.attr
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 1))
