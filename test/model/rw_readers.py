#!/usr/bin/env python3
"""Tries all orders of readers and writers of a rw_mutex whose readers are spread (sync/src/rw_readers.cpp).

    rw_readers.py [--broken CHANGE] READERS WRITERS

Each reader has a P, and so a slot, comes and goes twice, by its slot or by the lock's word, whichever is open to it; a
reader that is in may spread the lock, to all or to its own P. Each writer comes once: it gathers the readers if need be,
announces itself, waits for those who are in, writes, and leaves. The first writer shares the P of the first reader, which it
has between the reader's steps, unless that is inside the runtime. Memory is that of an amd64 CPU: a reader's plain stores to
its slot wait in its buffer; read-modify-writes, a P's changing hands and the gatherer's membarrier empty it. Nobody may
write while others are in, and whatever happens everybody must be able to come to an end.

Exit status: 0 if so; 1 with the steps that lead to the first fault. --broken makes a change that must lead to one,
and turns the status round:
    no-fence    who gathers does without the membarrier
    no-wait     who gathers does not wait for slots that are busy
    no-look     a reader does not look at the lock once its slot is busy
    or-writer   a writer announces itself whatever the state
    any-home    a reader whose slot is busy does not look whose home it is
    far-home    a writer from another P takes the home for its own
    blind-home  a writer at home does not look whether others gather
"""

import sys
from typing import NamedTuple

from explore import Fault, try_all

BORROWED = 8  # more than there are readers


class State(NamedTuple):
    readers: tuple  # of each: (next step, what it holds ...)
    turns: tuple    # how often each has been in
    writers: tuple
    buffers: tuple  # of each reader: stores under way, (name, value)
    busy: tuple
    counts: tuple
    count: int = 0  # the lock's word: readers, writer, spread, folding
    writer: bool = False
    spread: bool = False
    folding: bool = False
    home: int = 0  # with either of them: 1 + whose P it is spread to alone
    rest: int = 0  # the home that the writer came from
    leaving: int = 0  # for the announced writer


def changed(parts, i, part):
    return (*parts[:i], part, *parts[i + 1:])


