"""Commands of Django in processes of their own, forked from one that has imported what they need."""

import contextlib
import io
import multiprocessing
import os
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

PRELOADED = ["hybrid_gateway.management.subcommands.doctor", "tests.doctor.forked"]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run_forked(folder: Path, arguments: list[str], environment: dict[str, str]) -> Done:
    """Run ``manage.py ARGUMENTS`` in a folder, a minute at most."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_manage, args=(theirs, str(folder), arguments, environment), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(60):
            raise TimeoutError(f"{arguments} takes more than a minute")
        return Done(*ours.recv())
    finally:
        process.kill()
        process.join()


def _manage(answer: Connection, folder: str, arguments: list[str], environment: dict[str, str]) -> None:
    from django.core.management import execute_from_command_line

    sys.dont_write_bytecode = True  # a change within a second that leaves a file's size would pass unseen
    os.chdir(folder)
    sys.path.insert(0, folder)
    os.environ.update({"DJANGO_SETTINGS_MODULE": "config.settings", **environment})
    out, error, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            execute_from_command_line(["manage.py", *arguments])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            traceback.print_exc()
            code = 1
    answer.send((code, out.getvalue(), error.getvalue()))
