// Plain Python values as bytes: None, bool, int, float, str, bytes and tuples of them, exactly
// these types. What pickle would need a microsecond for takes some nanoseconds here; everything
// else is pickle's.
//
// The writer is trusted, the reader trusts nothing: a result is written by a worker that may have
// gone wild (G12). Every length is checked against what is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "python.hpp"
#include <hardstop/detail/encoding.hpp>

namespace hardstop::python {

// How a payload is written; its first byte.
enum class format : std::uint8_t {
  plain = 1,         // a value of this codec
  pickled = 2,       // one pickle; segments are its out-of-band buffers
  plain_call = 3,    // length of a function's blob, the blob, a tuple of this codec
  pickled_call = 4,  // length of a function's blob, the blob, a pickle of (args, kwargs)
  exception = 5,     // length of an account for people, the account, a pickle of the exception
  timed = 6,         // the job's time limit in seconds, a double; then a call in its own format
};

// Long strings and bytes travel as segments from here on.
inline constexpr std::size_t segment_threshold = detail::segment_threshold;

// Where a value is written. Segments are only named: their bytes go their own way.
class writer {
 public:
  // Whatever is long: false if there is no way, and the value is left to pickle.
  virtual bool put_segment(std::span<const std::byte> bytes) = 0;
  virtual void put(const void* bytes, std::size_t size) = 0;

  template <class T>
  void put_value(T value) {
    put(&value, sizeof value);
  }

 protected:
  ~writer() = default;
};

// False: not a plain value, and what was written is to be forgotten. Never sets an exception.
bool write_plain(PyObject* value, writer& into);

// Segments in order of their numbers; empty if there is no such segment.
struct segment_lookup {
  std::span<const std::byte> (*find)(const void* holder, std::size_t index);
  const void* holder;
};

// Null with ValueError set if the bytes cannot be one value and nothing else.
PyObject* read_plain(std::span<const std::byte> bytes, segment_lookup segments);

}  // namespace hardstop::python