class Model:
    """Each step is one access to what others write. What is done under the bucket's lock, and the queues, is one
    step: the rules of rw_mutex.cpp are not what is tried here."""

    def __init__(self, readers, writers, broken):
        nothing = (0,) * readers
        self.broken = broken
        self.start = State((("out",),) * readers, nothing, (("comes",),) * writers, ((),) * readers, nothing, nothing)

    @staticmethod
    def is_over(s):
        return all(w == ("done",) for w in s.writers) and all(r == ("out",) and t == 2 for r, t in zip(s.readers, s.turns))

    def steps(self, s):
        inside = sum(r[0] in ("in", "leaves") for r in s.readers)
        writing = sum(w[0] == "writes" for w in s.writers)
        if writing > 1 or (writing == 1 and inside != 0):
            raise Fault("a writer is not alone")
        for i in range(len(s.readers)):
            if s.buffers[i]:
                yield f"store of reader {i} arrives", self.drain(s, i, 1)
            for name, after in self.reader_steps(s, i):
                yield f"reader {i} {name}", after
        for i in range(len(s.writers)):
            for name, after in self.writer_steps(s, i):
                yield f"writer {i} {name}", after

    @staticmethod
    def drain(s, i, n):
        busy, counts = s.busy[i], s.counts[i]
        for name, value in s.buffers[i][:n]:
            if name == "busy":
                busy = value
            else:
                counts = value
        return s._replace(buffers=changed(s.buffers, i, s.buffers[i][n:]), busy=changed(s.busy, i, busy),
                          counts=changed(s.counts, i, counts))

    def locked(self, s, i):  # a read-modify-write of reader i
        return self.drain(s, i, len(s.buffers[i]))

    @staticmethod
    def store(s, i, name, value):
        return s._replace(buffers=changed(s.buffers, i, (*s.buffers[i], (name, value))))

    @staticmethod
    def own_count(s, i):
        for name, value in reversed(s.buffers[i]):
            if name == "count":
                return value
        return s.counts[i]

    def reader_steps(self, s, i):
        at = s.readers[i]

        def put(t, *then):
            return t._replace(readers=changed(t.readers, i, then))

        if at[0] == "out":
            if s.turns[i] < 2:
                yield "sees spread" if s.spread else "sees no spread", put(s, "busy" if s.spread else "adds", 1)
        elif at[0] == "in":
            if not (s.spread or s.folding or s.writer):
                t = self.locked(s, i)._replace(spread=True, count=s.count + BORROWED)
                yield "spreads", t
                yield "spreads to its P", t._replace(home=i + 1)
            if s.spread and s.home:
                yield "spreads further", self.locked(s, i)._replace(home=0)
            yield "goes", put(s, "leaves")
        elif at[0] == "leaves":
            yield "sees spread" if s.spread else "sees no spread", put(s, "busy" if s.spread else "adds", -1)
        elif at[0] == "busy":
            yield "is busy", put(self.store(s, i, "busy", 1), "looks", at[1])
        elif at[0] == "looks":
            ok = (s.spread and (s.home in (0, i + 1) or self.broken == "any-home")) or self.broken == "no-look"
            yield f"looks: {ok}", put(s, "counts" if ok else "retreats", at[1])
        elif at[0] == "counts":
            # From here a reader that comes is in, one that goes was in until now.
            yield "counts", put(self.store(s, i, "count", self.own_count(s, i) + at[1]), "rests", at[1])
        elif at[0] == "rests":
            yield "rests", self.arrive(self.store(s, i, "busy", 0), i, at[1])
        elif at[0] == "retreats":
            yield "retreats", put(self.store(s, i, "busy", 0), "adds", at[1])
        elif at[0] == "adds":
            t = self.locked(s, i)
            t = t._replace(count=t.count + at[1])
            if at[1] < 0 and t.writer:
                t = t._replace(leaving=t.leaving - 1)
            if at[1] > 0 and t.writer:
                yield "adds itself and waits", put(t, "waits")
            else:
                yield "adds itself", self.arrive(t, i, at[1])

    @staticmethod
    def arrive(s, i, by):
        if by > 0:
            return s._replace(readers=changed(s.readers, i, ("in",)))
        return s._replace(readers=changed(s.readers, i, ("out",)), turns=changed(s.turns, i, s.turns[i] + 1))

    def writer_steps(self, s, i):
        at = s.writers[i]

        def put(t, *then):
            return t._replace(writers=changed(t.writers, i, then))

        if at[0] == "comes":
            at_home = s.home == 1 and (i == 0 and self.has_proc(s) or self.broken == "far-home")
            t = self.locked(s, 0) if i == 0 and at_home else s
            if s.spread:
                yield "begins to gather", put(s._replace(spread=False, folding=True), "fences")
            if at_home and s.spread:  # try_lock()
                yield "begins to gather at home", put(t._replace(spread=False, folding=True), "sums", 0, 0)
            if at_home and (s.spread or self.broken == "blind-home"):
                total = t.count - BORROWED + t.counts[0]
                if total < 0:
                    raise Fault("less than no reader")
                t = t._replace(counts=changed(t.counts, 0, 0), count=total, spread=False, home=0, rest=1, writer=True,
                               leaving=t.leaving + total)
                yield "announces itself at home", put(t, "waits")
            if not s.writer and (self.broken == "or-writer" or not (s.spread or s.folding)):
                t = s._replace(writer=True, leaving=s.leaving + s.count)
                yield "announces itself", put(t, "waits")
        elif at[0] == "fences":
            t = s
            for r in range(len(s.readers)):
                if self.broken != "no-fence":
                    t = self.locked(t, r)
            yield "fences", put(t, "sums", 0, 0)
        elif at[0] == "sums":
            _, r, total = at
            if r == len(s.readers):
                t = s._replace(folding=False, home=0, rest=0, count=s.count + total - BORROWED)
                if t.count < 0:
                    raise Fault("less than no reader")
                yield "folds", put(t, "comes")
            elif s.busy[r] == 0 or self.broken == "no-wait":
                yield f"adds slot {r}", put(s._replace(counts=changed(s.counts, r, 0)), "sums", r + 1, total + s.counts[r])
        elif at[0] == "waits":
            if s.leaving == 0:
                yield "writes", put(s, "writes")
        elif at[0] == "writes":
            let_in = tuple(("in",) if r == ("waits",) else r for r in s.readers)
            if s.rest and s.count == 0:
                t = s._replace(writer=False, spread=True, home=s.rest, count=BORROWED)
                yield "leaves it as it was", put(t, "done")
            else:
                yield "leaves", put(s._replace(writer=False, rest=0, readers=let_in), "done")

    @staticmethod
    def has_proc(s):  # of the first reader
        return s.readers[0][0] not in ("looks", "counts", "rests", "retreats")


if __name__ == "__main__":
    sys.exit(try_all(Model, __doc__, ("no-fence", "no-wait", "no-look", "or-writer", "any-home", "far-home", "blind-home"), "readers", "writers"))
