// What came back from a job, in Python's terms.
#pragma once

#include "python.hpp"
#include <hardstop/detail/engine.hpp>

namespace hardstop::python {

// One of the two; or neither, with a Python exception set, if what came back cannot be read.
struct loaded_result {
  object value;
  object exception;  // the job's own
};

// The result of a job that ended with a value or an exception. Runs Python code.
loaded_result load_result(const detail::job_handle& job);

// Gives the memory of a result back, unless parts of it are in use where they are: those hold it.
void release_result(const detail::job_handle& job);

// A dictionary: everything that is known of how a job ended.
object describe(const outcome& how);

}  // namespace hardstop::python
