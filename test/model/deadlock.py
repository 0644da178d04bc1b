#!/usr/bin/env python3
"""Tries all orders in which a deadlock of runtime/src/sched/deadlock.cpp comes about and is looked for.

    deadlock.py [--broken CHANGE] WAKERS THREADS

A thread of ours (the worker) runs, may start a foreign thread, and goes to sleep; it looks for a deadlock then. WAKERS
external_wakers exist and go; THREADS foreign threads may come, wake the worker once each, and end without a word.
sysmon sleeps until it is woken, or for 100 ms if there is a suspicion when it lies down. A deadlock may be reported only if
nobody runs and nothing can come from outside, and whatever happens it must be possible that it is reported in the end.

Exit status: 0 if so; 1 with the steps that lead to the first fault. --broken makes a change that must lead to one,
and turns the status round:
    take-back    who finds somebody awake takes the suspicion back
    look-first   sysmon takes it back after it has looked
    silent       an external_waker that goes raises no suspicion
    one-look     threads are counted after the only look
"""

import sys
from typing import NamedTuple

from explore import Fault, try_all


class State(NamedTuple):
    worker: tuple = ("runs",)
    wakers: tuple = ()  # of each: "there", "going", "raises", "gone"
    threads: tuple = ()  # of each: "not yet", "may wake", "runs", "gone"
    sysmon: tuple = ("lies down",)
    asleep: bool = False  # the worker, as the lock's owner sees it
    generation: int = 0
    suspected: bool = False
    note: bool = False
    reported: bool = False


def changed(parts, i, part):
    return (*parts[:i], part, *parts[i + 1:])


class Model:
    """Each step is one access to what others write; what is done under sched.mu is one step."""

    def __init__(self, wakers, threads, broken):
        self.start = State(wakers=("there",) * wakers, threads=("not yet",) * threads)
        self.broken = broken

    @staticmethod
    def is_over(s):
        return s.reported

    def steps(self, s):
        if s.reported:
            return
        for name, after in self.worker_steps(s):
            yield "worker " + name, after
        for name, after in self.sysmon_steps(s):
            yield "sysmon " + name, after
        for i, waker in enumerate(s.wakers):
            for name, after in self.waker_steps(s, i, waker):
                yield f"waker {i} {name}", after
        for i, thread in enumerate(s.threads):
            for name, after in self.thread_steps(s, i, thread):
                yield f"thread {i} {name}", after

    # at: ("first",), ("count", generation), ("second", generation, threads), ("suspect",), ("take back",). put(s, then)
    # gives the state after, with then, or ("done",), for at.
    def check_steps(self, s, at, put):
        def looks_asleep():
            return s.asleep and all(w in ("raises", "gone") for w in s.wakers)

        if at[0] == "first":
            if looks_asleep():
                yield "first look: asleep", put(s, ("count", s.generation))
            else:
                yield "first look: awake", put(s, ("take back",) if self.broken == "take-back" else ("done",))
        elif at[0] == "take back":
            yield "takes it back", put(s._replace(suspected=False), ("done",))
        elif at[0] == "count":
            alive = sum(t in ("may wake", "runs") for t in s.threads)
            yield f"counts {alive}", put(s, ("second", at[1], alive))
        elif at[0] == "second":
            agrees = looks_asleep() and at[1] == s.generation
            if not agrees and self.broken != "one-look":
                yield "second look: no", put(s, ("done",))
            elif at[2] != 0:
                yield "second look: a thread", put(s, ("suspect",))
            else:
                if not s.asleep or any(t in ("may wake", "runs") for t in s.threads):
                    raise Fault("reported, and somebody could go on")
                yield "reports", s._replace(reported=True)
        elif at[0] == "suspect":
            yield "suspects", put(self.suspect(s), ("done",))

    @staticmethod
    def suspect(s):
        return s._replace(suspected=True, note=s.note or not s.suspected)

    def worker_steps(self, s):
        at = s.worker
        if at[0] == "runs":
            for i, thread in enumerate(s.threads):
                if thread == "not yet":
                    yield f"starts thread {i}", s._replace(threads=changed(s.threads, i, "may wake"))
            yield "sleeps", s._replace(worker=("first",), asleep=True, generation=s.generation + 1)
        elif at[0] == "sleeps":
            if not s.asleep:
                yield "wakes", s._replace(worker=("runs",))
        else:  # it may have been woken already
            end = ("sleeps",)
            yield from self.check_steps(s, at, lambda t, then: t._replace(worker=end if then == ("done",) else then))

    def sysmon_steps(self, s):
        at = s.sysmon
        if at[0] == "lies down":
            yield "lies down", s._replace(sysmon=("sleeps", s.suspected))
        elif at[0] == "sleeps":
            if s.note or at[1]:
                yield "gets up", s._replace(sysmon=("clears",))
        elif at[0] == "clears":
            yield "clears its note", s._replace(sysmon=("takes",), note=False)
        elif at[0] == "takes":
            after = s if self.broken == "look-first" else s._replace(suspected=False)
            yield "takes it", after._replace(sysmon=("first",) if s.suspected else ("lies down",))
        elif at[0] == "forgets":
            yield "takes it back", s._replace(sysmon=("lies down",), suspected=False)
        else:
            end = ("forgets",) if self.broken == "look-first" else ("lies down",)
            yield from self.check_steps(s, at, lambda t, then: t._replace(sysmon=end if then == ("done",) else then))

    def waker_steps(self, s, i, waker):
        if waker == "there":
            after = "gone" if self.broken == "silent" else "raises"
            yield "goes", s._replace(wakers=changed(s.wakers, i, after))
        elif waker == "raises":
            yield "raises a suspicion", self.suspect(s._replace(wakers=changed(s.wakers, i, "gone")))

    def thread_steps(self, s, i, thread):
        if thread == "may wake":
            if s.asleep:
                yield "wakes the worker", s._replace(threads=changed(s.threads, i, "runs"), asleep=False)
            yield "ends", s._replace(threads=changed(s.threads, i, "gone"))
        elif thread == "runs":
            yield "ends", s._replace(threads=changed(s.threads, i, "gone"))


if __name__ == "__main__":
    sys.exit(try_all(Model, __doc__, ("take-back", "look-first", "silent", "one-look"), "wakers", "threads"))
