// Everything: one include for a program that does not care which floor a name comes from.
#pragma once

#include <vole/chan.hpp>
#include <vole/context.hpp>
#include <vole/coro.hpp>
#include <vole/iter.hpp>
#include <vole/labels.hpp>
#include <vole/managed.hpp>
#include <vole/net.hpp>
#include <vole/panic.hpp>
#include <vole/runtime.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>
#include <vole/task.hpp>
#include <vole/time.hpp>
