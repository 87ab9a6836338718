// A pool, as the Python package sees it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "calls.hpp"
#include "python.hpp"
#include "python_language.hpp"
#include <hardstop/detail/engine.hpp>

namespace hardstop::python {

// Types that stand among the arguments of a call and are options of the job; and how they are read.
struct option_types {
  object timeout;         // ProcessTimeout, with .seconds
  object cancel_timeout;  // ProcessCancelTimeout
  object future;          // Future
  object dump_call;       // (pool's key, function, args, kwargs) -> (payload, buffers)
  object dump_arguments;  // (args, kwargs) -> (pickle, buffers) or None, if it is not that easy
  object name_function;   // (pool's key, function) -> blob or None, if it is not found by name
  object job_name;        // (function) -> str
};

option_types& the_option_types();

// Options of one job as Python's side keeps them: a tuple in this order, None for what is unset.
//   timeout, grace (seconds), priority, retries, max_memory (bytes), kill_leftovers, name,
//   needs (a tuple of pairs: semaphore, count)
class pool_object {
 public:
  pool_object(const pool_options& options, std::shared_ptr<python_language> language, object key);
  pool_object(const pool_object&) = delete;
  pool_object& operator=(const pool_object&) = delete;
  ~pool_object() = default;

  // Returns a future, or null with an exception set.
  PyObject* submit(PyObject* function, PyObject* args, PyObject* kwargs, PyObject* options);

  // Submits one for each tuple of arguments and appends its future to the list; false: a Python
  // exception is set, and the list has the futures of those before.
  bool submit_all(PyObject* function, PyObject* calls, PyObject* options, PyObject* futures);

  // A job of a service's: no future, whoever asked for it has the handle. The function must be one
  // that workers find by name, the arguments plain values. Throws python_error.
  detail::job_handle start(PyObject* function, PyObject* args, PyObject* options);

  [[nodiscard]] const detail::pool_handle& handle() const { return pool_; }

  // Does not wait.
  void shut_down(bool cancel_pending, std::optional<double> timeout);

  // Waits at most so long; true: everything is gone. Releases the GIL.
  bool wait_closed(double seconds);

  PyObject* stats() const;

  // The pids of the workers that take jobs, when as many are ready as are wanted; with `fill`, as
  // many as there may be. Releases the GIL. None if that takes longer than a worker may take to
  // start.
  PyObject* workers(bool fill) const;

  // Why the pool takes no jobs any more, or None.
  PyObject* broken() const;

  // Waits until some job has begun, or none can. Releases the GIL.
  PyObject* wait_begun();
  // A list of the futures whose end has not been told yet, oldest first.
  PyObject* unfinished() const;

 private:
  detail::job_handle submit_encoded(detail::encoder& payload, const job_options& options,
                                    std::string_view name);

  void forget_functions_of_the_past();

  // Null: workers cannot find it by a name.
  const function_table::known* find_by_name(PyObject* function);

  // From 1; never given twice in one process, nor to a copy of a forked one.
  static std::uint64_t next_number();

  detail::pool_handle pool_;
  std::shared_ptr<python_language> language_;
  object key_;  // what Python's side knows the pool by
  function_table functions_;
  unsigned births_seen_ = 0;
  std::uint64_t number_;
  bool may_block_;  // the queue has a bound, and submit() may wait for room
  bool started_ = false;
  detail::job_handle first_;  // until something is known to have begun
  std::chrono::nanoseconds start_timeout_;
};

}  // namespace hardstop::python
