"""Runs a Catch2 program and accounts for every test case, even when it dies.

The XML reporter writes as it goes, so a program that aborts or hangs still tells which test case it
was in. That one counts as failed, and the rest is run by a second process: one crash must not hide
what the other hundred test cases have to say.
"""

import os
import re
import signal
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from console import environment

# After so many processes lost to crashes or hangs the rest is given up as failed: something
# fundamental is broken and each further hang would cost its whole time limit.
MAX_RESTARTS = 8

# Seconds between SIGTERM and SIGKILL.
GRACE = 10


@dataclass
class Case:
    name: str
    passed: bool
    seconds: float = 0.0
    detail: str = ""


@dataclass
class Outcome:
    cases: list = field(default_factory=list)
    output: str = ""  # what the program wrote besides its report

    @property
    def failed(self):
        return [case for case in self.cases if not case.passed]


def ended(status):
    """An exit status in words."""
    if status is None:
        return "timed out"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def execute(command, timeout, env=None, cwd=None, progress=None, patience=None):
    """(status or None when out of time, output). The whole process group goes then.

    Out of time is also who shows no progress for `patience` seconds: progress() returns anything
    that changes while things go on.
    """
    with tempfile.TemporaryFile() as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, cwd=cwd,
                                   stdin=subprocess.DEVNULL, env=env, start_new_session=True)
        try:
            status = _wait(process, timeout, progress, patience)
            if status is None:
                _ask_to_end(process)
        finally:
            _kill_group(process)  # what it left behind, too
        sink.seek(0)
        return status, sink.read().decode("utf-8", "replace")


def _wait(process, timeout, progress, patience):
    now = time.monotonic()
    end = now + timeout
    seen, since = None, now
    while now < end:
        try:
            return process.wait(min(1.0, end - now))
        except subprocess.TimeoutExpired:
            pass
        now = time.monotonic()
        if progress is not None:
            state = progress()
            if state != seen:
                seen, since = state, now
            elif now - since > patience:
                break
    return None


