// Bytes on their way between client and worker: a writer and a reader without types.
//
// A message is one run of bytes plus any number of segments: large contiguous ranges that travel in
// shared memory and are read in place. codec.hpp decides what is written; this file knows only raw
// values, ranges and limits. Both ends run the same build, so byte order and sizes agree.
//
// The writer is trusted, the reader trusts nothing: a result is written by a worker that may have
// gone wild (G12). Every length is read once, checked against what is there, and only then used.
// Not an interface for users.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace hardstop::detail {

/// Ranges of at least so many bytes travel as segments. Below, copying costs less than mapping.
inline constexpr std::size_t segment_threshold = 64 * 1024;

/// Alignment of the first byte of every message, and so the largest one a value may ask for.
inline constexpr std::size_t message_alignment = 16;

[[noreturn]] void throw_too_short();
[[noreturn]] void throw_bad_length();
[[noreturn]] void throw_too_deep();
[[noreturn]] void throw_too_deep_to_write();

/// Whether what is written stays where it is until the message has been handed over.
enum class lifetime : std::uint8_t { lasting, passing };

/// Takes large ranges off an encoder as soon as they are written, instead of a list at the end.
struct segment_sink {
  using function = void (*)(void* context, std::span<const std::byte> range);

  void* context = nullptr;
  function put = nullptr;
};

/// Writes a message. Small ones stay in the object itself and allocate nothing. Not thread-safe.
class encoder {
 public:
  static constexpr std::size_t inline_capacity = 256;

  // Not defaulted: that would let `encoder{}` clear small_, which is written before it is read.
  encoder() noexcept {}  // NOLINT(*-member-init,modernize-use-equals-default)

  explicit encoder(segment_sink sink) noexcept : sink_(sink) {}  // NOLINT(*-member-init)

  /// For a message that must be one run of bytes, however large.
  struct flat {};

  explicit encoder(flat /*tag*/) noexcept  // NOLINT(*-member-init)
      : threshold_(std::numeric_limits<std::size_t>::max()) {}

  encoder(const encoder&) = delete;
  encoder& operator=(const encoder&) = delete;
  ~encoder() = default;

  /// Room for `size` more bytes, to be filled by the caller at once.
  std::byte* extend(std::size_t size) {
    if (capacity_ - size_ < size) grow(size);
    std::byte* room = begin_ + size_;
    size_ += size;
    return room;
  }

  void append(const void* bytes, std::size_t size) {
    if (size != 0) std::memcpy(extend(size), bytes, size);
  }

  template <class T>
  void append_value(const T& value) {
    std::memcpy(extend(sizeof(T)), std::addressof(value), sizeof(T));
  }

  /// Pads with zeroes up to a multiple of `alignment`, a power of two up to message_alignment.
  void align(std::size_t alignment) {
    const std::size_t padding = (alignment - size_ % alignment) % alignment;
    if (padding != 0) std::memset(extend(padding), 0, padding);
  }

  /// A range of bytes with its length. Large ones become segments: listed in segments() if they
  /// last, else copied once into memory of the encoder's own; or handed to the sink at once, if
  /// there is one.
  void append_range(std::span<const std::byte> range, std::size_t alignment, lifetime life) {
    if (range.size() < threshold_) {
      append_header(range.size(), placement::in_line);
      align(alignment);
      append(range.data(), range.size());
    } else {
      append_header(range.size(), placement::segment);
      append_segment(range, life);
    }
  }

  /// A large range without a word about it in the message: the reader knows where it belongs. It
  /// must last until the message has been handed over.
  void append_bare_segment(std::span<const std::byte> range) { segments_.push_back(range); }

  /// The run of bytes, aligned to message_alignment. Valid until the next append.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {begin_, size_}; }

  /// The large ranges, in order of their numbers.
  [[nodiscard]] std::span<const std::span<const std::byte>> segments() const noexcept {
    return segments_;
  }

 private:
  friend class decoder;

