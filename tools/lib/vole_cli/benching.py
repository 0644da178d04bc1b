"""`vole bench`: builds the benchmarks and hands over to their driver: test/bench/driver.py, or
test/bench/net_driver.py for `vole bench net`."""

import importlib.util
import sys

import builds
import packages
from console import ROOT, Failure, say

FOLDER = ROOT / "test" / "bench"


def _load_driver(name):
    path = FOLDER / f"{name}.py"
    if not path.exists():
        raise Failure(f"there are no benchmarks here: test/bench/{name}.py is missing")
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location(name, path)
    driver = importlib.util.module_from_spec(spec)
    sys.modules[name] = driver
    spec.loader.exec_module(driver)
    return driver


def bench(words):
    """All options are the driver's; it looks at them before anything is built."""
    of_net = words[:1] == ["net"]
    words = words[1:] if of_net else words
    driver = _load_driver("net_driver" if of_net else "driver")
    driver.arguments(words)
    packages.ensure("bench")
    absent = packages.missing(["peers"])
    if absent:
        say("to compare with everything: ./tools/vole setup peers (" + " ".join(absent) + ")")
    config = builds.Config.make(release=True)
    builds.ensure(config, options=["bench=true"])
    return driver.main(["--build-dir", str(config.dir), *words]) or 0
