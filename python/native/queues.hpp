// Queues and journals, for the Python package.
#pragma once

#include <nanobind/nanobind.h>

#include <hardstop/source.hpp>

namespace hardstop::python {

// Adds the classes QueueCore, MemoryQueueCore and JournalCore to the extension module.
void add_queues(nanobind::module_& module);

// The C++ source that a Python object is; null: it is none.
source* native_source(nanobind::handle object);

}  // namespace hardstop::python
