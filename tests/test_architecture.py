"""The floors and the habits of this code, kept by machine. `tests/rules.py` holds the rules that a text shows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.rules import HOMES, RULES, Module, Rule

ROOT = Path(__file__).parent.parent
PACKAGES = ("bot", "admin", "agents", "channels", "knowledge")
_SDKS = ("aiogram", "slack_bolt", "slack_sdk", "discord", "tweepy", "twilio")

# Put together, so that this file does not name them either.
_HOSTS = [
    first + "." + last
    for first, last in (
        ("pypi", "org"),
        ("python" + "hosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("gcr", "io"),
        ("weaviate", "io"),
    )
]
_PLACES = ["/" + "root/", "/" + "work/", "/" + "opt/pypi"]


@cache
def ours() -> list[Module]:
    return [Module.read(ROOT, path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_code_keeps_the_rule(rule: Rule) -> None:
    broken = [f"{module.path}:{line}: {what}" for module in ours() for line, what in rule(module)]
    assert not broken, "\n".join(["", str(rule.__doc__).splitlines()[0], *broken])


def test_an_arrow_between_the_floors_points_down_only() -> None:
    checked = _python("import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))")
    assert checked.returncode == 0, checked.stdout
    assert "0 broken" in checked.stdout


def test_importing_a_module_of_ours_connects_to_nothing_and_starts_nothing() -> None:
    started_by_others = ("__main__", "migrations/versions/", "migrations/env.py")
    names = [module.name for module in ours() if not any(part in module.path for part in started_by_others)]
    assert {"bot.app", "bot.cli", "knowledge.tables"} <= set(names)
    checked = _python(
        f"""
