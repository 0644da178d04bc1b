"""Goes through every state that a model's steps can lead to.

A model has `start`, a state (anything that can be a key), and `steps(state)`, which gives pairs of a step's name and
the state after it, or raises Fault. It may have `is_over(state)`: then every state must be able to lead to one that is.
"""

import argparse
from collections import deque


class Fault(Exception):
    pass


def way_to(reached, state):
    path = []
    while reached[state] is not None:
        name, before = reached[state]
        path.append(f"  {name:28} {state}")
        state = before
    return reversed(path)


def states_of(model):
    """How each state was reached first, and from which ones it is reached."""
    reached = {model.start: None}
    before = {model.start: []}
    to_do = deque([model.start])
    while to_do:
        state = to_do.popleft()
        try:
            for name, after in model.steps(state):
                if after not in reached:
                    reached[after] = (name, state)
                    before[after] = []
                    to_do.append(after)
                before[after].append(state)
        except Fault as fault:
            raise Fault("\n".join([*way_to(reached, state), str(fault)])) from None
    return reached, before


def check_ends(model, reached, before):
    can_end = {state for state in reached if model.is_over(state)}
    to_do = list(can_end)
    while to_do:
        for state in before[to_do.pop()]:
            if state not in can_end:
                can_end.add(state)
                to_do.append(state)
    for state in reached:  # in the order of their distance from the start
        if state not in can_end:
            raise Fault("\n".join([*way_to(reached, state), "it cannot end from here"]))


def explore(model):
    """The number of states, or a Fault that tells how to get there."""
    reached, before = states_of(model)
    if hasattr(model, "is_over"):
        check_ends(model, reached, before)
    return len(reached)


def try_all(make, description, changes, *sizes):
    """Explores the model that the command line asks for, prints what was found, and gives the exit status."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broken", choices=changes)
    for size in sizes:
        parser.add_argument(size, type=int)
    args = parser.parse_args()
    model = make(*(getattr(args, size) for size in sizes), args.broken)
    try:
        print(f"{explore(model)} states, no fault")
        return 1 if args.broken else 0
    except Fault as fault:
        print(fault)
        return 0 if args.broken else 1
