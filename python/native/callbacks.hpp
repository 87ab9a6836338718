// What the C++ side calls in the Python package: given once, when the package is imported.
#pragma once

#include "python.hpp"

namespace hardstop::python {

struct callbacks {
  object make_condition;      // () -> threading.Condition
  object load_result;         // (payload, segments) -> result, or the exception of the job
  object explain;             // (future, outcome) -> (state, exception)
  object publish;             // (future, state, result, exception): with the condition held
  object report_callback;     // (future): a done callback raised; logs it
  object engine_errors;       // (kind, message) -> exception
  object dump_result;         // (result) -> (payload, buffers)
  object dump_exception;      // (exception) -> payload
  object load_call;           // (payload, segments) -> (function, args, kwargs)
  object load_function;       // (blob) -> function
  object unreadable_call;     // (exception of unpickling) -> exception
  object worker_main;         // (number, guardian's pid, runtime): a worker's life
  object answer_signal;       // (signal, file): faulthandler answers it there
  object worker_initialize;   // () -> None or (type, text)
  object rehearsal;           // the pickle of a function of no arguments that does nothing
  object guardian_main;       // (runtime): preloads
  object runs_in_event_loop;  // () -> whether this thread must not be blocked
  object before_fork;         // ()
  object message_refused;     // the class MessageRefusedError
};

// Filled by the module; empty until then. Never destroyed.
callbacks& the_callbacks();

// The states of concurrent.futures, interned.
struct state_names {
  PyObject* pending;
  PyObject* cancelled;
  PyObject* finished;
};

const state_names& states();

}  // namespace hardstop::python
