#include <string>
#include <utility>

#include <hardstop/errors.hpp>

namespace hardstop {

namespace {

std::string advice(const outcome& how) {
  switch (how.kind()) {
    case outcome_kind::value:
      return "";
    case outcome_kind::exception:
      return "The function itself threw this in its worker; job_exception tells type and message";
    case outcome_kind::cancelled:
      return "It may be submitted again";
    case outcome_kind::timed_out:
      return "It would happen again: give it less to do, or more time by job_options::timeout";
    case outcome_kind::worker_died:
      return "The pool goes on with a new worker; job_options::retries runs a job again if that is "
             "harmless";
    case outcome_kind::memory_limit:
      return "It would happen again: give it less to do, or more memory by job_options::max_memory "
             "or pool_options::max_memory";
    case outcome_kind::not_started:
      break;
  }
  const auto* never = how.as<outcome::not_started>();
  if (never != nullptr && never->why == outcome::not_started::cause::shutdown) {
    return "Nothing of it ran; submit it to another pool";
  }
  return "Nothing of it ran; remove the reason given and make a new pool";
}

std::string message_of(const outcome& how) {
  std::string text = how.describe();
  if (const std::string cure = advice(how); !cure.empty()) text.append(". ").append(cure);
  return text;
}

template <class Visitor>
auto with_error_type(outcome_kind kind, Visitor visit) {
  switch (kind) {
    case outcome_kind::value:
      break;
    case outcome_kind::exception:
      return visit.template operator()<job_exception>();
    case outcome_kind::cancelled:
      return visit.template operator()<job_cancelled>();
    case outcome_kind::timed_out:
      return visit.template operator()<job_timed_out>();
    case outcome_kind::worker_died:
      return visit.template operator()<worker_died>();
    case outcome_kind::memory_limit:
      return visit.template operator()<memory_limit_exceeded>();
    case outcome_kind::not_started:
      return visit.template operator()<job_not_started>();
  }
  throw error("a job that has a value was taken for one that has none: please report this");
}

const outcome::exception& exception_of(const outcome& how) noexcept {
  static const outcome::exception unknown{};
  const auto* thrown = how.as<outcome::exception>();
  return thrown != nullptr ? *thrown : unknown;
}

}  // namespace

job_error::job_error(hardstop::outcome how)
    : error(message_of(how)), outcome_(std::make_shared<const hardstop::outcome>(std::move(how))) {}

const std::string& job_exception::type() const noexcept {
  return exception_of(outcome()).type;
}

const std::string& job_exception::message() const noexcept {
  return exception_of(outcome()).what;
}

void throw_job_error(hardstop::outcome how) {
  with_error_type(how.kind(), [&]<class Error>() { throw Error(std::move(how)); });
  std::terminate();  // not reached: every kind throws
}

std::exception_ptr make_job_error(hardstop::outcome how) {
  if (how.is_value()) return nullptr;
  return with_error_type(
      how.kind(), [&]<class Error>() { return std::make_exception_ptr(Error(std::move(how))); });
}

}  // namespace hardstop
