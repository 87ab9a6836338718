// What came back from a job, in Python's terms.
#pragma once

#include "python.hpp"
#include <hardstop/detail/engine.hpp>

namespace hardstop::python {

// The result of a job that ended with a value or an exception; the latter is raised. Empty with an
// exception set, also if it cannot be read.
object load_result(const detail::job_handle& job);

// Gives the memory of a result back, unless parts of it are in use where they are: those hold it.
void release_result(const detail::job_handle& job);

// A dictionary: everything that is known of how a job ended.
object describe(const outcome& how);

}  // namespace hardstop::python
