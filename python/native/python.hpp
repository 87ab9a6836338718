// Owned references and the GIL, for code that speaks Python's C interface.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <utility>

namespace hardstop::python {

// One strong reference. The GIL is held wherever one is copied or destroyed.
class object {
 public:
  object() noexcept = default;

  // Takes over a reference; null means that a Python exception is set.
  static object steal(PyObject* adopted) noexcept { return object(adopted); }

  static object borrow(PyObject* shared) noexcept { return object(Py_XNewRef(shared)); }

  object(object&& other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}

  object(const object& other) noexcept : pointer_(Py_XNewRef(other.pointer_)) {}

  object& operator=(object other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }

  ~object() { Py_XDECREF(pointer_); }

  explicit operator bool() const noexcept { return pointer_ != nullptr; }

  [[nodiscard]] PyObject* get() const noexcept { return pointer_; }

  [[nodiscard]] PyObject* release() noexcept { return std::exchange(pointer_, nullptr); }

 private:
  explicit object(PyObject* pointer) noexcept : pointer_(pointer) {}

  PyObject* pointer_ = nullptr;
};

// Thrown by C++ that met a Python exception, which stays set.
struct python_error {};

inline object checked(PyObject* made) {
  if (made == nullptr) throw python_error();
  return object::steal(made);
}

// As PyGILState_Ensure and PyEval_RestoreThread. But a thread that asks for the GIL of an
// interpreter that is being finalized sleeps until the process ends, as from CPython 3.14 on:
// before, CPython ends it by pthread_exit(), which would destroy our objects without the GIL, or
// abort the process at the first noexcept frame.
PyGILState_STATE take_gil() noexcept;
void take_gil_back(PyThreadState* state) noexcept;

// Takes the GIL in a thread that may be Python's or not.
class gil_taken {
 public:
  gil_taken() : state_(take_gil()) {}

  gil_taken(const gil_taken&) = delete;
  gil_taken& operator=(const gil_taken&) = delete;

  ~gil_taken() { PyGILState_Release(state_); }

 private:
  PyGILState_STATE state_;
};

// Lets others have it.
class gil_released {
 public:
  gil_released() : state_(PyEval_SaveThread()) {}

  gil_released(const gil_released&) = delete;
  gil_released& operator=(const gil_released&) = delete;

  ~gil_released() { take_gil_back(state_); }

 private:
  PyThreadState* state_;
};

// Runs body, which may wait for long or need a lock of somebody who waits for the GIL.
template <class Body>
auto without_gil(Body&& body) {
  const gil_released others_run;
  return body();
}

}  // namespace hardstop::python
