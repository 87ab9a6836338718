// What a job's function takes and returns, and in words why some callables cannot be jobs. Not an
// interface for users.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <span>
#include <stop_token>
#include <string_view>
#include <tuple>
#include <type_traits>

#include <hardstop/detail/raw.hpp>
#include <hardstop/detail/transfer.hpp>

namespace hardstop::detail {

template <class T>
inline constexpr bool is_stop_token = std::same_as<std::remove_cvref_t<T>, std::stop_token>;

template <class Result, class... Parameters>
struct plain_signature {
  using result = Result;
  using parameters = types<Parameters...>;  // those that arguments are sent for
  static constexpr bool wants_stop_token = false;
  static_assert(
      (!is_stop_token<Parameters> && ...),
      "hardstop: a std::stop_token must be the job's first parameter, and the only one of "
      "its kind.");
};

template <class Result, class First, class... Parameters>
  requires is_stop_token<First>
struct plain_signature<Result, First, Parameters...> : plain_signature<Result, Parameters...> {
  static constexpr bool wants_stop_token = true;
  static_assert(!std::is_lvalue_reference_v<First> ||
                    std::is_const_v<std::remove_reference_t<First>>,
                "hardstop: take the std::stop_token by value.");
};

template <class Callable>
struct callable_signature;

template <class Result, class... Parameters>
struct callable_signature<Result (*)(Parameters...)> : plain_signature<Result, Parameters...> {};

template <class Result, class... Parameters>
struct callable_signature<Result (*)(Parameters...) noexcept>
    : plain_signature<Result, Parameters...> {};

template <class Result, class Object, class... Parameters>
struct callable_signature<Result (Object::*)(Parameters...)>
    : plain_signature<Result, Parameters...> {};

template <class Result, class Object, class... Parameters>
struct callable_signature<Result (Object::*)(Parameters...) noexcept>
    : plain_signature<Result, Parameters...> {};

template <class Result, class Object, class... Parameters>
struct callable_signature<Result (Object::*)(Parameters...) const>
    : plain_signature<Result, Parameters...> {};

template <class Result, class Object, class... Parameters>
struct callable_signature<Result (Object::*)(Parameters...) const noexcept>
    : plain_signature<Result, Parameters...> {};

template <class Callable>
concept function_pointer =
    std::is_pointer_v<Callable> && std::is_function_v<std::remove_pointer_t<Callable>>;

template <class Callable>
concept one_call_operator = std::is_class_v<Callable> && requires {
  sizeof(callable_signature<decltype(&Callable::operator())>);
};

template <class Callable>
inline constexpr bool c_variadic = false;
template <class Result, class... Parameters>
inline constexpr bool c_variadic<Result (*)(Parameters..., ...)> = true;
template <class Result, class... Parameters>
inline constexpr bool c_variadic<Result (*)(Parameters..., ...) noexcept> = true;

/// What a job needs to know of a callable. For one that cannot be a job: an error in words, and
/// then void() so that it stays the only one.
template <class Callable>
struct signature_of_type : plain_signature<void> {
  static_assert(
      !std::is_member_pointer_v<Callable>,
      "hardstop: a pointer to a member needs an object, which a job does not have: submit a "
      "lambda that takes the object as an argument, "
      "submit<[](thing object, int x) { return object.work(x); }>(object, x).");
  static_assert(
      !c_variadic<Callable>,
      "hardstop: a C function with '...' has no parameters to send arguments for: wrap it in "
      "a function that names them.");
  static_assert(std::is_member_pointer_v<Callable> || c_variadic<Callable> ||
                    std::is_class_v<Callable>,
                "hardstop: a job is a function, submit<&fn>(...), or a captureless lambda.");
  static_assert(!std::is_class_v<Callable>,
                "hardstop: this callable has no single signature (a generic lambda, or several "
                "operator()): write its parameters' types.");
};

template <class Callable>
  requires(function_pointer<Callable> && !c_variadic<Callable>)
struct signature_of_type<Callable> : callable_signature<Callable> {};

template <one_call_operator Callable>
struct signature_of_type<Callable> : callable_signature<decltype(&Callable::operator())> {};

template <auto Function>
using signature = signature_of_type<std::remove_cv_t<decltype(Function)>>;

/// Arguments to send, a stop token not counted.
template <auto Function>
inline constexpr std::size_t arity = signature<Function>::parameters::count;

template <auto Function>
using result_of = std::remove_cv_t<typename signature<Function>::result>;

/// What a function's first argument is taken for where it is written as a braced list.
template <class List>
struct first_of {
  using type = types<>;  // nothing converts to it
};

template <class First, class... Rest>
struct first_of<types<First, Rest...>> {
  using type = std::remove_cvref_t<First>;
};

template <auto Function>
using first_parameter = typename first_of<typename signature<Function>::parameters>::type;

/// Refuses a wrong number of arguments; the compiler prints both numbers.
template <std::size_t Given, std::size_t Taken>
struct argument_count {
  static_assert(Given == Taken, "hardstop: the job's function takes another number of arguments.");
};

template <class Span>
inline constexpr bool is_writable_span = false;
template <class T, std::size_t Extent>
inline constexpr bool is_writable_span<std::span<T, Extent>> = !std::is_const_v<T>;

/// Refuses a parameter that arguments cannot be sent for.
template <class Parameter>
struct must_be_sendable {
  using value_type = std::remove_cvref_t<Parameter>;
  static constexpr bool writable_reference =
      std::is_lvalue_reference_v<Parameter> && !std::is_const_v<std::remove_reference_t<Parameter>>;
  static_assert(!writable_reference,
                "hardstop: a job works on copies, so nobody would see what it writes through a "
                "reference parameter: take a value or const reference and return the result.");
  static_assert(!is_writable_span<value_type>,
                "hardstop: a job reads its arguments in place but must not write there: take "
                "std::span<const T>, or a std::vector<T> of its own.");
  static constexpr bool value = true;
};

template <class Parameter>
  requires(!is_view<std::remove_cvref_t<Parameter>>)
struct must_be_sendable<Parameter> : must_travel<std::remove_cvref_t<Parameter>> {
  static_assert(!std::is_lvalue_reference_v<Parameter> ||
                    std::is_const_v<std::remove_reference_t<Parameter>>,
                "hardstop: a job works on copies, so nobody would see what it writes through a "
                "reference parameter: take a value or const reference and return the result.");
};

/// Refuses a result that cannot come back.
template <class Result>
struct must_be_returnable : must_travel<std::remove_cv_t<Result>> {};

template <class Result>
  requires std::is_void_v<Result>
struct must_be_returnable<Result> {
  static constexpr bool value = true;
};

template <class Parameters>
inline constexpr bool all_sendable = false;
template <class... Parameters>
inline constexpr bool all_sendable<types<Parameters...>> =
    (must_be_sendable<Parameters>::value && ...);

/// Checks a function as a job. True, or does not compile.
template <auto Function>
inline constexpr bool is_job = all_sendable<typename signature<Function>::parameters> &&
                               must_be_returnable<typename signature<Function>::result>::value;

}  // namespace hardstop::detail
