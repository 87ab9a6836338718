#include "pool.hpp"

#include <cmath>
#include <thread>

#include "callbacks.hpp"
#include "codec.hpp"
#include "completer.hpp"
#include "errors.hpp"
#include "future_core.hpp"
#include "permits.hpp"
#include "seconds.hpp"

namespace hardstop::python {

namespace {

std::chrono::nanoseconds as_duration(PyObject* seconds) {
  const double value = PyFloat_AsDouble(seconds);
  if (value == -1.0 && PyErr_Occurred() != nullptr) throw python_error();
  if (std::isnan(value)) {
    PyErr_SetString(PyExc_ValueError, "a time limit is not a number");
    throw python_error();
  }
  return to_duration(value);
}

object seconds_of(PyObject* option) {
  return checked(PyObject_GetAttrString(option, "seconds"));
}

[[noreturn]] void given_twice(const char* what) {
  PyErr_Format(PyExc_TypeError, "%s was given twice for one job: which one is meant?", what);
  throw python_error();
}

// The options of one job, put together from those of the executor's view and those of the call.
class chosen_options {
 public:
  explicit chosen_options(PyObject* given) {
    if (given == nullptr || given == Py_None) return;
    const auto at = [&](Py_ssize_t index) { return PyTuple_GET_ITEM(given, index); };
    if (at(0) != Py_None) options_.timeout = as_duration(at(0));
    if (at(1) != Py_None) options_.grace = as_duration(at(1));
    options_.priority = number<int>(at(2));
    options_.retries = number<unsigned>(at(3));
    options_.max_memory = number<std::uint64_t>(at(4));
    if (PyObject_IsTrue(at(5)) == 1) options_.leftovers = leftovers::kill;
    if (at(6) != Py_None) name_ = object::borrow(at(6));
    options_.needs = needs_of(at(7));
  }

  void set_timeout(PyObject* seconds) {
    if (std::exchange(has_timeout_, true)) given_twice("ProcessTimeout");
    options_.timeout = as_duration(seconds);
  }

  void set_grace(PyObject* seconds) {
    if (std::exchange(has_grace_, true)) given_twice("ProcessCancelTimeout");
    options_.grace = as_duration(seconds);
  }

  // In front of a call: the worker is told its time, for current_job().deadline.
  void write_limit(detail::encoder& into) const {
    if (!options_.timeout) return;
    into.append_value(format::timed);
    into.append_value(std::chrono::duration<double>(*options_.timeout).count());
  }

  // The view lives as long as this.
  const job_options& get() {
    if (name_) {
      Py_ssize_t size = 0;
      const char* text = PyUnicode_AsUTF8AndSize(name_.get(), &size);
      if (text == nullptr) throw python_error();
      options_.name = {text, static_cast<std::size_t>(size)};
    }
    return options_;
  }

 private:
  template <class T>
  static T number(PyObject* value) {
    if (value == Py_None) return T{};
    const long long read = PyLong_AsLongLong(value);
    if (read == -1 && PyErr_Occurred() != nullptr) throw python_error();
    return static_cast<T>(read);
  }

