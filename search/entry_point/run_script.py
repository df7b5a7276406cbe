"""How the project's scripts begin and end: each error that a user can correct is one line, without a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from search.entry_point.standard_streams import lost_output, prepare_streams
from search.exit_status import BROKEN, refuse
from search.folders.places import Place, explained_by
from search.interrupts import interrupted, raise_on_signals
from search.library_output import quiet_matplotlib
from search.ray_cluster.temporary_folder import RAY_VARIABLE, ray_folder


def run_script(main: Callable[[], int], *, if_interrupted: str) -> NoReturn:
    """Run a script's main function, and end this process with its exit code.

    Args:
        main: returns the exit code; raises ValueError for what the user must change.
        if_interrupted: what the same command does after an interruption.
    """
    prepare_streams()
    quiet_matplotlib()
    raise_on_signals()
    sys.exit(_exit_code(main, if_interrupted))


def _exit_code(main: Callable[[], int], if_interrupted: str) -> int:
    try:
        try:
            code = main()
            lost = lost_output()
        finally:
            sys.stdout.flush()  # not when Python ends, where it would print what a handler of signals raises
    except ValueError as error:
        return refuse(error)
    except OSError as error:
        return _refuse_os_error(error)
    except KeyboardInterrupt as error:
        return interrupted(error, if_interrupted)
    except ModuleNotFoundError as error:
        how = "install the project there: pip install -c constraints.txt ."
        return refuse(ValueError(f"{sys.executable}: {error}; {how}"))
    if lost is None:
        return code
    refuse(ValueError(f"a part of the output could not be written ({lost.strerror})"))
    return code or BROKEN


def _refuse_os_error(error: OSError) -> int:
    """Print in one line what to change, and return the exit code."""
    if (explained := explained_by(error, usual_places())) is not None:
        explained.__cause__ = error
        return refuse(explained)
    refuse(ValueError(f"{error.filename}: {error.strerror}" if error.filename else str(error)))
    return BROKEN


def usual_places() -> list[Place]:
    """Return the folders outside the studies that this project and its libraries write to."""
    from trainables.data.prepare import CACHE_VARIABLE, cache_folder  # takes a while, and an error is rare

    variable, folder = ray_folder()
    places = [
        Place(folder, f"set {variable or RAY_VARIABLE} to another folder"),
        *(
            Place(Path(os.environ[name]), f"set {name} to another folder")
            for name in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR")
            if os.environ.get(name)
        ),
        Place(Path("/tmp"), "set TMPDIR to another folder"),
    ]
    with suppress(RuntimeError):  # there is no home folder
        places.append(Place(cache_folder(), f"set {CACHE_VARIABLE} to another folder"))
        places.append(Place(Path.home(), "set HOME to a folder that you may write to"))
    return places
