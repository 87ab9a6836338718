#include "python.hpp"

#include <cxxabi.h>
#include <unistd.h>

namespace hardstop::python {

namespace {

[[noreturn]] void sleep_for_ever() {
  while (true)
    ::pause();
}

}  // namespace

// The handlers never end, so that the unwinding, which must not be stopped, never goes on either.
PyGILState_STATE take_gil() noexcept {
  try {
    return PyGILState_Ensure();
  } catch (const abi::__forced_unwind&) {
    sleep_for_ever();
  }
}

void take_gil_back(PyThreadState* state) noexcept {
  try {
    PyEval_RestoreThread(state);
  } catch (const abi::__forced_unwind&) {
    sleep_for_ever();
  }
}

}  // namespace hardstop::python
