// hardstop.Service in C++: the service's engine, with Python's hooks, log, sources and pool.
#pragma once

#include <nanobind/nanobind.h>

namespace hardstop::python {

// Adds the classes ServiceCore and KeptHandlers to the extension module.
void add_service(nanobind::module_& module);

}  // namespace hardstop::python
