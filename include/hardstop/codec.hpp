// How values travel to a job and back, and how to teach it a type of your own.
//
// Without doing anything: numbers, enums, std::string, and the standard containers, std::optional,
// variant, tuple, pair, chrono, complex, bitset, smart pointers of such types: all that cereal
// knows. A type of your own travels if one of these holds, the first one found counts:
//
//   1. hardstop::codec<T> is specialised, see below;
//   2. hardstop::plain<T> says that its bytes are its value (plain.hpp);
//   3. it has cereal's functions, a member or free serialize(), or save() and load():
//        struct model {
//          std::string name;
//          std::vector<double> weights;
//          template <class Archive> void serialize(Archive& archive) { archive(name, weights); }
//        };
//
// Both ends run the same build of the same program, so versions and byte order need no thought.
//
// std::vector, std::string and std::array of numbers, enums or plain types, from 64 KiB on, are
// copied once into shared memory. A job that takes std::span<const T> or std::string_view reads its
// argument in place, for as long as the call lasts.
//
// Errors: a type that cannot travel does not compile. encode_error if a value cannot (nested too
// deep); decode_error if bytes make no sense, which a result's may not if the job overwrote it.
#pragma once

#include <cstddef>
#include <span>

#include <hardstop/detail/encoding.hpp>
#include <hardstop/plain.hpp>

namespace hardstop {

/// Specialise for a type that cereal does not fit:
///
///   template <>
///   struct hardstop::codec<matrix> {
///     static void write(hardstop::writer& out, const matrix& value) {
///       out(value.columns());
///       out.bytes(std::as_bytes(value.elements()));
///     }
///     static matrix read(hardstop::reader& in) {
///       const auto columns = in.read<std::size_t>();
///       return matrix(columns, in.bytes());
///     }
///   };
///
/// read() gets what write() wrote, or garbage from a worker gone wild: check it and throw
/// decode_error. Both run in the thread that submits or gets, and in the worker.
template <class T>
struct codec;

/// Where codec<T>::write puts a value's parts.
class writer {
 public:
  explicit writer(detail::encoder& out) noexcept : out_(&out) {}

  /// Appends any value that can travel.
  template <class T>
  writer& operator()(const T& value);

  /// Appends a range of bytes with its length; large ones go through shared memory.
  writer& bytes(std::span<const std::byte> range) {
    out_->append_range(range, detail::message_alignment, detail::lifetime::passing);
    return *this;
  }

 private:
  detail::encoder* out_;
};

/// Where codec<T>::read takes them from, in the same order.
class reader {
 public:
  explicit reader(detail::decoder& in) noexcept : in_(&in) {}

  template <class T>
  [[nodiscard]] T read();

  /// A range written by writer::bytes, in place, aligned to 16 bytes. Copy it: it is gone when the
  /// value has been read, and a result's worker may still be writing to it.
  [[nodiscard]] std::span<const std::byte> bytes() {
    return in_->read_range(detail::message_alignment);
  }

 private:
  detail::decoder* in_;
};

}  // namespace hardstop

#include <hardstop/detail/transfer.hpp>  // the templates' bodies
