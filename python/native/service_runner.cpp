#include "service_runner.hpp"

#include <utility>

#include "pool.hpp"
#include "records.hpp"

namespace nb = nanobind;

namespace hardstop::python {

void python_runner::open() {
  call_python([&] {
    const nb::object pool = callbacks_.open.get()();
    pool_.emplace(pool);
    const std::scoped_lock lock(mutex_);
    handle_ = nb::inst_ptr<pool_object>(pool)->handle();
  });
}

// No future is made: nobody in Python looks at it, and its completion would need the GIL.
detail::job_handle python_runner::start(const taken_job& job, const std::string& tmpdir) {
  return call_python([&] {
    const nb::object call =
        callbacks_.call_for.get()(text_of(job.receipt.job), to_tuple(job.message),
                                  seconds_of(job.timeout), seconds_of(job.grace), text_of(tmpdir));
    const nb::object function = call[0];
    const nb::object arguments = call[1];
    const nb::object options = call[2];
    try {
      return nb::inst_ptr<pool_object>(pool_->get())
          ->start(function.ptr(), arguments.ptr(), options.ptr());
    } catch (const python_error&) {
      throw nb::python_error();
    }
  });
}

std::chrono::nanoseconds python_runner::grace_of(const taken_job& job) const {
  if (job.grace) return *job.grace;
  const auto found = graces_.find(job.message.name);
  return found == graces_.end() ? std::chrono::nanoseconds::zero() : found->second;
}

// Killing needs no GIL; only what Python remembers of the executor does, afterwards. Its memory
// goes back now, not when the service does.
void python_runner::close(std::chrono::nanoseconds within) {
  if (const auto pool = handle()) {
    pool->shutdown({.wait = true, .cancel_pending = true, .timeout = within});
    const std::scoped_lock lock(mutex_);
    last_stats_ = pool->stats();
    handle_.reset();
  }
  call_python([&] {
    callbacks_.close.get()();
    pool_.reset();
  });
}

std::optional<pool_stats> python_runner::stats() const {
  if (const auto pool = handle()) return pool->stats();
  const std::scoped_lock lock(mutex_);
  return last_stats_;
}

std::optional<detail::pool_handle> python_runner::handle() const {
  const std::scoped_lock lock(mutex_);
  return handle_;
}

}  // namespace hardstop::python
