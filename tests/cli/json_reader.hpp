// Reading JSON strictly, to see that what hardstop writes is some. Throws where it is not, and
// where a member or a type is asked for that is not there.
#pragma once

#include <charconv>
#include <cstddef>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hardstop::test {

class json_value {
 public:
  using object = std::map<std::string, json_value>;
  using list = std::vector<json_value>;
  using content = std::variant<std::nullptr_t, bool, double, std::string, list, object>;

  explicit json_value(content value) : content_{std::move(value)} {}

  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::nullptr_t>(content_); }

  [[nodiscard]] bool truth() const { return std::get<bool>(content_); }

  [[nodiscard]] double number() const { return std::get<double>(content_); }

  [[nodiscard]] const std::string& text() const { return std::get<std::string>(content_); }

  [[nodiscard]] const list& elements() const { return std::get<list>(content_); }

  [[nodiscard]] const json_value& at(std::size_t place) const { return elements().at(place); }

  [[nodiscard]] const json_value& operator[](const char* name) const {
    return std::get<object>(content_).at(name);
  }

 private:
  content content_;
};

class json_reader {
 public:
  explicit json_reader(std::string_view text) : rest_{text} {}

  json_value whole() {
    auto value = any();
    blanks();
    if (!rest_.empty()) fail();
    return value;
  }

 private:
  [[noreturn]] void fail() const {
    throw std::runtime_error("no JSON at: " + std::string{rest_.substr(0, 40)});
  }

  void blanks() {
    while (!rest_.empty() &&
           std::string_view{" \n\r\t"}.find(rest_.front()) != std::string_view::npos)
      rest_.remove_prefix(1);
  }

  bool take(std::string_view word) {
    blanks();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  void expect(std::string_view word) {
    if (!take(word)) fail();
  }

  json_value any() {
    if (take("null")) return json_value{nullptr};
    if (take("true")) return json_value{true};
    if (take("false")) return json_value{false};
    if (take("{")) return json_value{members()};
    if (take("[")) return json_value{elements()};
    if (take("\"")) return json_value{string()};
    return json_value{number()};
  }

  json_value::object members() {
    json_value::object found;
    if (take("}")) return found;
    do {
      expect("\"");
      auto name = string();
      expect(":");
      if (!found.emplace(std::move(name), any()).second) fail();
    } while (take(","));
    expect("}");
    return found;
  }

  json_value::list elements() {
    json_value::list found;
    if (take("]")) return found;
    do {
      found.push_back(any());
    } while (take(","));
    expect("]");
    return found;
  }

  double number() {
    double value = 0;
    const auto [end, failed] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (failed != std::errc{}) fail();
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  std::string string() {
    std::string value;
    for (; !rest_.empty() && rest_.front() != '"'; rest_.remove_prefix(1)) {
      if (static_cast<unsigned char>(rest_.front()) < 0x20) fail();
      value += rest_.front() == '\\' ? escaped() : std::string{rest_.front()};
    }
    if (rest_.empty()) fail();
    rest_.remove_prefix(1);
    return value;
  }

  // Leaves the last character of the escape for the caller to pass.
  std::string escaped() {
    rest_.remove_prefix(1);
    if (rest_.empty()) fail();
    switch (rest_.front()) {
      case '"':
      case '\\':
      case '/':
        return std::string{rest_.front()};
      case 'n':
        return "\n";
      case 't':
        return "\t";
      case 'u':
        break;
      default:
        fail();
    }
    if (rest_.size() < 5) fail();
    const std::string digits{rest_.substr(1, 4)};
    rest_.remove_prefix(4);
    return "\\u" + digits;  // good enough to compare
  }

  std::string_view rest_;
};

inline json_value read_json(std::string_view text) {
  return json_reader{text}.whole();
}

}  // namespace hardstop::test
