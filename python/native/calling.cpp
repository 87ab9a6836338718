#include "calling.hpp"

#include <stdexcept>

#include "callbacks.hpp"
#include <hardstop/errors.hpp>

namespace nb = nanobind;

namespace hardstop::python {

namespace {

class kept_thread_state {
 public:
  kept_thread_state() : began_(take_gil()), state_(PyEval_SaveThread()) {}

  kept_thread_state(const kept_thread_state&) = delete;
  kept_thread_state& operator=(const kept_thread_state&) = delete;

  ~kept_thread_state() {
    take_gil_back(state_);
    PyGILState_Release(began_);
  }

 private:
  PyGILState_STATE began_;
  PyThreadState* state_;
};

}  // namespace

void keep_thread_state() {
  if (PyGILState_GetThisThreadState() == nullptr) {
    static thread_local kept_thread_state of_this_thread;
  }
}

std::string text_of(nb::python_error& raised) {
  const nb::handle value = raised.value();
  std::string text = nb::type_name(value.type()).c_str();
  const object words = object::steal(PyObject_Str(value.ptr()));
  const char* const utf8 = words ? PyUnicode_AsUTF8(words.get()) : nullptr;
  if (utf8 == nullptr) {
    PyErr_Clear();
    return text;
  }
  if (*utf8 != '\0') text.append(": ").append(utf8);
  return text;
}

void rethrow(nb::python_error& raised) {
  const object& refusal = the_callbacks().message_refused;
  if (refusal && raised.matches(refusal.get())) {
    const object words = object::steal(PyObject_Str(raised.value().ptr()));
    const char* const utf8 = words ? PyUnicode_AsUTF8(words.get()) : nullptr;
    if (utf8 != nullptr) throw message_refused(utf8);
    PyErr_Clear();
  }
  throw std::runtime_error(text_of(raised));
}

shared_callable::shared_callable(nb::handle callable)
    : callable_(callable.inc_ref().ptr(), [](PyObject* last) {
        const gil_taken gil;
        Py_DECREF(last);
      }) {}

}  // namespace hardstop::python
