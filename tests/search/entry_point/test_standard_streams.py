"""Standard streams of a process of its own, as a shell starts it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from search import ROOT

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(code, shell="{}", **environment):
    """Run Python code with prepared streams in a command line; return its exit code, output and errors."""
    program = f"from search.entry_point.standard_streams import *; import os, signal, sys; prepare_streams(); {code}"
    done = subprocess.run(
        ["bash", "-c", shell.format('"$PYTHON" -c "$PROGRAM"')],
        env=os.environ | {"PYTHON": sys.executable, "PROGRAM": program, "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("environment", [ASCII, {"PYTHONIOENCODING": "ascii"}, {**ASCII, "PYTHONUNBUFFERED": "1"}])
def test_what_an_encoding_lacks_is_escaped(environment):
    code = r"print('caf\xe9 \udcff \u2026 \ufffd'); print('\xe9', file=sys.stderr)"
    assert run(code, **environment) == (0, b"caf\\xe9 \\udcff . ?\n", b"\\xe9\n")


def test_bytes_of_file_names_are_escaped_in_utf_8_too():
    assert run(r"print('caf\xe9 \udcff')", PYTHONIOENCODING="utf-8") == (0, "café \\udcff\n".encode(), b"")


def test_a_closed_stream_is_not_taken_by_the_next_file(tmp_path):
    code = "file = open(os.environ['FILE'], 'w'); print('lost'); os.write(2, str(file.fileno()).encode())"
    for shell in ("{} >&-", "{} <&- >&-"):
        code_, out, errors = run(code, shell, FILE=str(tmp_path / "file"))
        assert (code_, out, int(errors) > 2) == (0, b"", True)
    assert (tmp_path / "file").read_text() == ""


def test_a_full_disk_loses_output_without_an_error():
    code = "print('x' * 100_000); print(lost_output().strerror, file=sys.stderr)"
    assert run(code, "{} > /dev/full") == (0, b"", b"No space left on device\n")
    assert run("print('x'); print(lost_output(), file=sys.stderr)") == (0, b"x\n", b"None\n")


READER_GONE = "r, w = os.pipe(); os.dup2(w, 1); os.close(r); os.close(w)"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_is_gone_is_a_terminal_that_is_closed(unbuffered):
    code = f"{READER_GONE}; signal.signal(signal.SIGHUP, lambda *_: sys.stderr.write('closed ')); "
    code += "[print('x', flush=True) for _ in range(3)]; sys.stderr.write(str(lost_output()))"
    assert run(code, PYTHONUNBUFFERED=unbuffered) == (0, b"", b"closed None")


def test_under_nohup_the_process_continues():
    code = f"{READER_GONE}; signal.signal(signal.SIGHUP, signal.SIG_IGN); print('x', flush=True); os.write(2, b'on')"
    assert run(code) == (0, b"", b"on")


def test_errors_that_nobody_reads_end_nothing():
    code = "r, w = os.pipe(); os.dup2(w, 2); os.close(r); os.close(w); print('x', file=sys.stderr); print('on')"
    assert run(code) == (0, b"on\n", b"")


def test_streams_that_are_not_the_processs_own_stay(capsys):
    from search.entry_point.standard_streams import prepare_streams

    before = sys.stdout, sys.stderr
    prepare_streams()
    assert (sys.stdout, sys.stderr) == before
