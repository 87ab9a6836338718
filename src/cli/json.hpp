// Writing JSON: objects and lists in the order in which they are filled.
//
//   json_object report;
//   report.add("why", "exited").add("exit_code", 0);
//   report.text();                                     // {"why":"exited","exit_code":0}
//
// Text that is not UTF-8 (arguments and paths may be any bytes) has each such byte replaced by
// U+FFFD, so that what is written can always be read.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>

namespace hardstop::cli {

class json_object;
class json_list;

namespace detail {

[[nodiscard]] std::string to_json(std::string_view text);
[[nodiscard]] std::string to_json(double number);
[[nodiscard]] std::string to_json(const json_object& object);
[[nodiscard]] std::string to_json(const json_list& list);

[[nodiscard]] inline std::string to_json(const char* text) {
  return to_json(std::string_view{text});
}

[[nodiscard]] inline std::string to_json(const std::string& text) {
  return to_json(std::string_view{text});
}

template <std::integral Number>
[[nodiscard]] std::string to_json(Number number) {
  if constexpr (std::same_as<Number, bool>) {
    return number ? "true" : "false";
  } else {
    return std::to_string(number);
  }
}

// Nothing is null.
template <class Value>
[[nodiscard]] std::string to_json(const std::optional<Value>& value) {
  return value ? to_json(*value) : "null";
}

}  // namespace detail

class json_object {
 public:
  template <class Value>
  json_object& add(std::string_view name, const Value& value) {
    return add_text(name, detail::to_json(value));
  }

  [[nodiscard]] std::string text() const { return '{' + members_ + '}'; }

 private:
  json_object& add_text(std::string_view name, const std::string& value);

  std::string members_;
};

class json_list {
 public:
  template <class Value>
  json_list& add(const Value& value) {
    if (!elements_.empty()) elements_ += ',';
    elements_ += detail::to_json(value);
    return *this;
  }

  [[nodiscard]] std::string text() const { return '[' + elements_ + ']'; }

 private:
  std::string elements_;
};

}  // namespace hardstop::cli
