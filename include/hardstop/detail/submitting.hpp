// From a function and its arguments to a job, and from a finished job to its value. What pools,
// run() and the adapters share. Not an interface for users.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <type_traits>

#include <hardstop/detail/encoding.hpp>
#include <hardstop/detail/engine.hpp>
#include <hardstop/detail/function_name.hpp>
#include <hardstop/detail/job_body.hpp>
#include <hardstop/detail/signature.hpp>
#include <hardstop/detail/transfer.hpp>
#include <hardstop/errors.hpp>
#include <hardstop/options.hpp>

namespace hardstop::detail {

inline constexpr job_options default_job_options{};

template <auto Function, class... Arguments>
job_handle submit_job(const pool_handle& pool, const job_options& options,
                      const Arguments&... arguments) {
  static_assert(is_job<Function>);
  static constexpr std::string_view name = function_name<Function>();
  encoder out;
  write_arguments(out, typename signature<Function>::parameters(), arguments...);
  return pool.submit({.function = id_of<Function>(),
                      .arguments = out,
                      .options = options,
                      .stop_token = signature<Function>::wants_stop_token ? stop_token_use::wanted
                                                                          : stop_token_use::none,
                      .default_name = name});
}

/// The value of a job that is done, or its error thrown. The result's memory goes back with the
/// last handle, which callers drop next.
template <class Result>
Result take_result(const job_handle& job) {
  if (job.kind() != outcome_kind::value) throw_job_error(job.outcome());
  if constexpr (!std::is_void_v<Result>) {
    decoder in(job.payload(), segment_source::of(job));
    Result result = read<Result>(in);
    if (in.remaining() != 0) throw_bad_length();
    return result;
  }
}

/// The error of a job that is done; null if it has a value.
inline std::exception_ptr make_job_error_of(const job_handle& job) {
  return job.kind() == outcome_kind::value ? nullptr : make_job_error(job.outcome());
}

/// A stateless callable given as an argument instead of a template argument.
template <class Callable>
concept stateless = std::is_class_v<Callable> && std::is_empty_v<Callable> &&
                    std::is_default_constructible_v<Callable>;

/// Refuses what cannot be told from its type alone.
template <class Callable>
struct must_be_stateless {
  static_assert(
      !function_pointer<Callable>,
      "hardstop: a pointer to a function means nothing in another process: name the function "
      "as the template argument, submit<&fn>(...).");
  static_assert(
      !std::is_member_pointer_v<Callable>,
      "hardstop: a pointer to a member needs an object, which a job does not have: submit a "
      "lambda that takes the object as an argument.");
  static_assert(!is_type_erased_function<Callable>,
                "hardstop: a std::function cannot travel: name the function to run as the template "
                "argument, submit<&fn>(...), and pass data.");
  static_assert(
      function_pointer<Callable> || std::is_member_pointer_v<Callable> ||
          is_type_erased_function<Callable> || stateless<Callable>,
      "hardstop: a lambda that captures cannot travel: pass what it captures as arguments, "
      "submit([](int x) { ... }, x).");
};

/// True, or does not compile.
template <class Callable>
inline constexpr bool can_be_job =
    (static_cast<void>(must_be_stateless<Callable>()), stateless<Callable>);

template <class Options, class... Arguments>
inline constexpr bool begins_with = false;
template <class Options, class First, class... Rest>
inline constexpr bool begins_with<Options, First, Rest...> =
    std::convertible_to<First, const Options&>;

/// Neither the function's arguments nor options before them.
template <auto Function, class Options, class... Arguments>
concept wrong_arguments =
    sizeof...(Arguments) != arity<Function> && !begins_with<Options, Arguments...>;

/// Nothing converts to this. A candidate that never fits puts the name of its parameter into the
/// compiler's message where a function's name is overloaded, which no static_assert gets to see.
struct never {
  never() = delete;
};

}  // namespace hardstop::detail
