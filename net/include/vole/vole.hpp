// Everything: one include for a program that does not care which floor a name comes from.
#pragma once

#include <vole/chan.hpp>
#include <vole/net.hpp>
#include <vole/panic.hpp>
#include <vole/runtime.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>
#include <vole/time.hpp>
