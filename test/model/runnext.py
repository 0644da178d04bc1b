#!/usr/bin/env python3
"""Tries all orders of the steps by which an owner and thieves use the slot of runtime/src/sched/runnext.hpp.

    runnext.py [--broken CHANGE] GOROUTINES THIEVES

The owner fills and empties the slot for ever, in any order; thieves steal for ever. Memory is that of an amd64 CPU: a
plain store of the owner waits in its buffer, read by itself at once and by others later; what is locked, and a
thief's membarrier, empties the buffer. In every state that can be reached, nobody takes a goroutine that another one
has taken, and while everybody rests, a goroutine is in the slot if and only if it was put in and not taken out.

Exit status: 0 if so; 1 with the steps that lead to the first fault. --broken makes a change that must lead to one,
and turns the status round:
    no-fence     a thief does without the membarrier
    no-look      the owner does not look at the claim before it fills the slot
    forget       the owner clears a completed claim whatever it is of
"""

import sys

from explore import Fault, try_all

FREE = 0  # a claim that nobody has
longest_buffer = 4


def stolen(goroutine):
    return ("stolen", goroutine)


def is_complete(claim):
    return claim != FREE and claim[0] == "stolen"


class Model:
    """A state is (slot, claim, buffer, out, owner, thieves). `out`: the goroutines that have been put in and not been
    taken out. Owner and thieves are tuples: the next step, then what they hold. The steps' names are those
    of runnext.hpp (P1.., T1..); the owner's when it fills: F0 looks, F1 exchanges, F2 looks again."""

    def __init__(self, goroutines, thieves, broken):
        self.goroutines = range(1, goroutines + 1)
        self.start = (0, FREE, (), frozenset(), ("rest",), (("T0",),) * thieves)
        self.broken = broken

    @staticmethod
    def settled(state):
        """Slot and claim once the buffer is empty."""
        slot, claim, buffer = state[:3]
        for word, value in buffer:
            if word == "slot":
                slot = value
            else:
                claim = value
        return slot, claim

    @staticmethod
    def take(out, goroutine):
        if goroutine == 0:
            return out
        if goroutine not in out:
            raise Fault(f"goroutine {goroutine} is taken twice")
        return out - {goroutine}

    def check(self, state):
        owner, thieves = state[4], state[5]
        if owner[0] != "rest" or any(t[0] not in ("T0", "T1") for t in thieves):
            return
        slot, claim = self.settled(state)
        for g in self.goroutines:
            there = slot == g and claim != stolen(g)
            if there != (g in state[3]):
                raise Fault(f"goroutine {g} is lost" if not there else f"goroutine {g} is still there")

    def steps(self, state):
        for name, after in self.all_steps(state):
            if len(after[2]) <= longest_buffer:
                yield name, after

    def all_steps(self, state):
        self.check(state)
        slot, claim, buffer, out, owner, thieves = state
        if buffer:
            (word, value), rest = buffer[0], buffer[1:]
            drained = (value, claim) if word == "slot" else (slot, value)
            yield "a store arrives", (*drained, rest, out, owner, thieves)
        for name, after in self.owner_steps(state):
            yield "owner " + name, after
        for i, thief in enumerate(thieves):
            for name, (now_slot, now_claim, now_buffer, now_out, then) in self.thief_steps(state, i, thief):
                others = thieves[:i] + (then,) + thieves[i + 1:]
                yield f"thief {i} {name}", (now_slot, now_claim, now_buffer, now_out, owner, others)

    def owner_steps(self, state):
        slot, claim, buffer, out, owner, thieves = state
        own_slot, own_claim = self.settled(state)  # it reads its own stores
        step, held = owner[0], owner[1:]

        def plain(then, now_out=out, stores=()):
            return slot, claim, buffer + stores, now_out, then, thieves

        rest = ("rest",)
        if step == "rest":
            for g in self.goroutines:
                if g not in out:
                    yield f"fills with {g}", plain(("F0", g), out | {g})
            yield "empties", plain(("P1",))
        elif step == "F0":
            complete = is_complete(own_claim) and self.broken != "no-look"
            yield "F0", plain(("F1", held[0], own_claim if complete else FREE))
        elif step == "F1":
            g, before = held
            then = ("F3", before) if before != FREE else ("F2", own_slot, g)
            yield "F1", (g, own_claim, (), out, then, thieves)
        elif step == "F3":  # replace_stolen
            yield "F3", plain(rest, stores=(("claim", FREE),))
        elif step == "F2":
            old, new = held
            then = ("resolve", old, new, own_claim)
            yield "F2", plain(rest, self.take(out, old)) if own_claim == FREE else plain(then)
        elif step == "P1":
            yield "P1", plain(("P2", own_slot) if own_slot != 0 else rest)
        elif step == "P2":
            yield "P2", plain(("P3", held[0]), stores=(("slot", 0),))
        elif step == "P3":
            g = held[0]
            then = ("resolve", g, 0, own_claim)
            yield "P3", plain(rest, self.take(out, g)) if own_claim == FREE else plain(then)
        elif step == "resolve":
            g, new, seen = held
            if seen == FREE:
                yield "finds no claim", plain(rest, self.take(out, g))
            elif not is_complete(seen):
                if own_claim == seen:
                    yield "withdraws", (own_slot, FREE, (), self.take(out, g), rest, thieves)
                else:
                    yield "looks again", (own_slot, own_claim, (), out, ("resolve", g, new, own_claim), thieves)
            elif seen == stolen(new) and self.broken != "forget":
                yield "leaves the claim", plain(rest, self.take(out, g))
            else:
                kept = 0 if seen == stolen(g) else g
                yield "clears the claim", plain(rest, self.take(out, kept), (("claim", FREE),))

    def thief_steps(self, state, number, thief):
        slot, claim, buffer, out = state[:4]
        mine = ("claimed", number)
        step, seen = thief[0], thief[-1]
        again = ("T0",)
        if step == "T0":
            if slot != 0:
                yield f"sees {slot}", (slot, claim, buffer, out, ("T1", slot))
        elif step == "T1":
            if claim == FREE:
                yield "T1", (slot, mine, buffer, out, ("T2", seen))
            else:
                yield "T1 in vain", (slot, claim, buffer, out, again)
        elif step == "T2":
            if self.broken == "no-fence":
                yield "goes on", (slot, claim, buffer, out, ("T3", seen))
            else:
                yield "T2", (*self.settled(state), (), out, ("T3", seen))
        elif step == "T3":
            if slot == seen:
                yield "T3", (slot, claim, buffer, out, ("T4", seen))
            else:
                yield "T3 in vain", (slot, FREE if claim == mine else claim, buffer, out, again)
        elif step == "T4":
            if claim == mine:
                yield "T4", (slot, stolen(seen), buffer, out, ("T5", seen))
            else:
                yield "T4 in vain", (slot, claim, buffer, out, again)
        elif step == "T5":
            yield "T5", (0 if slot == seen else slot, claim, buffer, self.take(out, seen), again)


if __name__ == "__main__":
    sys.exit(try_all(Model, __doc__, ("no-fence", "no-look", "forget"), "goroutines", "thieves"))
