"""Options of a search that cannot be combined."""

from __future__ import annotations

from search.cli.options.option_types import AUTO
from search.cli.options.search_options import SearchOptions


def check_conflicts(options: SearchOptions) -> None:
    """Raises ValueError if options cannot be combined; the message names them."""
    if options.gpus_per_trial == AUTO and options.workers_per_trial.most > 1:
        raise ValueError(
            "--gpus-per-trial auto lets trials share a GPU, but --workers-per-trial spreads a trial over several: "
            "give a number for --gpus-per-trial"
        )
    if options.view == "events" and options.submission_address is not None:
        raise ValueError(
            "--view events shows a search in this process and cannot be combined with --address http://...: leave "
            "one of them out"
        )
    if options.then_report and (options.view == "events" or options.submission_address is not None):
        raise ValueError(
            "--then-report cannot be combined with --address http://... or --view events: make the report with "
            "python reports/run.py on the machine that has the study"
        )
    if options.score_classes is not None and options.metric.startswith("class_iou:"):
        raise ValueError(f"--score-classes cannot be combined with --metric {options.metric}, which scores one class")
    if options.group_pattern is not None and options.split != "grouped":
        raise ValueError("--group-pattern can only be used with --split grouped")
    if options.max_epochs is not None and options.grace_epochs is not None:
        check_grace(options.grace_epochs, options.max_epochs)
    if options.systems is None and not options.list_systems:
        for name, given in (("--seeds", options.seeds), ("--set", options.overrides)):
            if given:
                raise ValueError(f"{name} can only be used with --systems")
    else:
        _check_no_search(options)


def _check_no_search(options: SearchOptions) -> None:
    searching = {
        "--budget": options.budget is not None,
        "--start-from": options.start_from is not None,
        "--space": options.space != "default",
        "--grace-epochs": options.grace_epochs is not None,
        "--audit": options.audit > 0,
        "--scheduler": options.scheduler != "asha-promotion",
        "--rung-metric": options.rung_metric != "best",
        "--metric": options.metric != "mean_iou",
        "--score-classes": options.score_classes is not None,
    }
    for name, given in searching.items():
        if given:
            raise ValueError(f"{name} cannot be used with --systems, which trains the given systems without a search")


def check_grace(grace_epochs: int, max_epochs: int) -> None:
    """Raises ValueError if trials would end before ASHA may stop them."""
    if grace_epochs > max_epochs:
        raise ValueError(
            f"--grace-epochs {grace_epochs} is greater than --max-epochs {max_epochs}: ASHA could stop no trial; lower "
            "--grace-epochs"
        )
