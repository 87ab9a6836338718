// From a message to a job: the function that its name stands for, called in a worker with arguments
// read there. Not an interface for users.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <hardstop/detail/engine.hpp>
#include <hardstop/detail/signature.hpp>
#include <hardstop/detail/submitting.hpp>
#include <hardstop/errors.hpp>
#include <hardstop/message.hpp>
#include <hardstop/options.hpp>

namespace hardstop::detail {

/// How a message is submitted: its function is known where it was registered. `tmpdir`: what the
/// attempt finds as TMPDIR; empty: what the worker has.
using message_submitter = job_handle (*)(const pool_handle&, const job_options&, const job_message&,
                                         const std::string& tmpdir);

/// The positional arguments, an array of `wanted` of them. Throws message_refused.
[[nodiscard]] nlohmann::json read_message(argument_format format, std::span<const std::byte> bytes,
                                          std::size_t wanted);

/// In a worker, before its attempt.
void use_tmpdir(const std::string& directory);

[[noreturn]] void refuse_argument(std::size_t index, const char* why);

template <class T>
T argument_from(const nlohmann::json& array, std::size_t index) {
  try {
    return array[index].get<T>();
  } catch (const nlohmann::json::exception& unfit) {
    refuse_argument(index, unfit.what());
  }
}

template <auto Function, class... Parameters, std::size_t... Index, class... Before>
void call_with(const nlohmann::json& array, types<Parameters...> /*parameters*/,
               std::index_sequence<Index...> /*indices*/, Before... before) {
  // Braces: read one after the other, all before the call, so that what the function itself throws
  // is never taken for a message that cannot be read.
  std::tuple<std::remove_cvref_t<Parameters>...> read{
      argument_from<std::remove_cvref_t<Parameters>>(array, Index)...};
  static_cast<void>(Function(std::move(before)..., std::move(std::get<Index>(read))...));
}

template <auto Function>
struct message_job {
  using parameters = typename signature<Function>::parameters;

  template <class... Before>
  static void run(argument_format format, const std::vector<std::byte>& arguments,
                  const std::string& tmpdir, Before... before) {
    use_tmpdir(tmpdir);
    const nlohmann::json array = read_message(format, arguments, arity<Function>);
    call_with<Function>(array, parameters(), std::make_index_sequence<arity<Function>>(),
                        std::move(before)...);
  }
};

template <auto Function>
void run_message(argument_format format, std::vector<std::byte> arguments, std::string tmpdir) {
  message_job<Function>::run(format, arguments, tmpdir);
}

template <auto Function>
void run_asked_message(std::stop_token stop, argument_format format,
                       std::vector<std::byte> arguments, std::string tmpdir) {
  message_job<Function>::run(format, arguments, tmpdir, std::move(stop));
}

template <auto Function>
job_handle submit_message(const pool_handle& pool, const job_options& options,
                          const job_message& message, const std::string& tmpdir) {
  if constexpr (signature<Function>::wants_stop_token) {
    return submit_job<&run_asked_message<Function>>(pool, options, message.format,
                                                    message.arguments, tmpdir);
  } else {
    return submit_job<&run_message<Function>>(pool, options, message.format, message.arguments,
                                              tmpdir);
  }
}

}  // namespace hardstop::detail
