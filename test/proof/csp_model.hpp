// What a program may do, from the rules of Go's channels alone: a sequential
// interpreter with states as plain values, and a search through all orders of
// steps and all choices. Written from the language's specification (the numbers
// CHAN-n in comments), not from our implementation: no locks, no wake-ups, no
// pointers, no fast paths.
//
// One step is one operation of one process: it takes place at one moment, or it
// queues its process. What that changes for others (who received, who was woken
// by close) happens in the same moment. That is enough: our operations claim to
// be atomic, and what a process does between two of them is seen by nobody.
#pragma once

#include "test/proof/csp_outcome.hpp"
#include "test/proof/csp_program.hpp"

#include <cstddef>
#include <string>
#include <unordered_set>

namespace vole::proof {

struct possibilities {
    std::unordered_set<std::string> outcomes;  ///< by outcome::key()
    std::size_t states = 0;
    bool complete = false;  ///< false: there were more states than allowed, and
                            ///< outcomes are missing
};

possibilities explore(const program& p, std::size_t most_states);

}  // namespace vole::proof
