"""The progress of a study: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.formatting import clean, config_line, duration
from search.ledger.records import TrialRecord
from search.tuning.callbacks import Callback
from search.tuning.run_end import Stopping
from search.views.progress import ProgressState
from trainables.prediction.metric import MEAN_IOU, Metric

ERROR_LINES = 6


class LiveView(Callback):
    """Shows a `ProgressState`, which must be called for each event first. Run the search in `with view.shown():`."""

    def __init__(self, state: ProgressState, console: Console, stopping: Stopping):
        self.state, self.console, self.stopping = state, console, stopping

    def shown(self) -> AbstractContextManager[object]:
        if not self.console.is_terminal:
            return nullcontext()
        return Live(get_renderable=self.render, console=self.console, refresh_per_second=2, transient=True)

    def attempt_failed(self, record: TrialRecord) -> None:
        failure = record.failures[-1]
        number, after = f"{record.number:04d}", f"after epoch {failure.epoch} ({failure.kind})"
        line = f"trial {number} failed {after}; resuming from its checkpoint"
        self._print_error(line, failure.message)

    def trial_paused(self, record: TrialRecord) -> None:
        if not self.console.is_terminal:
            line = _line(record, "paused", self.state.metric)
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def trial_ended(self, record: TrialRecord) -> None:
        line = _line(record, record.state, self.state.metric)
        best = self.state.best
        if not self.console.is_terminal:
            line = f"[{self.state.ended}/{self.state.budget}] {line}"
            if best is not None:
                line += f"  (best {self.state.best_score:.4f}, trial {best.number:04d})"
            line += f"  {self.state.epochs_per_second:.2f} epochs/s, {duration(self.state.seconds_left)} left"
        if best is not None and best.number == record.number:
            line += f"\n    new best: {config_line(record.params)}"
        if record.state == "failed":
            self._print_error(line, record.error or "")
        else:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _print_error(self, line: str, error: str) -> None:
        text = "\n    ".join([line, *error.splitlines()[-ERROR_LINES:]])
        self.console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)

    def render(self, *, driven: bool = True) -> Group:
        """Return what a terminal shows. If no process drives the study any more, its trials are interrupted."""
        state = self.state
        paused = {"paused": len(state.paused)} if state.paused else {}
        counts = ", ".join(f"{count} {name}" for name, count in ({**state.counts} | paused).items())
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=state.budget, completed=state.ended, width=20),
            f"{state.ended}/{state.budget} trials",
            f"{duration(state.seconds)} elapsed, {duration(state.seconds_left)} left" if driven else "",
        )
        for column in head.columns:
            column.no_wrap = True
        speed = _one_line(f"{counts or 'none ended'}  {state.epochs_per_second:.2f} epochs/s")
        title = "running" if driven else "interrupted"
        running = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), expand=True)
        also = () if state.metric.is_mean_iou else (MEAN_IOU.title,)
        for name in ("trial", "epoch", state.metric.title, "best", *also):
            running.add_column(name, no_wrap=True)
        running.add_column("configuration", no_wrap=True, ratio=1)  # what does not fit is taken from it
        for number, (record, report) in sorted(dict(state.running).items()):
            total = record.config.get("training.max_epochs", "?")
            now, best = (report.score, report.best_score) if report else (None, None)
            running.add_row(
                f"{number:04d}",
                f"{report.epoch if report else 0}/{total}",
                _shown(now),
                _shown(best),
                *(_shown(report.mean_iou if report else None) for _ in also),
                config_line(record.params),
            )
        parts: list[RenderableType] = [head, speed, running]
        if self.stopping.reason is not None:
            waiting = len(self.stopping.running.started)
            waits = f"ending: waiting for {waiting} trials to finish their epoch; Ctrl-C: end now"
            parts.insert(1, Text(waits, style="yellow"))
        if (best_trial := state.best) is not None:
            best_line = _one_line("")
            best_line.append("best ", "bold").append(f"{state.best_score:.4f}", "bold green")
            best_line.append(clean(f" trial {best_trial.number:04d}: {config_line(best_trial.params)}"))
            parts.append(best_line)
        return Group(*parts)


def _one_line(text: str) -> Text:
    """Return a text that a narrow terminal cuts, instead of breaking it into lines."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _shown(score: float | None) -> str:
    return "-" if score is None else f"{score:.4f}"


def _line(record: TrialRecord, what: str, metric: Metric) -> str:
    score = "" if record.score is None else f"  {metric.title} {record.score:.4f}"
    return f"trial {record.number:04d} {what}{score}  {record.reported_epochs} epochs"
