"""`vole check-trace`: builds the checker of recordings (tools/trace) and hands over to it."""

import os
import sys

import builds
from console import Failure

PROGRAM = "tools/trace/vole-check-trace"


def check(file, listed):
    config = builds.Config.make(release=True)
    builds.ensure(config, lambda: [PROGRAM])
    sys.stdout.flush()
    sys.stderr.flush()
    program = str(config.dir / PROGRAM)
    try:
        os.execv(program, [program, *(["--list"] if listed else []), file])
    except OSError as error:
        raise Failure(f"cannot start {program}: {error.strerror}") from error
