// Own structs that travel as their bytes.
#pragma once

#include <type_traits>

namespace hardstop {

/// Opt-in for a trivially copyable struct without pointers: it travels as its bytes, a range of it
/// in one copy, and a large one in shared memory that a job taking std::span<const T> reads in
/// place.
///
///   struct point { double x, y, z; };
///   template <> struct hardstop::plain<point> : std::true_type {};
///
/// Numbers, enums, std::byte and std::chrono's durations and time points travel so anyway. A worker
/// gone wild may send any bytes: a bool or an enum within such a result can hold a value of its
/// own.
template <class T>
struct plain : std::false_type {};

}  // namespace hardstop