import importlib, sys
forbidden = ("socket.connect", "socket.bind", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen", "os.fork")
def refuse(event, arguments):
    # A library tries at import whether there is IPv6, with a port that nobody can know.
    is_a_trial = event == "socket.bind" and arguments[1][1] == 0
    if event in forbidden and not is_a_trial:
        raise SystemExit(f"{{name}} does {{event}} while it is imported")
sys.addaudithook(refuse)
for name in {names!r}:
    importlib.import_module(name)
"""
    )
    assert checked.returncode == 0, checked.stdout


def test_the_server_knows_no_platform_library_until_an_account_needs_one() -> None:
    checked = _python(
        f"""
import sys
import bot.app, bot.cli, channels.registry
loaded = sorted(set(sys.modules) & {set(_SDKS)!r})
if loaded:
    raise SystemExit(f"already imported: {{loaded}}")
"""
    )
    assert checked.returncode == 0, checked.stdout


def test_no_line_names_a_registry_or_a_place_on_somebodys_machine() -> None:
    found = []
    for path in _files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            found += [f"{path.relative_to(ROOT)}:{number}: {word}" for word in _HOSTS + _PLACES if word in line]
    assert not found, "\n".join(found)


def test_nothing_in_the_repository_is_generated_or_minified() -> None:
    for path in _files():
        if path.suffix in (".js", ".css"):
            longest = max(map(len, path.read_text(encoding="utf-8").splitlines()), default=0)
            assert longest < 400, f"{path.relative_to(ROOT)} has a line of {longest} characters"
        assert not path.name.endswith((".min.js", ".min.css", ".map")), path.relative_to(ROOT)


# ----------------------------------------------------------------------------- the rules find what they are for

_BROKEN = {
    "libraries_stay_at_home": (
        ("bot/app.py", '"""A."""\nimport aiogram.types\n'),
        ("agents/graph.py", '"""A."""\ndef f():\n    from sqlalchemy import select\n'),
        ("channels/registry.py", '"""A."""\nfrom importlib import import_module\nimport_module("slack_bolt")\n'),
    ),
    "nothing_reads_the_environment_at_import": (
        ("bot/a.py", '"""A."""\nimport os\nKEY = os.environ["KEY"]\n'),
        ("bot/a.py", '"""A."""\nimport os\ndef f(key=os.getenv("KEY")): ...\n'),
        ("bot/a.py", '"""A."""\nimport os\nclass A:\n    key = os.environ.get("KEY")\n'),
    ),
    "no_task_is_alone": (
        ("bot/a.py", '"""A."""\nasync def f():\n    asyncio.create_task(g())\n'),
        ("bot/a.py", '"""A."""\nasync def f():\n    asyncio.get_running_loop().create_task(g())\n'),
        ("bot/a.py", '"""A."""\nfrom asyncio import create_task\n'),
        ("bot/a.py", '"""A."""\nasync def f():\n    # alone:\n    asyncio.create_task(g())\n'),
    ),
    "every_reading_of_memories_has_a_viewer": (
        ("knowledge/a.py", '"""A."""\ndef f(c):\n    return c.execute(select(Memory.__table__))\n'),
        ("knowledge/a.py", '"""A."""\n_m = table(Memory)\ndef f(c):\n    return c.execute(select(_m.c.text))\n'),
        (
            "knowledge/a.py",
            '"""A."""\n_m = Memory.__table__\ndef f(c):\n    x = _m.alias()\n    return select(x.c.text)\n',
        ),
        ("knowledge/a.py", '"""A."""\ndef f(c):\n    return select(func.max(FootprintRecord.__table__.c.text))\n'),
        ("knowledge/a.py", '"""A."""\ndef f(c):\n    return c.execute(text("SELECT text FROM memory"))\n'),
        ("knowledge/a.py", '"""A."""\n_m = table(Memory)\ndef f(c):\n    return _m.select()\n'),
    ),
    "no_sql_is_put_together_from_strings": (
        ("knowledge/a.py", '"""A."""\nc.execute(text(f"DELETE FROM {table}"))\n'),
        ("knowledge/a.py", '"""A."""\nc.exec_driver_sql("PRAGMA " + name)\n'),
    ),
    "no_log_line_is_put_together": (
        ("bot/a.py", '"""A."""\nlog.info(f"got {message}")\n'),
        ("bot/a.py", '"""A."""\nself._log.warning("got " + message)\n'),
    ),
    "prompts_are_in_files": (
        ("agents/a.py", '"""A."""\nPROMPT = "You are a grandmother."\n'),
        ("agents/a.py", f'"""A."""\nPROMPT = "{"word " * 100}"\n'),
    ),
    "a_module_says_what_it_is": (
        ("bot/a.py", "x = 1\n"),
        ("bot/a.py", '"""This module holds things."""\n'),
    ),
    "files_are_split_by_idea": (("bot/text_utils.py", '"""A."""\n'), ("bot/common.py", '"""A."""\n')),
    "no_failure_is_swallowed": (
        ("bot/a.py", '"""A."""\ntry:\n    f()\nexcept Exception:\n    pass\n'),
        ("bot/a.py", '"""A."""\ntry:\n    f()\nexcept:\n    pass\n'),
    ),
    "only_the_command_line_prints": (("bot/app.py", '"""A."""\nprint(1)\n'),),
    "every_todo_has_an_issue": (("bot/a.py", '"""A."""\nx = 1  # TODO later\n'),),
}

_KEPT = {
    "libraries_stay_at_home": (
        ("channels/telegram.py", '"""A."""\nimport aiogram\n'),
        ("knowledge/a.py", '"""A."""\nfrom sqlalchemy import select\n'),
    ),
    "nothing_reads_the_environment_at_import": (
        ("bot/settings.py", '"""A."""\nimport os\ndef f():\n    return os.environ["KEY"]\n'),
    ),
    "no_task_is_alone": (
        ("bot/a.py", '"""A."""\nasync def f(group):\n    group.create_task(g())\n'),
        ("bot/a.py", '"""A."""\nasync def f():\n    # alone: it ends with the process\n    asyncio.create_task(g())\n'),
    ),
    "every_reading_of_memories_has_a_viewer": (
        (
            "knowledge/a.py",
            '"""A."""\ndef f(c, v):\n    return select(_m).where(visible(v, _m.c.persona_id, _m.c.audience))\n',
        ),
        (
            "knowledge/a.py",
            '"""A."""\n_m = table(Memory)\ndef f(c, v):\n    return select(_m).where(_seen(v))\n'
            "def _seen(v):\n    return visible(v, _m.c.persona_id, _m.c.audience)\n",
        ),
        ("knowledge/a.py", '"""A."""\n_m = table(Memory)\ndef f(c):\n    return c.execute(select(_m.c.id))\n'),
        (
            "knowledge/a.py",
            '"""A."""\n_m = table(Memory)\n# no viewer: the index keeps all of it\ndef f(c):\n    select(_m)\n',
        ),
    ),
    "no_sql_is_put_together_from_strings": (("knowledge/a.py", '"""A."""\nc.exec_driver_sql("BEGIN")\n'),),
    "no_log_line_is_put_together": (("bot/a.py", '"""A."""\nlog.info("sent", extra={"turn": turn.id})\n'),),
    "every_todo_has_an_issue": (("bot/a.py", '"""A."""\nx = 1  # TODO #7: later\n'),),
    "only_the_command_line_prints": (("bot/cli.py", '"""A."""\nprint(1)\n'),),
}


def _examples(of: dict[str, tuple[tuple[str, str], ...]]) -> list[ParameterSet]:
    return [
        pytest.param(rule, Module(path, text), id=f"{rule.__name__}-{number}")
        for rule in RULES
        for number, (path, text) in enumerate(of.get(rule.__name__, ()))
    ]


@pytest.mark.parametrize(("rule", "module"), _examples(_BROKEN))
def test_a_rule_finds_what_breaks_it(rule: Rule, module: Module) -> None:
    assert list(rule(module))


@pytest.mark.parametrize(("rule", "module"), _examples(_KEPT))
def test_a_rule_lets_pass_what_keeps_it(rule: Rule, module: Module) -> None:
    assert not list(rule(module))


def test_every_rule_has_an_example_that_breaks_it() -> None:
    assert set(_BROKEN) == {rule.__name__ for rule in RULES}
    assert set(_SDKS) <= set(HOMES)


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


def _files() -> Iterator[Path]:
    left_out = {".git", ".venv", "data", "node_modules", "build", "dist", "__pycache__"}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in left_out and not name.endswith("_cache")]
        folders[:] = [name for name in folders if name != ".hypothesis" and not name.endswith(".egg-info")]
        for name in names:
            path = Path(folder, name)
            if path.name not in (".env", "stores.env") and path.stat().st_size < 2_000_000:
                yield path
