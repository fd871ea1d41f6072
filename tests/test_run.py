"""`./run` prepares once, mends what was interrupted, waits its turn, and says in words what is missing.

The real pip and the real uv install two small packages that are made here, from a folder instead of an index.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).parent / "uv"
LIMIT_S = 120


# It notes that it was called, stops on request where a person might interrupt it, and is otherwise the real one.
_UV = f"""#!/bin/sh
echo "$1 $2" >> "$AROUND/called"
env > "$AROUND/environment"
if [ "$1" = pip ] && [ -e "$AROUND/stall" ]; then
    touch "$AROUND/stalled"
    for _ in $(seq 1200); do [ -e "$AROUND/stall" ] && sleep 0.05; done
fi
exec "{UV}" "$@"
"""


class Project:
    """A folder with `run`, a lock that names one small package, and a folder of wheels to install from."""

    def __init__(self, folder: Path) -> None:
        self.around = folder
        self.folder = folder / "memoras"
        self.venv = self.folder / ".venv"
        self.wheels = folder / "wheels"
        self.called = folder / "called"
        self.stall = folder / "stall"
        self.stalled = folder / "stalled"
        for made in (self.folder / "bot", self.wheels, folder / "home"):
            made.mkdir(parents=True)
        shutil.copy(ROOT / "run", self.folder)
        (self.folder / "bot/__main__.py").write_text(
            "import os, sys\nimport little_package\nprint('bot', os.getpid(), little_package.WORD, *sys.argv[1:])\n"
        )
        version = re.search(r"^uv==(\S+)", (ROOT / "requirements-uv.lock").read_text(), flags=re.M)
        assert version
        self.lock("requirements-uv.lock", self.wheel("uv", version[1], script=_UV))
        self.release("1")

    def release(self, word: str) -> None:
        """Let the locks name a version of the little package in which it says `word`."""
        # Of another length each time: a module of the same second and length would be taken from its old bytecode.
        line = self.wheel("little-package", word, module=f"WORD = {word!r}  # {'x' * int(word)}\n")
        for name in ("requirements.lock", "requirements-test.lock"):
            self.lock(name, line)

    def lock(self, name: str, *lines: str) -> None:
        (self.folder / name).write_text("\n".join(lines) + "\n")

    def wheel(self, name: str, version: str, *, module: str = "", script: str = "") -> str:
        """Make a wheel and return its line in a lock."""
        stem = name.replace("-", "_")
        info = f"{stem}-{version}.dist-info"
        files = {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        if module:
            files[f"{stem}.py"] = module
        if script:
            files[f"{stem}-{version}.data/scripts/{name}"] = script
        record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
        path = self.wheels / f"{stem}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
                entry = zipfile.ZipInfo(member)
                entry.external_attr = 0o100755 << 16
                archive.writestr(entry, text)
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"

    def environment(self, **more: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
        return {
            **inherited,
            "HOME": str(self.around / "home"),
            "AROUND": str(self.around),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            **more,
        }

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "run", *arguments],
            cwd=self.folder,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **more)
        with _ended(process):
            out, err = process.communicate(timeout=LIMIT_S)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def installs(self) -> int:
        return self.called.read_text().splitlines().count("pip install") if self.called.exists() else 0

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start, and return in the middle of the installation, which goes on when `stall` is gone."""
        self.stall.touch()
        process = self.start(*arguments)
        deadline = time.monotonic() + LIMIT_S
        while not self.stalled.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail("it did not come as far as installing")
            time.sleep(0.02)
        return process


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that nobody has started yet."""
    return Project(tmp_path)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that was started once."""
    found = Project(tmp_path_factory.mktemp("prepared"))
    first = found.run("serve", "--port", "0")
    assert first.returncode == 0, first.stderr
    assert re.fullmatch(r"bot \d+ 1 serve --port 0\n", first.stdout)
    assert "once" in first.stderr
    assert found.installs() == 1
    return found


@pytest.fixture
def changed(project: Project, prepared: Project) -> Project:
    """A project that was started once, and whose lock has changed since."""
    shutil.copytree(prepared.venv, project.venv, symlinks=True)
    project.release("2")
    return project