  job_options options_;
  object name_;
  bool has_timeout_ = false;
  bool has_grace_ = false;
};

bool is_option(PyObject* value) {
  const option_types& types = the_option_types();
  auto* type = reinterpret_cast<PyObject*>(Py_TYPE(value));
  return type == types.timeout.get() || type == types.cancel_timeout.get();
}

void take_option(PyObject* option, chosen_options& into) {
  const object seconds = seconds_of(option);
  if (reinterpret_cast<PyObject*>(Py_TYPE(option)) == the_option_types().timeout.get()) {
    into.set_timeout(seconds.get());
  } else {
    into.set_grace(seconds.get());
  }
}

// The arguments without the options that stand among them.
object take_positional_options(PyObject* args, chosen_options& into) {
  const Py_ssize_t count = PyTuple_GET_SIZE(args);
  Py_ssize_t options = 0;
  for (Py_ssize_t at = 0; at < count; ++at) {
    PyObject* each = PyTuple_GET_ITEM(args, at);
    if (!is_option(each)) continue;
    ++options;
    take_option(each, into);
  }
  if (options == 0) return object::borrow(args);
  object rest = checked(PyTuple_New(count - options));
  Py_ssize_t next = 0;
  for (Py_ssize_t at = 0; at < count; ++at) {
    PyObject* each = PyTuple_GET_ITEM(args, at);
    if (!is_option(each)) PyTuple_SET_ITEM(rest.get(), next++, Py_NewRef(each));
  }
  return rest;
}

// An instance or a number, under a keyword.
void take_keyword(PyObject* kwargs, const char* name, const object& type, const char* what,
                  void (chosen_options::*set)(PyObject*), chosen_options& into) {
  const object found = object::borrow(PyDict_GetItemString(kwargs, name));
  if (!found) return;
  if (PyDict_DelItemString(kwargs, name) != 0) throw python_error();
  if (found.get() == Py_None) return;
  if (reinterpret_cast<PyObject*>(Py_TYPE(found.get())) == type.get()) {
    (into.*set)(seconds_of(found.get()).get());
  } else if (PyFloat_Check(found.get()) || PyLong_Check(found.get())) {
    const object checked_value = checked(PyObject_CallOneArg(type.get(), found.get()));
    (into.*set)(seconds_of(checked_value.get()).get());
  } else {
    PyErr_Format(PyExc_TypeError, "%s=%R: give %s or a number of seconds", name, found.get(), what);
    throw python_error();
  }
}

// kwargs is the callee's own: a fresh dictionary of a ** call.
void take_keyword_options(PyObject* kwargs, chosen_options& into) {
  if (kwargs == nullptr || kwargs == Py_None || PyDict_GET_SIZE(kwargs) == 0) return;
  const option_types& types = the_option_types();
  take_keyword(kwargs, "timeout_", types.timeout, "a ProcessTimeout", &chosen_options::set_timeout,
               into);
  take_keyword(kwargs, "after_cancel_timeout_", types.cancel_timeout, "a ProcessCancelTimeout",
               &chosen_options::set_grace, into);
}

using clock = std::chrono::steady_clock;

constexpr auto time_to_take_a_job = std::chrono::milliseconds(20);

// Asks again and again, with the GIL released, until the answer is true or the time is over. Signal
// handlers run in between and may raise.
template <class Predicate>
bool look_until(const clock::time_point& give_up, Predicate&& answer) {
  while (true) {
    bool yes = false;
    {
      const gil_released others_run;
      yes = answer();
      if (!yes) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (yes) return true;
    if (clock::now() >= give_up) return false;
    if (PyErr_CheckSignals() != 0) throw python_error();
  }
}

bool has_items(PyObject* kwargs) {
  return kwargs != nullptr && kwargs != Py_None && PyDict_GET_SIZE(kwargs) != 0;
}

// As errors and the log call its jobs.
std::string job_name(PyObject* function) {
  const object name = checked(PyObject_CallOneArg(the_option_types().job_name.get(), function));
  const char* text = PyUnicode_AsUTF8(name.get());
  if (text == nullptr) throw python_error();
  return text;
}

bool in_event_loop() {
  const object answer = checked(PyObject_CallNoArgs(the_callbacks().runs_in_event_loop.get()));
  return answer.get() == Py_True;
}

}  // namespace

std::uint64_t pool_object::next_number() {
  static std::uint64_t last = 0;  // with the GIL
  return ++last;
}

option_types& the_option_types() {
  static auto* const types = new option_types();
  return *types;
}

pool_object::pool_object(const pool_options& options, std::shared_ptr<python_language> language,
                         object key)
    : pool_(options, language),
      language_(std::move(language)),
      key_(std::move(key)),
      number_(next_number()),
      may_block_(options.max_pending != 0),
      start_timeout_(options.start_timeout) {}

detail::job_handle pool_object::submit_encoded(detail::encoder& payload, const job_options& options,
                                               std::string_view name) {
  const detail::submission what{.function = {},
                                .arguments = payload,
                                .options = options,
                                .stop_token = detail::stop_token_use::none,
                                .default_name = name,
                                .may_wait = !may_block_ || !in_event_loop()};
  if (started_ && !may_block_) return pool_.submit(what);
  // The first one waits for a guardian, who may need the GIL to be born.
  completer::instance().start();
  detail::job_handle job;
  {
    const gil_released others_run;
    job = pool_.submit(what);
  }
  if (!std::exchange(started_, true)) first_ = job;
  return job;
}

void pool_object::forget_functions_of_the_past() {
  const unsigned births = language_->births();
  if (births == births_seen_) return;
  // Workers of another guardian may have other functions under these names.
  if (births_seen_ != 0) functions_.clear();
  births_seen_ = births;
}

const function_table::known* pool_object::find_by_name(PyObject* function) {
  forget_functions_of_the_past();
  if (const auto* const known = functions_.find(function)) return known;
  const object blob = checked(PyObject_CallFunctionObjArgs(the_option_types().name_function.get(),
                                                           key_.get(), function, nullptr));
  if (!PyBytes_Check(blob.get())) return nullptr;
  functions_.note(function, blob.get(), job_name(function));
  return functions_.find(function);
}

PyObject* pool_object::submit(PyObject* function, PyObject* args, PyObject* kwargs,
                              PyObject* given) {
  return translated([&]() -> PyObject* {
    chosen_options options(given);
    const object rest = take_positional_options(args, options);
    take_keyword_options(kwargs, options);
    const option_types& python = the_option_types();

    const function_table::known* const known = find_by_name(function);
    object future = checked(PyObject_CallNoArgs(python.future.get()));
    const auto send = [&](detail::encoder& payload) {
      const auto name = known != nullptr ? known->name : lasting_name(job_name(function));
      attach(future.get(), submit_encoded(payload, options.get(), name), number_);
      return future.release();
    };
    if (known != nullptr && !has_items(kwargs)) {
      detail::encoder payload;
      options.write_limit(payload);
      if (write_plain_call(known->blob.get(), rest.get(), payload)) return send(payload);
    }

    const object keywords = has_items(kwargs) ? object::borrow(kwargs) : checked(PyDict_New());
    object pickled = object::borrow(Py_None);
    if (known != nullptr) {
      pickled = object::steal(PyObject_CallFunctionObjArgs(python.dump_arguments.get(), rest.get(),
                                                           keywords.get(), nullptr));
    }
    // None: there is something among them that only the pickle of a whole call can carry.
    const bool whole = pickled.get() == Py_None;
    if (whole) {
      pickled = object::steal(PyObject_CallFunctionObjArgs(
          python.dump_call.get(), key_.get(), function, rest.get(), keywords.get(), nullptr));
    }
    if (!pickled) {
      fail_with_what_is_raised(future.get());
      return future.release();
    }
    const pickled_call call(pickled.get());
    detail::encoder payload;
    options.write_limit(payload);
    if (!whole) write_function(format::pickled_call, known->blob.get(), payload);
    call.write(payload);
    return send(payload);
  });
}

detail::job_handle pool_object::start(PyObject* function, PyObject* args, PyObject* given) {
  chosen_options options(given);
  const function_table::known* const known = find_by_name(function);
  detail::encoder payload;
  options.write_limit(payload);
  if (known == nullptr || !write_plain_call(known->blob.get(), args, payload)) {
    PyErr_SetString(PyExc_TypeError, "a service's job is not a named function and plain values");
    throw python_error();
  }
  return submit_encoded(payload, options.get(), known->name);
}

bool pool_object::submit_all(PyObject* function, PyObject* calls, PyObject* options,
                             PyObject* futures) {
  constexpr unsigned often = 256;  // others run, and signal handlers
  for (unsigned count = 1;; ++count) {
    const object args = object::steal(PyIter_Next(calls));
    if (!args) return PyErr_Occurred() == nullptr;
    const object future = object::steal(submit(function, args.get(), nullptr, options));
    if (!future || PyList_Append(futures, future.get()) != 0) return false;
    if (count % often != 0) continue;
    { const gil_released others_run; }
    if (PyErr_CheckSignals() != 0) return false;
  }
}

void pool_object::shut_down(bool cancel_pending, std::optional<double> timeout) {
  shutdown_options how{.wait = false, .cancel_pending = cancel_pending, .timeout = {}};
  if (timeout) how.timeout = to_duration(std::max(*timeout, 0.0));
  const gil_released others_run;
  pool_.shutdown(how);
}

bool pool_object::wait_closed(double seconds) {
  const auto until = std::chrono::steady_clock::now() + to_duration(std::max(seconds, 0.0));
  const gil_released others_run;
  return pool_.wait_closed(until);
}

PyObject* pool_object::workers(bool fill) const {
  return translated([&]() -> PyObject* {
    const auto give_up = clock::now() + start_timeout_;
    detail::pool_roster all;
    const bool complete = look_until(give_up, [&] {
      all = pool_.roster(fill);
      return all.pids.size() >= all.wanted || !all.broken.empty();
    });
    if (!complete) Py_RETURN_NONE;
    object list = checked(PyList_New(0));
    for (const int pid : all.pids) {
      const object number = checked(PyLong_FromLong(pid));
      if (PyList_Append(list.get(), number.get()) != 0) throw python_error();
    }
    return list.release();
  });
}

PyObject* pool_object::broken() const {
  return translated([&]() -> PyObject* {
    const std::string why = pool_.roster(false).broken;
    if (why.empty()) Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(why.data(), static_cast<Py_ssize_t>(why.size()), "replace");
  });
}

PyObject* pool_object::wait_begun() {
  return translated([&]() -> PyObject* {
    if (!first_) Py_RETURN_NONE;
    auto give_up = clock::now() + start_timeout_;
    bool worker_seen = false;
    static_cast<void>(look_until(give_up, [&] {
      if (!worker_seen && pool_.stats().started != 0) {
        worker_seen = true;
        // It takes a job at once; if not the first one, then one of a higher priority.
        give_up = std::min(give_up, clock::now() + time_to_take_a_job);
      }
      return first_.state() != job_state::queued;
    }));
    first_ = {};
    Py_RETURN_NONE;
  });
}

PyObject* pool_object::unfinished() const {
  return unfinished_of(number_);
}

PyObject* pool_object::stats() const {
  return translated([&]() -> PyObject* {
    const pool_stats now = pool_.stats();
    object all = checked(Py_BuildValue(
        "{s:n,s:n,s:n,s:n,s:n,s:K,s:K,s:K,s:K,s:K,s:{s:K,s:K,s:K,s:K,s:K,s:K,s:K}}", "queued",
        static_cast<Py_ssize_t>(now.queued + now.in_lanes), "running",
        static_cast<Py_ssize_t>(now.running), "workers", static_cast<Py_ssize_t>(now.workers),
        "spares", static_cast<Py_ssize_t>(now.spares), "starting",
        static_cast<Py_ssize_t>(now.starting), "submitted",
        static_cast<unsigned long long>(now.submitted), "kills",
        static_cast<unsigned long long>(now.kills), "started",
        static_cast<unsigned long long>(now.started), "respawns",
        static_cast<unsigned long long>(now.respawns), "recycled",
        static_cast<unsigned long long>(now.recycled), "ended", "value",
        static_cast<unsigned long long>(now.ended.value), "exception",
        static_cast<unsigned long long>(now.ended.exception), "cancelled",
        static_cast<unsigned long long>(now.ended.cancelled), "timed_out",
        static_cast<unsigned long long>(now.ended.timed_out), "worker_died",
        static_cast<unsigned long long>(now.ended.worker_died), "memory_limit",
        static_cast<unsigned long long>(now.ended.memory_limit), "not_started",
        static_cast<unsigned long long>(now.ended.not_started)));
    add_shields(all.get(), now);
    return all.release();
  });
}

}  // namespace hardstop::python
