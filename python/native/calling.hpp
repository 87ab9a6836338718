// Calling Python from the threads of a service, which are not Python's: with the GIL, and with
// exceptions that the service understands.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <string>
#include <utility>

#include "python.hpp"

namespace hardstop::python {

// For people: what was raised, as the last line of a traceback has it. With the GIL.
std::string text_of(nanobind::python_error& raised);

// Throws message_refused if the exception is a MessageRefusedError, std::runtime_error otherwise.
// With the GIL.
[[noreturn]] void rethrow(nanobind::python_error& raised);

// Makes the thread state that this thread is going to need again and again, unless it has one.
// PyGILState_Ensure() would make one for each call, and CPython maps memory for it and unmaps it,
// which stops every other thread for a moment: a third of what a job of a service cost. It ends
// with the thread.
void keep_thread_state();

// Runs body with the GIL. What it raises becomes a C++ exception with the same words.
template <class Body>
auto call_python(Body&& body) {
  keep_thread_state();
  const gil_taken gil;
  try {
    return body();
  } catch (nanobind::python_error& raised) {
    rethrow(raised);
  }
}

// A Python callable that C++ may copy, keep and drop in any thread.
class shared_callable {
 public:
  // With the GIL.
  explicit shared_callable(nanobind::handle callable);

  [[nodiscard]] nanobind::handle get() const { return callable_.get(); }

 private:
  std::shared_ptr<PyObject> callable_;
};

}  // namespace hardstop::python