def test_the_second_start_takes_under_a_second_and_needs_neither_pip_nor_uv(prepared: Project) -> None:
    before = prepared.called.read_text()
    began = time.monotonic()
    again = prepared.run()
    took_s = time.monotonic() - began
    assert again.stdout.startswith("bot ")
    assert again.stderr == ""
    assert prepared.called.read_text() == before
    assert took_s < 1


def test_a_changed_lock_is_installed_by_the_next_start(changed: Project) -> None:
    assert re.fullmatch(r"bot \d+ 2\n", changed.run().stdout)
    assert changed.run().stderr == ""


def test_the_server_is_the_process_that_was_started_so_signals_reach_it(prepared: Project) -> None:
    process = prepared.start()
    with _ended(process):
        out, _ = process.communicate(timeout=LIMIT_S)
    assert out.split()[1] == str(process.pid)


def test_a_preparation_that_was_killed_is_mended_by_the_next_start(changed: Project) -> None:
    process = changed.begin()
    with _ended(process):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=LIMIT_S)
    changed.stall.unlink()
    # What a half-made installation looks like: the package is said to be there and is not.
    site = next((changed.venv / "lib").glob("*/site-packages"))
    (site / "little_package.py").unlink()
    (site / "little_package-1.dist-info").rename(site / "little_package-2.dist-info")

    mended = changed.run()
    assert re.fullmatch(r"bot \d+ 2\n", mended.stdout), mended.stderr


def test_stopping_a_preparation_by_hand_is_told_in_words(changed: Project) -> None:
    process = changed.begin()
    with _ended(process):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert err.rstrip().endswith("Stopped. The next start mends what is unfinished.")
    assert "Traceback" not in err


def test_of_two_starts_at_once_one_prepares_and_the_other_waits(changed: Project) -> None:
    first = changed.begin("chat")
    second = changed.start("doctor")
    with _ended(first, second):
        assert second.stderr is not None
        assert "waiting" in second.stderr.readline()
        changed.stall.unlink()
        outs = [process.communicate(timeout=LIMIT_S)[0] for process in (first, second)]
    assert [out.split()[2:] for out in outs] == [["2", "chat"], ["2", "doctor"]]
    assert changed.installs() == 1


def test_a_start_waits_for_what_a_killed_one_left_running(changed: Project) -> None:
    first = changed.begin()
    second: subprocess.Popen[str] | None = None
    with _ended(first):
        # Only ./run itself dies; the installer it called lives on.
        first.kill()
        second = changed.start()
        with _ended(second):
            assert second.stderr is not None
            assert "waiting" in second.stderr.readline()
            changed.stall.unlink()
            out, err = second.communicate(timeout=LIMIT_S)
    assert re.fullmatch(r"bot \d+ 2\n", out), err


def test_a_changed_file_is_refused(changed: Project) -> None:
    changed.lock("requirements.lock", f"little-package==2 --hash=sha256:{'0' * 64}")
    refused = changed.run()
    assert refused.returncode == 1
    assert "is not the one this version of Memoras was tested with" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_index_that_cannot_be_reached_is_told_in_words(changed: Project) -> None:
    unreachable = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    failed = changed.run(PIP_RETRIES="0", UV_HTTP_RETRIES="0", **unreachable)
    assert failed.returncode == 1
    assert "could not be reached" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert re.fullmatch(r"bot \d+ 2\n", changed.run().stdout)


