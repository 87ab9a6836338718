// One function as a job: its arguments into a message in the client, its call in the worker. Not an
// interface for users.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <hardstop/detail/call.hpp>
#include <hardstop/detail/encoding.hpp>
#include <hardstop/detail/signature.hpp>
#include <hardstop/detail/transfer.hpp>

namespace hardstop::detail {

// --- the client's side ---

template <class T>
inline constexpr bool is_string = false;
template <class Char, class Traits, class Allocator>
inline constexpr bool is_string<std::basic_string<Char, Traits, Allocator>> = true;

template <class String>
using view_of = std::basic_string_view<typename String::value_type, typename String::traits_type>;

template <class Argument, class String>
concept converts_to_view_of = std::convertible_to<const Argument&, view_of<String>>;

/// Writes one argument as its parameter's type, converting as a call would. What the caller passed
/// lives until the message has been handed over; what a conversion makes does not.
template <class Parameter, class Argument>
void write_argument(encoder& out, const Argument& argument) {
  using value_type = std::remove_cvref_t<Parameter>;
  if constexpr (is_view<value_type>) {
    const value_type view(argument);
    out.append_range(std::as_bytes(std::span(view.data(), view.size())),
                     alignof(typename value_type::value_type), lifetime::lasting);
  } else if constexpr (std::same_as<Argument, value_type>) {
    write(out, argument, lifetime::lasting);
  } else if constexpr (is_string<value_type> && converts_to_view_of<Argument, value_type>) {
    write_argument<view_of<value_type>>(out, argument);
  } else {
    write(out, static_cast<value_type>(argument), lifetime::passing);
  }
}

template <class Parameter, class Argument>
struct must_convert {
  static_assert(std::is_convertible_v<const Argument&, std::remove_cvref_t<Parameter>> ||
                    std::same_as<Argument, std::remove_cvref_t<Parameter>>,
                "hardstop: an argument does not convert to the parameter of the job's function.");
};

template <class... Parameters, class... Arguments>
void write_arguments(encoder& out, types<Parameters...> /*list*/, const Arguments&... arguments) {
  if constexpr (sizeof...(Parameters) == sizeof...(Arguments)) {
    (static_cast<void>(must_convert<Parameters, Arguments>{}), ...);
    (write_argument<Parameters>(out, arguments), ...);
  } else {
    static_cast<void>(argument_count<sizeof...(Arguments), sizeof...(Parameters)>{});
  }
}

// --- the worker's side ---

/// A parameter's argument as the worker holds it during the call.
template <class Parameter>
struct received {
  using value_type = std::remove_cvref_t<Parameter>;

  static value_type read_from(decoder& in) {
    if constexpr (is_view<value_type>) {
      using element = std::remove_const_t<std::remove_pointer_t<decltype(value_type().data())>>;
      const auto bytes = read_elements<element>(in);
      if (!is_aligned<element>(bytes.data())) throw_bad_length();
      const auto* first = reinterpret_cast<const element*>(bytes.data());
      return value_type(first, bytes.size() / sizeof(element));
    } else {
      return read<value_type>(in);
    }
  }

  explicit received(decoder& in) : value(read_from(in)) {}

  Parameter pass() {
    if constexpr (std::is_lvalue_reference_v<Parameter>) {
      return value;
    } else {
      return std::move(value);
    }
  }

  value_type value;
};

/// All of them. Members of a base list are read in order, from left to right.
template <class Parameters>
struct received_arguments;

template <class... Parameters>
struct received_arguments<types<Parameters...>> {
  explicit received_arguments(decoder& in) : all{received<Parameters>(in)...} {}

  template <class Callee>
  decltype(auto) apply(Callee&& callee) {
    return std::apply([&](auto&... each) -> decltype(auto) { return callee(each.pass()...); }, all);
  }

  std::tuple<received<Parameters>...> all;
};

template <auto Function, class... Passed>
decltype(auto) call_function(incoming_call& call, Passed&&... passed) {
  if constexpr (signature<Function>::wants_stop_token) {
    return Function(call.stop_token(), std::forward<Passed>(passed)...);
  } else {
    return Function(std::forward<Passed>(passed)...);
  }
}

template <auto Function>
decltype(auto) call_with_arguments(incoming_call& call) {
  if constexpr (arity<Function> == 0) {
    return call_function<Function>(call);
  } else {
    decoder in(call.arguments(), segment_source::of(call));
    received_arguments<typename signature<Function>::parameters> arguments(in);
    return arguments.apply([&](auto&&... passed) -> decltype(auto) {
      return call_function<Function>(call, std::forward<decltype(passed)>(passed)...);
    });
  }
}

template <class Result>
void send_result(incoming_call& call, const Result& result) {
  if constexpr (raw<Result>) {
    call.append(std::as_bytes(std::span(std::addressof(result), 1)));
  } else {
    const segment_sink sink{&call, [](void* context, std::span<const std::byte> range) {
                              static_cast<incoming_call*>(context)->append_segment(range);
                            }};
    encoder out(sink);
    write(out, result, lifetime::lasting);
    call.append(out.bytes());
  }
}

/// The thunk of a function: its whole life in the worker.
template <auto Function>
void job_body(incoming_call& call) {
  try {
    if constexpr (std::is_void_v<result_of<Function>>) {
      call_with_arguments<Function>(call);
    } else {
      send_result<result_of<Function>>(call, call_with_arguments<Function>(call));
    }
  } catch (...) {
    report_current_exception(call);
  }
}

/// Where the function's thunk lives. Looked up once per function.
template <auto Function>
const function_id& id_of() {
  static const function_id id = identify(&job_body<Function>);
  return id;
}

}  // namespace hardstop::detail