  enum class placement : std::uint64_t { in_line, segment };

  void append_header(std::size_t size, placement where) {
    append_value(static_cast<std::uint64_t>(size) << 1U | static_cast<std::uint64_t>(where));
  }

  // Kept out of the hot path.
  [[gnu::cold, gnu::noinline]] void append_segment(std::span<const std::byte> range, lifetime life);
  [[gnu::cold, gnu::noinline]] void grow(std::size_t more);

  std::byte* begin_ = small_;
  std::size_t size_ = 0;
  std::size_t capacity_ = inline_capacity;
  std::size_t threshold_ = segment_threshold;
  segment_sink sink_;
  std::unique_ptr<std::byte[]> large_;
  std::vector<std::span<const std::byte>> segments_;
  std::vector<std::unique_ptr<std::byte[]>> owned_;
  alignas(message_alignment) std::byte small_[inline_capacity];
};

/// Where a decoder finds the segment of a number; an empty span if there is none.
struct segment_source {
  using lookup = std::span<const std::byte> (*)(const void* holder, std::size_t index);

  template <class Holder>  // an object with segment(std::size_t), e.g. incoming_call or job_handle
  static segment_source of(const Holder& holder) noexcept {
    return {std::addressof(holder), [](const void* address, std::size_t index) {
              return static_cast<const Holder*>(address)->segment(index);
            }};
  }

  const void* context = nullptr;
  lookup find = nullptr;
};

/// Reads a message. Throws decode_error for whatever the bytes do not bear out. Not thread-safe.
class decoder {
 public:
  explicit decoder(std::span<const std::byte> bytes, segment_source segments = {}) noexcept
      : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()), segments_(segments) {}

  [[nodiscard]] std::size_t remaining() const noexcept {
    return static_cast<std::size_t>(end_ - at_);
  }

  /// The next bytes, in place.
  const std::byte* take(std::size_t size) {
    if (size > remaining()) throw_too_short();
    return std::exchange(at_, at_ + size);
  }

  void read(void* into, std::size_t size) {
    const std::byte* from = take(size);
    if (size != 0) std::memcpy(into, from, size);
  }

  template <class T>
  void read_value(T& into) {
    std::memcpy(std::addressof(into), take(sizeof(T)), sizeof(T));
  }

  /// A number the reader goes on to rely on: read once into a register, so that a writer who
  /// changes the memory between check and use changes nothing.
  std::uint64_t read_length() {
    std::uint64_t length = 0;
    read_value(length);
    asm volatile("" : "+r"(length));
    return length;
  }

  /// A range written by append_range, in place: in the message or in its
  /// segment.
  std::span<const std::byte> read_range(std::size_t alignment) {
    const std::uint64_t header = read_length();
    const auto size = static_cast<std::size_t>(header >> 1U);
    if ((header & 1U) == static_cast<std::uint64_t>(encoder::placement::segment)) {
      return read_segment(size);
    }
    const auto offset = static_cast<std::size_t>(at_ - begin_);
    take((alignment - offset % alignment) % alignment);
    return {take(size), size};
  }

  /// Allows a container of so many elements to be made. Each element that takes part in the message
  /// takes at least one byte of it; for those that take none there is a small stock.
  void claim_elements(std::uint64_t count) {
    const std::size_t there = remaining();
    if (count <= there) return;
    if (count - there > unbacked_elements_) throw_bad_length();
    unbacked_elements_ -= count - there;
  }

  /// Objects within objects, counted so that no message exhausts the reader's stack.
  void enter() {
    if (++depth_ > nesting_limit) throw_too_deep();
  }

  void leave() noexcept { --depth_; }

  static constexpr std::size_t nesting_limit = 1000;

 private:
  std::span<const std::byte> read_segment(std::size_t size);

  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  segment_source segments_;
  std::size_t next_segment_ = 0;
  std::uint64_t unbacked_elements_ = 65536;
  std::size_t depth_ = 0;
};

}  // namespace hardstop::detail
