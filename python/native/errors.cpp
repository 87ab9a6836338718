#include "errors.hpp"

#include <new>

#include "callbacks.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::python {

namespace {

void raise(const char* kind, const char* what) {
  const object made =
      object::steal(PyObject_CallFunction(the_callbacks().engine_errors.get(), "ss", kind, what));
  if (made) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.get())), made.get());
}

}  // namespace

object take_raised() noexcept {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace != nullptr && value != nullptr) PyException_SetTraceback(value, trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  return object::steal(value);
}

void set_exception_in_flight() noexcept {
  try {
    throw;
  } catch (const pool_closed& e) {
    raise("pool_closed", e.what());
  } catch (const pool_broken& e) {
    raise("pool_broken", e.what());
  } catch (const queue_full& e) {
    raise("queue_full", e.what());
  } catch (const bad_options& e) {
    raise("bad_options", e.what());
  } catch (const would_deadlock& e) {
    raise("would_deadlock", e.what());
  } catch (const queue_failure& e) {
    raise("queue_failure", e.what());
  } catch (const message_refused& e) {
    raise("message_refused", e.what());
  } catch (const error& e) {
    raise("error", e.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
}

}  // namespace hardstop::python
