#include "service_source.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <pthread.h>

#include <utility>

#include "calling.hpp"
#include "records.hpp"

namespace nb = nanobind;

namespace hardstop::python {

void cancel_teller::use(callback tell) {
  const std::scoped_lock lock(mutex_);
  tell_ = std::move(tell);
}

void cancel_teller::tell(const receipt& which) const {
  const std::scoped_lock lock(mutex_);
  if (tell_) tell_(which);
}

python_source::python_source(object implementation, source_traits traits)
    : implementation_(std::move(implementation)),
      traits_(std::move(traits)),
      forwarder_([this] { pass_interrupts_on(); }) {}

python_source::~python_source() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  forwarder_.join();
  const gil_taken gil;
  implementation_ = {};
}

void python_source::interrupt() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    interrupted_ = true;
  }
  changed_.notify_one();
}

void python_source::pass_interrupts_on() {
  pthread_setname_np(pthread_self(), "hs-interrupter");
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return interrupted_ || ending_; });
    if (ending_) return;
    interrupted_ = false;
    lock.unlock();
    {
      const gil_taken gil;
      try {
        nb::handle(implementation_.get()).attr("interrupt")();
      } catch (nb::python_error& error) {
        error.discard_as_unraisable("hardstop: interrupting a source");
      }
    }
    lock.lock();
  }
}

taking python_source::take(std::size_t at_most, std::chrono::nanoseconds patience) {
  return call_python([&] {
    const nb::object got =
        nb::handle(implementation_.get())
            .attr("take")(at_most, std::chrono::duration<double>(patience).count());
    taking all{.exhausted = nb::cast<bool>(got[1])};
    for (const nb::handle each : nb::object(got[0]))
      all.jobs.push_back(taken_from(each));
    return all;
  });
}

std::vector<receipt> python_source::extend(std::span<const receipt> leases) {
  if (!traits_.settles) return {};
  return call_python([&] {
    return receipts_from(nb::handle(implementation_.get()).attr("extend")(to_list(leases)));
  });
}

std::vector<receipt> python_source::ack(std::span<const receipt> done) {
  if (!traits_.settles) return {};
  return call_python(
      [&] { return receipts_from(nb::handle(implementation_.get()).attr("ack")(to_list(done))); });
}

std::vector<receipt> python_source::nack(std::span<const nacked_job> jobs) {
  if (!traits_.settles) return {};
  return call_python([&] {
    nb::list all;
    for (const nacked_job& each : jobs)
      all.append(to_tuple(each));
    return receipts_from(nb::handle(implementation_.get()).attr("nack")(all));
  });
}

void python_source::on_cancel(std::function<void(const receipt&)> tell) {
  const bool over = !tell;
  teller_->use(std::move(tell));
  call_python([&] {
    nb::object callback = nb::none();
    if (!over) {
      callback = nb::cpp_function([teller = teller_](const std::string& job, unsigned attempt) {
        teller->tell({.job = job, .attempt = attempt});
      });
    }
    nb::handle(implementation_.get()).attr("on_cancel")(callback);
  });
}

}  // namespace hardstop::python
