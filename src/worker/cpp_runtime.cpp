#include "worker/cpp_runtime.hpp"

#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#include "os/module.hpp"
#include "worker/attempt_output.hpp"

namespace hardstop::worker {
namespace {

class cpp_call final : public detail::incoming_call {
 public:
  cpp_call(const job_view& job, job_output& output, stop_listener& listener)
      : job_(job), output_(output), listener_(listener) {}

  cpp_call(const cpp_call&) = delete;
  cpp_call& operator=(const cpp_call&) = delete;

  ~cpp_call() {
    if (listening_) listener_.forget();
  }

  std::span<const std::byte> arguments() const noexcept override { return job_.payload; }

  std::span<const std::byte> segment(std::size_t index) const noexcept override {
    return index < job_.segments.size() ? job_.segments[index] : std::span<const std::byte>{};
  }

  std::stop_token stop_token() override {
    listening_ = true;
    return listener_.listen(job_.ticket);
  }

  void append(std::span<const std::byte> bytes) override {
    if (!failed_) output_.write(bytes);
  }

  void append_segment(std::span<const std::byte> bytes) override {
    if (failed_) return;
    const auto room = output_.new_segment(bytes.size());
    if (!room) {
      throw std::length_error(
          "a large part of the result (" + std::to_string(bytes.size()) +
          " bytes) does not fit into shared memory, or the result has more than " +
          std::to_string(wire::max_ranges - 1) + " of them");
    }
    std::memcpy(room->data(), bytes.data(), bytes.size());
  }

  void fail(std::string_view exception_type, std::string_view what) noexcept override {
    failed_ = true;
    worker::fail(output_, exception_type, what);
  }

 private:
  const job_view& job_;
  job_output& output_;
  stop_listener& listener_;
  bool listening_ = false;
  bool failed_ = false;
};

// Where the initializer's result goes: nowhere, unless it is an exception.
class start_output final : public job_output {
 public:
  void write(std::span<const std::byte> bytes) override {
    if (failed_) text_.insert(text_.end(), bytes.begin(), bytes.end());
  }

  std::optional<std::span<std::byte>> new_segment(std::size_t length) override {
    unused_.resize(length);
    return unused_;
  }

  void clear() override {
    text_.clear();
    unused_ = {};
  }

  void set_kind(wire::report_kind kind) override { failed_ = kind == wire::report_kind::exception; }

  void set_runtime_flags(std::uint8_t /*flags*/) override {}

  bool send(wire::ticket /*attempt*/, wire::report_kind /*kind*/,
            std::span<const std::byte> /*bytes*/) override {
    return false;
  }

  std::optional<wire::failure> failure() const {
    if (!failed_) return std::nullopt;
    return wire::decode_failure(text_).value_or(wire::failure{});
  }

 private:
  bool failed_ = false;
  std::vector<std::byte> text_;
  std::vector<std::byte> unused_;
};

}  // namespace

std::optional<wire::failure> cpp_runtime::start(const spec& told, const wire::client_words& words) {
  listener_ = new stop_listener{words};
  if (told.initializer == wire::function_id{}) return std::nullopt;
  start_output output;
  execute({.ticket = wire::ticket::none,
           .function = told.initializer,
           .attempt = 1,
           .payload = told.initializer_arguments,
           .segments = {}},
          output);
  return output.failure();
}

detail::thunk cpp_runtime::find(const wire::function_id& function) {
  if (known_thunk_ == nullptr || known_ != function) {
    const void* const address = os::resolve({.module = function.module, .offset = function.offset});
    // Only the client can have named it, and it named a thunk.
    known_thunk_ = reinterpret_cast<detail::thunk>(const_cast<void*>(address));
    known_ = function;
  }
  return known_thunk_;
}

void cpp_runtime::execute(const job_view& job, job_output& output) {
  const detail::thunk function = find(job.function);
  if (function == nullptr) {
    fail(output, "hardstop::other_build",
         os::describe_unresolved({.module = job.function.module, .offset = job.function.offset}));
    return;
  }
  cpp_call call{job, output, *listener_};
  function(call);
}

void cpp_runtime::leave() {
  (void)std::fflush(nullptr);
}

}  // namespace hardstop::worker
