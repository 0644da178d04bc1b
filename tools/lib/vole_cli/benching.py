"""`vole bench`: builds the benchmarks and hands over to their driver (test/bench/driver.py)."""

import importlib.util
import sys

import builds
import packages
from console import ROOT, Failure, say

DRIVER = ROOT / "test" / "bench" / "driver.py"


def _load_driver():
    if not DRIVER.exists():
        raise Failure("there are no benchmarks here: test/bench/driver.py is missing")
    sys.path.insert(0, str(DRIVER.parent))
    spec = importlib.util.spec_from_file_location("driver", DRIVER)
    driver = importlib.util.module_from_spec(spec)
    sys.modules["driver"] = driver
    spec.loader.exec_module(driver)
    return driver


def bench(words):
    """All options are the driver's; it looks at them before anything is built."""
    driver = _load_driver()
    driver.arguments(words)
    packages.ensure("bench")
    absent = packages.missing(["peers"])
    if absent:
        say("to compare with everything: ./tools/vole setup peers (" + " ".join(absent) + ")")
    config = builds.Config.make(release=True)
    builds.ensure(config, options=["bench=true"])
    return driver.main(["--build-dir", str(config.dir), *words]) or 0