def _ask_to_end(process):
    """Our test programs answer SIGTERM with the tracebacks of all goroutines."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        pass


def _kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()


def _failure_text(element):
    lines = []
    notes = []  # stand before what they belong to
    for found in element.iter():
        if found.tag == "Info":
            notes.append("  info: " + (found.text or "").strip())
            continue
        if found.tag == "Expression" and found.get("success") == "false":
            original = (found.findtext("Original") or "").strip()
            expanded = (found.findtext("Expanded") or "").strip()
            lines.append(f"{found.get('filename')}:{found.get('line')}: "
                         f"{found.get('type')}( {original} )\n  with: {expanded}")
        elif found.tag in ("Exception", "FatalErrorCondition", "Failure"):
            where = f"{found.get('filename', '?')}:{found.get('line', '?')}"
            lines.append(f"{where}: {found.tag}: {(found.text or '').strip()}")
        else:
            continue
        lines += notes
        notes = []
    return "\n".join(lines + notes)


def parse(report):
    """(finished cases, name of the one that was open at the end or None). The text may be cut."""
    cases, opened = [], None
    parser = ElementTree.XMLPullParser(["start", "end"])
    try:
        # Control characters in a message would make it no XML at all.
        parser.feed(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "?", report))
        for event, element in parser.read_events():
            if element.tag != "TestCase":
                continue
            if event == "start":
                opened = element.get("name")
                continue
            result = element.find("OverallResult")
            if result is None:
                continue
            opened = None
            cases.append(Case(element.get("name"), result.get("success") == "true",
                              float(result.get("durationInSeconds") or 0),
                              _failure_text(element)))
    except ElementTree.ParseError:
        pass
    return cases, opened


def list_cases(command, selection, env, cwd=None):
    """Names of all selected test cases, hidden ones left out, or None if the program cannot say."""
    # To Catch2 separate words mean "and", a comma "or".
    selected = [",".join(selection)] if selection else []
    status, out = execute([*command, "--list-test-names-only", *selected], 60, env, cwd)
    # Its exit status is the number of cases, so only a signal means trouble.
    if status is None or status < 0:
        return None, out
    return [line for line in out.splitlines() if line.strip()], out


def escaped(name):
    """A name as Catch2 wants it in a filter, where these characters mean something."""
    return re.sub(r'([\\,\["])', r"\\\1", name)


def run(command, timeout, patience, env_extra=None, selection=(), cwd=None, on_case=lambda case: None):
    """Runs all selected test cases: `timeout` seconds for all, `patience` for each. Returns an Outcome.

    on_case is called with each Case as soon as its process has ended.
    """
    env = environment(env_extra)
    outcome = Outcome()
    wanted, out = list_cases(command, list(selection), env, cwd)
    if wanted is None:
        outcome.output = out
        outcome.cases.append(Case("(start)", False, 0.0, "the program does not even list its tests"))
        return outcome
    with tempfile.TemporaryDirectory(prefix="vole-test-") as folder:
        rest = wanted
        for _ in range(MAX_RESTARTS):
            if not rest:
                break
            rest = _one_process(command, (timeout, patience), env, cwd, rest, Path(folder), outcome, on_case)
        for name in rest:
            lost = Case(name, False, 0.0, "not run: too many crashes before it")
            outcome.cases.append(lost)
            on_case(lost)
    return outcome


def _one_process(command, limits, env, cwd, names, folder, outcome, on_case):
    """Runs `names`, adds what happened, returns the names nothing is known of yet."""
    listing, report = folder / "names", folder / "report.xml"
    listing.write_text("".join(escaped(n) + "\n" for n in names), encoding="utf-8")
    report.write_text("", encoding="utf-8")
    status, out = execute([*command, "--input-file", str(listing), "--reporter", "xml",
                           "--durations", "yes", "--out", str(report)], limits[0], env,
                          cwd, lambda: report.stat().st_size, limits[1])
    outcome.output += out
    cases, opened = parse(report.read_text(encoding="utf-8", errors="replace"))
    # A failed assertion makes a positive status too; with all passed, something else ended it.
    died = (opened is not None or status is None or status < 0
            or (status > 0 and all(c.passed for c in cases)))
    if status is None and opened is None and cases and not cases[-1].passed:
        cases[-1].detail += "\n" + ended(status)
    if opened is not None:
        cases.append(Case(opened, False, 0.0, f"{ended(status)} in this test case"))
    done = {case.name for case in cases}
    rest = [name for name in names if name not in done]
    reported = bool(cases) and "FatalErrorCondition" in cases[-1].detail
    if died and opened is None and not reported:
        # Between two cases, or after the last one: in a destructor, or in what a sanitizer
        # reports when the process ends.
        cases.append(Case("(end of the process)", False, 0.0, f"{ended(status)} outside any test"))
    elif rest and not died:
        for name in rest:
            cases.append(Case(name, False, 0.0, "was listed but did not run"))
        rest = []
    if died and cases:
        # What the process said last belongs to the case it died in.
        cases[-1].detail = "\n".join(filter(None, (cases[-1].detail, tail(out))))
    for case in cases:
        on_case(case)
    outcome.cases += cases
    return rest


# What the runtime, a test's patience or a sanitizer begins its report with; not a frame's file or function.
_REPORT = re.compile(r"^(fatal error|panic): |: gave up after |ERROR: |WARNING: ThreadSanitizer|: runtime error: ")


def tail(text, most=60):
    """The last lines, and the line before them that says what they are about."""
    lines = text.splitlines()
    kept = lines[-most:]
    if not any(_REPORT.search(line) for line in kept):
        kept[:0] = [line for line in lines[:-most] if _REPORT.search(line)][-1:]
    return "\n".join("  | " + line for line in kept)