def test_what_pip_is_set_to_reaches_uv(changed: Project) -> None:
    (changed.around / "pip.conf").write_text(
        "[global]\n"
        "index-url = http://127.0.0.1:9/mirror\n"
        "extra-index-url =\n    http://127.0.0.1:9/one\n    http://127.0.0.1:9/two\n"
        "cert = /from/the/file.pem\n"
        "trusted-host = 127.0.0.1\n"
        "timeout = 7\n"
        "proxy = http://127.0.0.1:9\n"
        "[install]\n"
        "no-index = false\n"
    )
    unset = {"SSL_CERT_FILE": "", "HTTPS_PROXY": "", "https_proxy": ""}
    changed.run(PIP_CONFIG_FILE=str(changed.around / "pip.conf"), PIP_CERT="/from/the/environment.pem", **unset)
    given = dict(
        line.split("=", 1) for line in (changed.around / "environment").read_text().splitlines() if "=" in line
    )
    assert given["UV_DEFAULT_INDEX"] == "http://127.0.0.1:9/mirror"
    assert given["UV_INDEX"] == "http://127.0.0.1:9/one http://127.0.0.1:9/two"
    assert given["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert given["UV_FIND_LINKS"] == str(changed.wheels)
    assert given["UV_INSECURE_HOST"] == "127.0.0.1"
    assert given["UV_HTTP_TIMEOUT"] == "7"
    assert given["HTTPS_PROXY"] == "http://127.0.0.1:9"
    assert given["SSL_CERT_FILE"] == "/from/the/environment.pem", "the environment goes before the file"


def test_what_uv_is_set_to_itself_goes_first(changed: Project) -> None:
    changed.run(PIP_INDEX_URL="http://127.0.0.1:9/pip", UV_DEFAULT_INDEX="http://127.0.0.1:9/uv")
    assert "UV_DEFAULT_INDEX=http://127.0.0.1:9/uv\n" in (changed.around / "environment").read_text()


def test_settings_made_for_other_projects_do_not_lead_it_astray(changed: Project) -> None:
    (changed.around / "constraints.txt").write_text("little-package<2\n")
    elsewhere = {"UV_SYSTEM_PYTHON": "1", "UV_CONSTRAINT": str(changed.around / "constraints.txt"), "PIP_USER": "1"}
    assert re.fullmatch(r"bot \d+ 2\n", changed.run(**elsewhere).stdout)


def test_a_home_that_cannot_be_written_to_is_no_hindrance(changed: Project) -> None:
    nowhere = Path(os.devnull) / "home"
    assert changed.run(HOME=str(nowhere)).returncode == 0


def test_a_path_given_from_another_folder_still_leads_to_its_file(prepared: Project) -> None:
    chat = prepared.around / "chat.zip"
    chat.touch()
    started = subprocess.run(
        [sys.executable, "memoras/run", "import", "--data", "kept", "chat.zip", "--persona", "wheels"],
        cwd=prepared.around,
        env=prepared.environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    kept = prepared.around / "kept"
    assert started.stdout.split()[3:] == ["import", "--data", str(kept), str(chat), "--persona", "wheels"]


# ------------------------------------------------------------------------- what it says before it can start


def _pretend(project: Project, change: str) -> subprocess.CompletedProcess[str]:
    code = f"import runpy, sys\nsys.argv = ['run', 'serve']\n{change}\nrunpy.run_path('run', run_name='__main__')\n"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.folder,
        env=project.environment(PATH=os.devnull),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def test_a_python_that_is_too_old_is_told_in_words(project: Project) -> None:
    told = _pretend(project, "sys.version_info = (3, 8, 18, 'final', 0)")
    assert told.returncode == 1
    assert told.stderr.startswith("Memoras needs Python 3.11 or newer; this is Python 3.8.18")
    assert "Traceback" not in told.stderr
    assert not (project.folder / ".venv").exists()


def test_a_python_without_venv_is_told_in_words(project: Project) -> None:
    told = _pretend(project, "sys.modules['ensurepip'] = None")
    assert told.returncode == 1
    assert "apt install python3-venv" in told.stderr
    assert "Traceback" not in told.stderr


def test_an_older_python_can_read_the_script() -> None:
    ast.parse((ROOT / "run").read_text(), feature_version=(3, 6))


def test_a_folder_that_cannot_be_written_to_is_told_in_words(project: Project) -> None:
    change = "import os\ndef no(*_): raise PermissionError(13, 'Permission denied')\nos.mkdir = no"
    told = _pretend(project, change)
    assert told.returncode == 1
    assert "Does it belong to somebody else?" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_full_disk_is_told_in_words(project: Project) -> None:
    change = "import os\ndef no(*_): raise OSError(28, 'No space left on device')\nos.mkdir = no"
    told = _pretend(project, change)
    assert told.returncode == 1
    assert "The disk is full" in told.stderr


def test_help_needs_no_preparation(project: Project) -> None:
    told = project.run("--help")
    assert told.returncode == 0
    assert "./run import PATH" in told.stdout
    assert not (project.folder / ".venv").exists()


# -------------------------------------------------------------------------------------------------- little


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@contextlib.contextmanager
def _ended(*processes: subprocess.Popen[str]) -> Iterator[None]:
    """Leave nothing running, whatever the test found."""
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            for stream in (process.stdout, process.stderr):
                if stream is not None and process.returncode is None:
                    stream.close()
            process.wait()
