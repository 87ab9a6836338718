// A source of jobs that is written in Python.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "python.hpp"
#include <hardstop/source.hpp>

namespace hardstop::python {

// How Python's side describes it once, so that the service's core never has to ask.
struct source_traits {
  std::string description;
  bool leases = true;
  bool settles = true;  // wants to be told what became of its jobs
};

// What a source was given to tell of cancels with; keeps quiet once the service is over, whoever
// still has it.
class cancel_teller {
 public:
  using callback = std::function<void(const receipt&)>;

  void use(callback tell);
  void tell(const receipt& which) const;

 private:
  mutable std::mutex mutex_;
  callback tell_;
};

// Calls Python's object with the GIL, each in the thread that the service has for such calls.
// interrupt() comes from the service's core, which must never wait for the GIL: a thread of our own
// passes it on.
class python_source final : public source {
 public:
  // `implementation`: what _sources.py makes of any source. Made and destroyed without the GIL.
  python_source(object implementation, source_traits traits);
  ~python_source() override;

  taking take(std::size_t at_most, std::chrono::nanoseconds patience) override;
  void interrupt() noexcept override;
  std::vector<receipt> extend(std::span<const receipt> leases) override;
  std::vector<receipt> ack(std::span<const receipt> done) override;
  std::vector<receipt> nack(std::span<const nacked_job> jobs) override;
  void on_cancel(std::function<void(const receipt&)> tell) override;

  [[nodiscard]] std::string describe() const override { return traits_.description; }

  [[nodiscard]] bool leases() const noexcept override { return traits_.leases; }

 private:
  void pass_interrupts_on();

  object implementation_;
  const source_traits traits_;
  std::shared_ptr<cancel_teller> teller_ = std::make_shared<cancel_teller>();

  std::mutex mutex_;
  std::condition_variable changed_;
  bool interrupted_ = false;
  bool ending_ = false;
  std::thread forwarder_;
};

}  // namespace hardstop::python
