// Which types travel as their bytes, and which as cereal or a codec says. Not an interface for
// users.
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <hardstop/detail/encoding.hpp>
#include <hardstop/plain.hpp>

namespace hardstop {

template <class T>
struct codec;

namespace detail {

template <class T>
concept has_codec = requires { sizeof(codec<T>); };

template <class T>
inline constexpr bool is_time = false;
template <class Rep, class Period>
inline constexpr bool is_time<std::chrono::duration<Rep, Period>> = std::is_arithmetic_v<Rep>;
template <class Clock, class Duration>
inline constexpr bool is_time<std::chrono::time_point<Clock, Duration>> = is_time<Duration>;

template <class T>
consteval bool is_bool() {
  if constexpr (std::is_enum_v<T>) {
    return std::same_as<std::underlying_type_t<T>, bool>;
  } else {
    return std::same_as<T, bool>;
  }
}

template <class T>
concept opted_in = bool(plain<T>::value);

/// Travels as its bytes.
template <class T>
concept raw =
    !has_codec<T> && (std::is_arithmetic_v<T> || std::is_enum_v<T> || is_time<T> || opted_in<T>);

/// Any bytes of this size make a value, so that a range of them needs no look at each.
template <class T>
concept raw_element = raw<T> && !is_bool<T>();

template <class T>
inline constexpr bool is_raw_range = false;
template <raw_element T, class Allocator>
inline constexpr bool is_raw_range<std::vector<T, Allocator>> = true;
template <raw_element T, class Traits, class Allocator>
inline constexpr bool is_raw_range<std::basic_string<T, Traits, Allocator>> = true;

/// A vector or string whose elements travel as bytes.
template <class T>
concept raw_range = !has_codec<T> && is_raw_range<T>;

template <class T>
inline constexpr bool is_vector = false;
template <class T, class Allocator>
inline constexpr bool is_vector<std::vector<T, Allocator>> = !std::same_as<T, bool>;

template <class T>
inline constexpr bool is_array = false;
template <class T, std::size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class T>
inline constexpr bool is_tuple = false;
template <class... Ts>
inline constexpr bool is_tuple<std::tuple<Ts...>> = true;
template <class First, class Second>
inline constexpr bool is_tuple<std::pair<First, Second>> = true;

template <class T>
inline constexpr bool is_variant = false;
template <class... Ts>
inline constexpr bool is_variant<std::variant<Ts...>> = true;

/// Standard containers of one type.
template <class T>
inline constexpr bool is_container = false;
template <class T, class Allocator>
inline constexpr bool is_container<std::deque<T, Allocator>> = true;
template <class T, class Allocator>
inline constexpr bool is_container<std::list<T, Allocator>> = true;
template <class T, class Allocator>
inline constexpr bool is_container<std::forward_list<T, Allocator>> = true;
template <class T, class Less, class Allocator>
inline constexpr bool is_container<std::set<T, Less, Allocator>> = true;
template <class T, class Less, class Allocator>
inline constexpr bool is_container<std::multiset<T, Less, Allocator>> = true;
template <class T, class Hash, class Equal, class Allocator>
inline constexpr bool is_container<std::unordered_set<T, Hash, Equal, Allocator>> = true;
template <class T, class Hash, class Equal, class Allocator>
inline constexpr bool is_container<std::unordered_multiset<T, Hash, Equal, Allocator>> = true;

template <class T>
inline constexpr bool is_map = false;
template <class Key, class T, class Less, class Allocator>
inline constexpr bool is_map<std::map<Key, T, Less, Allocator>> = true;
template <class Key, class T, class Less, class Allocator>
inline constexpr bool is_map<std::multimap<Key, T, Less, Allocator>> = true;
template <class Key, class T, class Hash, class Equal, class Allocator>
inline constexpr bool is_map<std::unordered_map<Key, T, Hash, Equal, Allocator>> = true;
template <class Key, class T, class Hash, class Equal, class Allocator>
inline constexpr bool is_map<std::unordered_multimap<Key, T, Hash, Equal, Allocator>> = true;

/// A plain list of types.
template <class... Ts>
struct types {
  static constexpr std::size_t count = sizeof...(Ts);
};

// By a codec of the user's. Defined in transfer.hpp.

template <has_codec T>
void write_with_codec(encoder& out, const T& value);

template <has_codec T>
T read_with_codec(decoder& in);

// The bytes of one value, and of a range.

template <raw T>
void read_raw(decoder& in, T& into) {
  if constexpr (is_bool<T>()) {
    unsigned char byte = 0;
    in.read_value(byte);
    if (byte > 1) throw_bad_length();
    into = static_cast<T>(byte != 0);
  } else {
    in.read_value(into);
  }
}

template <raw_range T>
void write_range(encoder& out, const T& value, lifetime life) {
  out.append_range(std::as_bytes(std::span(value.data(), value.size())),
                   alignof(typename T::value_type), life);
}

/// The bytes of a range of T, a whole number of elements.
template <class T>
std::span<const std::byte> read_elements(decoder& in) {
  const auto bytes = in.read_range(alignof(T));
  if (bytes.size() % sizeof(T) != 0) throw_bad_length();
  return bytes;
}

template <class T>
bool is_aligned(const std::byte* address) noexcept {
  return reinterpret_cast<std::uintptr_t>(address) % alignof(T) == 0;
}

template <raw_range T>
void read_range_into(decoder& in, T& into) {
  using element = typename T::value_type;
  const auto bytes = read_elements<element>(in);
  const std::size_t count = bytes.size() / sizeof(element);
  if (is_aligned<element>(bytes.data())) {
    // In one copy, without zeroing the memory first.
    const auto* first = reinterpret_cast<const element*>(bytes.data());
    into.assign(first, first + count);
  } else {
    into.resize(count);
    std::memcpy(into.data(), bytes.data(), bytes.size());
  }
}

}  // namespace detail
}  // namespace hardstop
