"""Makes the pictures of the README from a real search on the built-in sample: the live view, and TensorBoard.

    python -m tests.pictures --folder docs

The live view is what the search showed when its third trial had ended, exported by rich. The picture of TensorBoard is
taken with Chromium, which must be installed; without it, only the live view is made.
"""

from __future__ import annotations

import argparse
import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from rich.console import Console

from search.cli import search_command
from search.cli.options.search_parser import parse
from search.ledger.records import TrialRecord
from search.views.live_view import LiveView
from trainables.data import DataSource, prepare
from trainables.messages import EpochReport

COMMAND = ["--name", "sample", "--budget", "8", "--max-epochs", "8"]
SHOWN_AFTER = 3
"""Number of ended trials after which the live view is exported, at the next epoch with two running trials."""
WIDTH = 110
SECONDS_TO_LOAD = 30
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def run_search(storage: Path, picture: Path) -> None:
    """Run a search in that folder, and export its live view."""

    class Exporting(LiveView):
        def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
            super().epoch_ended(record, report)
            if self.state.ended >= SHOWN_AFTER and len(self.state.running) == 2 and not picture.exists():
                console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
                console.print(self.render())
                console.save_svg(str(picture), title=f"python search/run.py {' '.join(COMMAND)}")

    search_command.LiveView = Exporting  # type: ignore[misc]
    options = parse([*COMMAND, "--storage", str(storage)])
    if (code := search_command.run(options, prepare(DataSource(uri=options.data, seed=options.seed)))) != 0:
        sys.exit(code)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def photograph_tensorboard(folder: Path, browser: str, picture: Path) -> None:
    """Start TensorBoard on the study in that folder, and take a picture of its time series."""
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/?darkMode=false#timeseries"
    try:
        for _ in range(SECONDS_TO_LOAD):
            time.sleep(1)
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/data/runs", timeout=5).close()
                break
            except OSError:
                continue
        with tempfile.TemporaryDirectory() as profile:
            subprocess.run(
                [
                    browser,
                    "--headless",
                    "--no-sandbox",
                    "--hide-scrollbars",
                    f"--user-data-dir={profile}",
                    "--window-size=1280,800",
                    f"--virtual-time-budget={1000 * SECONDS_TO_LOAD}",
                    f"--screenshot={picture.resolve()}",
                    url,
                ],
                check=True,
                capture_output=True,
                timeout=300,
            )
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="folder of the pictures, which are replaced")
    parser.add_argument("--storage", type=Path, help="folder of the study (default: a temporary one)")
    options = parser.parse_args()
    live, board = options.folder / "live-view.svg", options.folder / "tensorboard.png"
    with tempfile.TemporaryDirectory() as scratch:
        storage = options.storage or Path(scratch)
        live.unlink(missing_ok=True)
        run_search(storage, live)
        print(f"wrote {live}")
        browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
        if browser is None:
            print(f"no Chromium here: {board} stays as it is")
            return
        photograph_tensorboard(storage / "sample", browser, board)
        print(f"wrote {board}")


if __name__ == "__main__":
    main()
