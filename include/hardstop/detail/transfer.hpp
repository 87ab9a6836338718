// One value to a message and back, and what to say of types for which there is no way.
//
// What the caller can see through (numbers, ranges of them, tuples, vectors, optionals) is written
// directly: it is faster, and large ranges within need not be copied first. The rest goes through
// cereal. Not an interface for users.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <hardstop/codec.hpp>
#include <hardstop/detail/archive.hpp>
#include <hardstop/detail/encoding.hpp>
#include <hardstop/detail/raw.hpp>
#include <hardstop/errors.hpp>

namespace hardstop::detail {

/// cereal sends an empty class without functions as nothing.
template <class T>
concept known_to_cereal =
    std::is_empty_v<T> || (cereal::traits::is_output_serializable<T, output_archive>::value &&
                           cereal::traits::is_input_serializable<T, input_archive>::value);

template <class T>
inline constexpr bool is_view = false;
template <class T, std::size_t Extent>
inline constexpr bool is_view<std::span<T, Extent>> = true;
template <class Char, class Traits>
inline constexpr bool is_view<std::basic_string_view<Char, Traits>> = true;

template <class T>
inline constexpr bool is_type_erased_function = false;
template <class Signature>
inline constexpr bool is_type_erased_function<std::function<Signature>> = true;

/// Refuses at compile time, in words, what cannot travel; recursive through what we see through.
template <class T>
struct must_travel {
  static_assert(
      !std::is_reference_v<T>,
      "hardstop: a reference cannot travel to or from a job, which has memory of its own: "
      "use the value itself.");
  static_assert(
      !std::is_pointer_v<T> && !std::is_member_pointer_v<T>,
      "hardstop: a pointer cannot travel to or from a job, which has memory of its own: "
      "send what it points to, as a value, std::string, std::vector or std::span<const T>.");
  static_assert(
      !is_view<T>,
      "hardstop: a view can only be a parameter of a job itself: within other values and as "
      "a result use std::vector or std::string.");
  static_assert(!is_type_erased_function<T>,
                "hardstop: a std::function cannot travel: name the function to run as the template "
                "argument, submit<&fn>(...), and pass data.");
  static_assert(
      !opted_in<T> || std::is_trivially_copyable_v<T>,
      "hardstop: hardstop::plain<T> is for trivially copyable types: give this type cereal's "
      "serialize() or specialise hardstop::codec<T> instead.");
  static constexpr bool by_other_rule = has_codec<T> || raw<T> || std::is_reference_v<T> ||
                                        std::is_pointer_v<T> || std::is_member_pointer_v<T> ||
                                        is_view<T> || is_type_erased_function<T>;
  static constexpr bool known = by_other_rule || known_to_cereal<T>;
  static_assert(
      known,
      "hardstop: this type does not know how to travel to a job: give it cereal's serialize(), "
      "or specialise hardstop::codec<T>, or hardstop::plain<T> if it is trivially copyable. "
      "See <hardstop/codec.hpp>.");
  static_assert(!known || by_other_rule || std::default_initializable<T>,
                "hardstop: cereal needs a default constructor to read this type: add one, or "
                "specialise hardstop::codec<T>.");
  static constexpr bool value = true;
};

/// What a standard type is made of, as far as it has to travel with it.
template <class T>
struct parts_of {
  using type = types<>;
};

template <class T>
  requires(is_vector<T> || is_array<T> || is_optional<T>)
struct parts_of<T> {
  using type = types<typename T::value_type>;
};

template <template <class...> class Template, class... Parts>
  requires is_tuple<Template<Parts...>> || is_variant<Template<Parts...>>
struct parts_of<Template<Parts...>> {
  using type = types<Parts...>;
};

template <template <class...> class Container, class First, class... Rest>
  requires is_container<Container<First, Rest...>>
struct parts_of<Container<First, Rest...>> {
  using type = types<First>;
};

template <template <class...> class Map, class Key, class Value, class... Rest>
  requires is_map<Map<Key, Value, Rest...>>
struct parts_of<Map<Key, Value, Rest...>> {
  using type = types<Key, Value>;
};

template <class Parts>
inline constexpr bool all_travel = true;
template <class... Parts>
inline constexpr bool all_travel<types<Parts...>> =
    (must_travel<std::remove_const_t<Parts>>::value && ...);

template <class T>
concept made_of_parts =
    !has_codec<T> && !raw<T> && !std::same_as<typename parts_of<T>::type, types<>>;

template <made_of_parts T>
struct must_travel<T> {
  static constexpr bool value = all_travel<typename parts_of<T>::type>;
};

template <class T>
void write(encoder& out, const T& value, lifetime life);

template <class T>
[[nodiscard]] T read(decoder& in);

template <has_codec T>
void write_with_codec(encoder& out, const T& value) {
  writer to(out);
  codec<T>::write(to, value);
}

template <has_codec T>
T read_with_codec(decoder& in) {
  reader from(in);
  return codec<T>::read(from);
}

template <class T>
void write_with_cereal(encoder& out, const T& value) {
  try {
    output_archive archive(out);
    archive(value);
    archive.serializeDeferments();
  } catch (const cereal::Exception& failure) {
    throw encode_error(std::string("cereal cannot write a value: ") + failure.what());
  }
}

template <class T>
T read_with_cereal(decoder& in) {
  try {
    T value{};
    input_archive archive(in);
    archive(value);
    archive.serializeDeferments();
    return value;
  } catch (const cereal::Exception& failure) {
    throw decode_error(std::string("cereal cannot read a value: ") + failure.what());
  }
}

template <class T>
void write(encoder& out, const T& value, lifetime life) {
  if constexpr (has_codec<T>) {
    write_with_codec(out, value);
  } else if constexpr (raw<T>) {
    out.append_value(value);
  } else if constexpr (raw_range<T>) {
    write_range(out, value, life);
  } else if constexpr (is_vector<T>) {
    out.append_value(static_cast<std::uint64_t>(value.size()));
    for (const auto& element : value)
      write(out, element, life);
  } else if constexpr (is_array<T>) {
    if constexpr (raw_element<typename T::value_type>) {
      out.append_range(std::as_bytes(std::span(value)), alignof(typename T::value_type), life);
    } else {
      for (const auto& element : value)
        write(out, element, life);
    }
  } else if constexpr (is_optional<T>) {
    out.append_value(static_cast<unsigned char>(value.has_value()));
    if (value) write(out, *value, life);
  } else if constexpr (is_tuple<T>) {
    std::apply([&](const auto&... member) { (write(out, member, life), ...); }, value);
  } else {
    write_with_cereal(out, value);
  }
}

template <class T>
T read_vector(decoder& in) {
  const std::uint64_t count = in.read_length();
  in.claim_elements(count);
  T value;
  value.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    value.push_back(read<typename T::value_type>(in));
  }
  return value;
}

