// Semaphores and their permits, for the Python package.
#pragma once

#include "python.hpp"
#include <hardstop/needs.hpp>
#include <hardstop/stats.hpp>

namespace hardstop::python {

// Adds the classes SemaphoreCore and Permit to the extension module. Throws nanobind's errors.
void add_permits(PyObject* module);

// What a job needs, from a tuple of pairs (semaphore, count) or None. The semaphores must live
// until the job was submitted. Throws python_error.
needs needs_of(PyObject* pairs);

// Adds to a pool's statistics what its jobs shield. Throws python_error.
void add_shields(PyObject* told, const pool_stats& now);

}  // namespace hardstop::python
