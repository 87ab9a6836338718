// One call as the worker sees it: where a job's type-erased body meets the loop that runs it.
//
// The public templates instantiate one thunk per submitted function. The client sends the thunk's
// address as (module, offset); the worker calls it in the thread that runs jobs. Not an interface
// for users.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string_view>

namespace hardstop::detail {

/// The loop's side of one attempt. Used by the one thread that runs the thunk, during that call
/// only.
class incoming_call {
 public:
  /// The encoded arguments, aligned to 16 bytes, readable until the thunk returns.
  [[nodiscard]] virtual std::span<const std::byte> arguments() const noexcept = 0;

  /// A large argument in place: read-only memory aligned to 64 bytes, readable until the thunk
  /// returns. Empty if there is no segment of that number.
  [[nodiscard]] virtual std::span<const std::byte> segment(std::size_t index) const noexcept = 0;

  /// Requested when the job is asked to stop. The first call starts the thread that listens, so
  /// only functions that take a token pay for it.
  [[nodiscard]] virtual std::stop_token stop_token() = 0;

  /// Appends to the bytes of the result. They are what arguments() is to the job: one run of bytes,
  /// aligned to 16 where it begins. Throws when the result cannot be held.
  virtual void append(std::span<const std::byte> bytes) = 0;

  /// Copies a large range into shared memory at once, as the result's next segment, counted from 0.
  /// Throws when there is no room.
  virtual void append_segment(std::span<const std::byte> bytes) = 0;

  /// The job ended by an exception. Replaces whatever was appended; texts are copied and may be
  /// cut.
  virtual void fail(std::string_view exception_type, std::string_view what) noexcept = 0;

 protected:
  incoming_call() = default;
  incoming_call(const incoming_call&) = default;
  incoming_call& operator=(const incoming_call&) = default;
  ~incoming_call() = default;
};

/// The body of a job: decodes the arguments, calls the user's function, encodes the result. Throws
/// nothing but a forced unwind (pthread_exit, pthread_cancel), which the caller must let pass.
using thunk = void (*)(incoming_call&);

/// Where a thunk lives, the same in every process that maps the same module.
struct function_id {
  std::uint64_t module = 0;  ///< from the build-id of the program or library
  std::uint64_t offset = 0;  ///< from the module's load address

  friend bool operator==(const function_id&, const function_id&) = default;
};

/// Tells where a thunk lives. Costs a search through the loaded modules: callers keep the answer.
/// Throws hardstop::error if the module has no build-id; the message says how to link it.
[[nodiscard]] function_id identify(thunk function);

/// Within a catch block: hands the exception's demangled type and its what() to call.fail(). Lets a
/// forced unwind pass.
void report_current_exception(incoming_call& call);

}  // namespace hardstop::detail
