// From the engine's exceptions to Python's.
#pragma once

#include "python.hpp"

namespace hardstop::python {

// Sets the Python exception for the C++ one that is being handled.
void set_exception_in_flight() noexcept;

// What is raised now, with its traceback; nothing is raised any more.
object take_raised() noexcept;

// Runs body; what it throws becomes a Python exception, and null is returned.
template <class Body>
PyObject* translated(Body&& body) noexcept {
  try {
    return body();
  } catch (const python_error&) {
    return nullptr;
  } catch (...) {
    set_exception_in_flight();
    return nullptr;
  }
}

}  // namespace hardstop::python
