// Locks and groups for goroutines and ordinary threads alike. A goroutine that waits parks; its P
// goes on. Unless a header says otherwise: no allocation; waiters lie on the waiting stacks. All types can be
// namespace-scope constants of the program: constexpr construction, trivial destruction, usable before run().
// Neither copyable nor movable.
#pragma once

#include <vole/atomic.hpp>
#include <vole/atomic_pair.hpp>
#include <vole/cond.hpp>
#include <vole/mutex.hpp>
#include <vole/once.hpp>
#include <vole/pool.hpp>
#include <vole/rw_mutex.hpp>
#include <vole/semaphore.hpp>
#include <vole/single_flight.hpp>
#include <vole/sync_map.hpp>
#include <vole/task_group.hpp>
#include <vole/wait_group.hpp>
