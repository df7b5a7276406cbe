"""Makes the pictures of the README from a real search on the built-in sample: the live view, and TensorBoard.

    python -m tests.pictures --folder docs

The live view is what the search showed when ASHA had paused or ended three trials, exported by rich. The picture of
TensorBoard is taken with Chromium, which must be installed; without it, only the live view is made.
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
"""Number of paused and ended trials after which the live view is exported, when two trials have reported."""
WIDTH = 110
SECONDS_TO_LOAD = 30
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def run_search(storage: Path, picture: Path) -> None:
    """Run a search in that folder, and export its live view."""
    exported = []

    class Exporting(LiveView):
        def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
            super().epoch_ended(record, report)
            running = [last for _, last in self.state.running.values() if last is not None]
            if not exported and self.state.ended + len(self.state.paused) >= SHOWN_AFTER and len(running) == 2:
                exported.append(picture)
                console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
                console.print(self.render())
                console.save_svg(str(picture), title=f"python search/run.py {' '.join(COMMAND)}")

    search_command.LiveView = Exporting  # type: ignore[misc]
    options = parse([*COMMAND, "--storage", str(storage)])
    if (code := search_command.run(options, prepare(DataSource(uri=options.data, seed=options.seed)))) != 0:
        sys.exit(code)
    if not exported:
        sys.exit("the search never showed two running trials after three others: its live view was not exported")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def photograph_tensorboard(folder: Path, browser: str, picture: Path) -> None:
    """Start TensorBoard on the study in that folder, and take a picture of its scalars."""
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", folder.name, "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/?darkMode=false#scalars&_smoothingWeight=0&tagFilter=iou%7Closs"
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
