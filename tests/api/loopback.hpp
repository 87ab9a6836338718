// Both ends of the wire in one process: what the client's templates write is read by the worker's.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <hardstop/codec.hpp>
#include <hardstop/detail/call.hpp>
#include <hardstop/detail/encoding.hpp>
#include <hardstop/detail/job_body.hpp>

namespace hardstop::test {

/// A message as it arrives: copied, aligned as the engine promises, its segments apart.
class message {
 public:
  message() = default;

  explicit message(const detail::encoder& out) : bytes_(copy_of(out.bytes())) {
    for (const auto range : out.segments())
      add_segment(range);
  }

  explicit message(std::span<const std::byte> bytes) : bytes_(copy_of(bytes)) {}

  void append(std::span<const std::byte> more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
  }

  void add_segment(std::span<const std::byte> range) { segments_.push_back(copy_of(range)); }

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

  [[nodiscard]] std::span<std::byte> bytes() noexcept { return bytes_; }

  void truncate(std::size_t size) { bytes_.resize(size); }

  [[nodiscard]] std::span<const std::byte> segment(std::size_t index) const noexcept {
    return index < segments_.size() ? std::span<const std::byte>(segments_[index])
                                    : std::span<const std::byte>();
  }

  [[nodiscard]] std::size_t segment_count() const noexcept { return segments_.size(); }

  [[nodiscard]] detail::decoder decoder() const {
    return detail::decoder(bytes(), detail::segment_source::of(*this));
  }

 private:
  static std::vector<std::byte> copy_of(std::span<const std::byte> bytes) {
    return {bytes.begin(), bytes.end()};
  }

  // operator new aligns to 16, as the engine promises for messages.
  static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= detail::message_alignment);
  std::vector<std::byte> bytes_;
  std::vector<std::vector<std::byte>> segments_;
};

/// A worker's side of one attempt.
class loopback_call final : public detail::incoming_call {
 public:
  explicit loopback_call(const message& arguments) : arguments_(arguments) {}

  [[nodiscard]] std::span<const std::byte> arguments() const noexcept override {
    return arguments_.bytes();
  }

  [[nodiscard]] std::span<const std::byte> segment(std::size_t index) const noexcept override {
    return arguments_.segment(index);
  }

  [[nodiscard]] std::stop_token stop_token() override { return stop.get_token(); }

  void append(std::span<const std::byte> bytes) override { result.append(bytes); }

  void append_segment(std::span<const std::byte> bytes) override { result.add_segment(bytes); }

  void fail(std::string_view exception_type, std::string_view what) noexcept override {
    failed = true;
    type = exception_type;
    text = what;
  }

  message result;
  std::stop_source stop;
  bool failed = false;
  std::string type;
  std::string text;

 private:
  const message& arguments_;
};

/// The value as it arrives at the other end.
template <class T>
T sent(const T& value) {
  static_assert(detail::must_travel<T>::value);
  detail::encoder out;
  detail::write(out, value, detail::lifetime::lasting);
  const message arrived(out);
  auto in = arrived.decoder();
  T copy = detail::read<T>(in);
  if (in.remaining() != 0) throw std::logic_error("not all that was written was read");
  return copy;
}

template <auto Function, class... Arguments>
message arguments_for(const Arguments&... arguments) {
  static_assert(detail::is_job<Function>);
  detail::encoder out;
  detail::write_arguments(out, typename detail::signature<Function>::parameters(), arguments...);
  return message(out);
}

/// Runs a function's thunk on arguments.
template <auto Function, class... Arguments>
detail::result_of<Function> called(const Arguments&... arguments) {
  const message sent_arguments = arguments_for<Function>(arguments...);
  loopback_call call(sent_arguments);
  detail::job_body<Function>(call);
  if (call.failed) throw std::runtime_error(call.type + ": " + call.text);
  if constexpr (!std::is_void_v<detail::result_of<Function>>) {
    auto in = call.result.decoder();
    return detail::read<detail::result_of<Function>>(in);
  }
}

}  // namespace hardstop::test
