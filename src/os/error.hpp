// Errors as values: what failed and with which errno.
//
// Code that runs between fork and exec, in a guardian or under a lock cannot throw; so nothing in
// this layer does.
#pragma once

#include <cerrno>
#include <string>
#include <utility>
#include <variant>

namespace hardstop::os {

struct error {
  int code = 0;                // an errno
  const char* operation = "";  // a literal: what was tried, in a reader's words

  // "opening a pidfd: No such process". Thread-safe.
  [[nodiscard]] std::string message() const;
};

// errno as it stands, for a call that has just failed.
[[nodiscard]] inline error last_error(const char* operation) {
  return {.code = errno, .operation = operation};
}

// A value or the reason why there is none. `value()` without one is undefined.
template <class T, class E = error>
class [[nodiscard]] result {
 public:
  // NOLINTBEGIN(google-explicit-constructor): `return value;` and `return error;` are the point.
  result(T value) : state_{std::in_place_index<0>, std::move(value)} {}

  result(E error) : state_{std::in_place_index<1>, std::move(error)} {}

  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }

  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] T& value() & { return *std::get_if<0>(&state_); }

  [[nodiscard]] const T& value() const& { return *std::get_if<0>(&state_); }

  [[nodiscard]] T&& value() && { return std::move(*std::get_if<0>(&state_)); }

  [[nodiscard]] T& operator*() & { return value(); }

  [[nodiscard]] const T& operator*() const& { return value(); }

  [[nodiscard]] T&& operator*() && { return std::move(*this).value(); }

  [[nodiscard]] T* operator->() { return std::get_if<0>(&state_); }

  [[nodiscard]] const T* operator->() const { return std::get_if<0>(&state_); }

  [[nodiscard]] T value_or(T other) && {
    return has_value() ? std::move(*this).value() : std::move(other);
  }

  [[nodiscard]] const E& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, E> state_;
};

template <class E>
class [[nodiscard]] result<void, E> {
 public:
  result() = default;

  // NOLINTNEXTLINE(google-explicit-constructor)
  result(E error) : state_{std::in_place_index<1>, std::move(error)} {}

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }

  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] const E& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<std::monostate, E> state_;
};

}  // namespace hardstop::os