template <class T, std::size_t... I>
T read_array_elements(decoder& in, std::index_sequence<I...> /*indices*/) {
  return T{{(static_cast<void>(I), read<typename T::value_type>(in))...}};
}

template <class T>
T read_array(decoder& in) {
  using element = typename T::value_type;
  if constexpr (raw_element<element>) {
    const auto bytes = read_elements<element>(in);
    T value;
    if (bytes.size() != value.size() * sizeof(element)) throw_bad_length();
    if constexpr (std::tuple_size_v<T> > 0) {
      std::memcpy(value.data(), bytes.data(), bytes.size());
    }
    return value;
  } else if constexpr (std::default_initializable<element>) {
    T value;
    for (auto& each : value)
      each = read<element>(in);
    return value;
  } else {
    return read_array_elements<T>(in, std::make_index_sequence<std::tuple_size_v<T>>());
  }
}

template <class T, std::size_t... I>
T read_tuple(decoder& in, std::index_sequence<I...> /*indices*/) {
  return T{read<std::tuple_element_t<I, T>>(in)...};  // braces: from left to right
}

template <class T>
T read(decoder& in) {
  if constexpr (has_codec<T>) {
    return read_with_codec<T>(in);
  } else if constexpr (raw<T> && std::default_initializable<T>) {
    T value;
    read_raw(in, value);
    return value;
  } else if constexpr (raw<T>) {
    std::array<std::byte, sizeof(T)> bytes;
    in.read_value(bytes);
    return std::bit_cast<T>(bytes);
  } else if constexpr (raw_range<T>) {
    T value;
    read_range_into(in, value);
    return value;
  } else if constexpr (is_vector<T>) {
    return read_vector<T>(in);
  } else if constexpr (is_array<T>) {
    return read_array<T>(in);
  } else if constexpr (is_optional<T>) {
    bool there = false;
    read_raw(in, there);
    if (!there) return T();
    return T(read<typename T::value_type>(in));
  } else if constexpr (is_tuple<T>) {
    return read_tuple<T>(in, std::make_index_sequence<std::tuple_size_v<T>>());
  } else {
    return read_with_cereal<T>(in);
  }
}

}  // namespace hardstop::detail

namespace hardstop {

template <class T>
writer& writer::operator()(const T& value) {
  static_assert(detail::must_travel<T>::value);
  detail::write(*out_, value, detail::lifetime::passing);
  return *this;
}

template <class T>
T reader::read() {
  static_assert(detail::must_travel<T>::value);
  return detail::read<T>(*in_);
}

}  // namespace hardstop
