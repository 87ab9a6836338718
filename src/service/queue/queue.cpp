// The public queue: what is in file_queue.hpp, with arguments as JSON.
#include <utility>

#include "service/queue/file_queue.hpp"
#include "service/queue/json_arguments.hpp"
#include <hardstop/queue.hpp>

namespace hardstop {

std::string_view to_string(queued_state state) noexcept {
  switch (state) {
    case queued_state::queued:
      return "queued";
    case queued_state::leased:
      return "leased";
    case queued_state::done:
      return "done";
    case queued_state::cancelled:
      return "cancelled";
    case queued_state::dead:
      return "dead";
    case queued_state::refused:
      return "refused";
  }
  return "unknown";
}

class queue::implementation {
 public:
  implementation(const std::string& path, const queue_options& options) : file(path, options) {}

  storage::file_queue file;
};

queue::queue(std::string path, const queue_options& options)
    : implementation_(std::make_unique<implementation>(path, options)) {}

queue::~queue() = default;

std::string queue::enqueue(std::string_view name, const nlohmann::json& arguments,
                           const enqueue_options& options) {
  return enqueue(storage::to_message(name, arguments), options);
}

std::string queue::enqueue(const job_message& message, const enqueue_options& options) {
  return std::move(implementation_->file.enqueue({&message, 1}, options).front());
}

std::vector<std::string> queue::enqueue_all(std::span<const job_message> messages,
                                            const enqueue_options& options) {
  return implementation_->file.enqueue(messages, options);
}

bool queue::cancel(std::string_view id) {
  return implementation_->file.cancel(id);
}

bool queue::requeue(std::string_view id) {
  return implementation_->file.requeue(id);
}

std::optional<queued_job> queue::find(std::string_view id) const {
  return implementation_->file.find(id);
}

std::vector<queued_job> queue::jobs(const queued_filter& filter) const {
  return implementation_->file.jobs(filter);
}

std::size_t queue::count(queued_state state) const {
  return implementation_->file.count(state);
}

const std::string& queue::path() const noexcept {
  return implementation_->file.path();
}

taking queue::take(std::size_t at_most, std::chrono::nanoseconds patience) {
  return implementation_->file.take(at_most, patience);
}

void queue::interrupt() noexcept {
  implementation_->file.interrupt();
}

std::vector<receipt> queue::extend(std::span<const receipt> leases) {
  return implementation_->file.extend(leases);
}

std::vector<receipt> queue::ack(std::span<const receipt> done) {
  return implementation_->file.ack(done);
}

std::vector<receipt> queue::nack(std::span<const nacked_job> jobs) {
  return implementation_->file.nack(jobs);
}

void queue::on_cancel(std::function<void(const receipt&)> tell) {
  implementation_->file.on_cancel(std::move(tell));
}

}  // namespace hardstop
