// The public face of what is in memory_jobs.hpp.
#include <utility>

#include "service/queue/json_arguments.hpp"
#include "service/queue/memory_jobs.hpp"
#include <hardstop/memory_queue.hpp>

namespace hardstop {

class memory_queue::implementation {
 public:
  explicit implementation(const memory_queue_options& options) : jobs(options) {}

  storage::memory_jobs jobs;
};

memory_queue::memory_queue(const memory_queue_options& options)
    : implementation_(std::make_unique<implementation>(options)) {}

memory_queue::~memory_queue() = default;

std::string memory_queue::enqueue(std::string_view name, const nlohmann::json& arguments) {
  return enqueue(storage::to_message(name, arguments));
}

std::string memory_queue::enqueue(const job_message& message) {
  return implementation_->jobs.enqueue(message);
}

bool memory_queue::cancel(std::string_view id) {
  return implementation_->jobs.cancel(id);
}

void memory_queue::close() {
  implementation_->jobs.close();
}

std::size_t memory_queue::size() const {
  return implementation_->jobs.size();
}

std::vector<nacked_job> memory_queue::abandoned() const {
  return implementation_->jobs.abandoned();
}

taking memory_queue::take(std::size_t at_most, std::chrono::nanoseconds patience) {
  return implementation_->jobs.take(at_most, patience);
}

void memory_queue::interrupt() noexcept {
  implementation_->jobs.interrupt();
}

std::vector<receipt> memory_queue::extend(std::span<const receipt> leases) {
  return implementation_->jobs.extend(leases);
}

std::vector<receipt> memory_queue::ack(std::span<const receipt> done) {
  return implementation_->jobs.ack(done);
}

std::vector<receipt> memory_queue::nack(std::span<const nacked_job> jobs) {
  return implementation_->jobs.nack(jobs);
}

void memory_queue::on_cancel(std::function<void(const receipt&)> tell) {
  implementation_->jobs.on_cancel(std::move(tell));
}

}  // namespace hardstop
