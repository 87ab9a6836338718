#include "cli/json.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace hardstop::cli {
namespace {

constexpr std::string_view replacement = "\\ufffd";

unsigned char byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

// How many bytes a lead byte announces; 0: it is none. Overlong forms have no lead byte of their
// own but C0, C1 and, with a second byte, E0 and F0; JSON's readers differ on what they accept, so
// none is let through.
std::size_t announced(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  if (lead >= 0xF0 && lead < 0xF5) return 4;
  return 0;
}

// Length of the well-formed UTF-8 character at the front of the text; 0: there is none.
std::size_t character_length(std::string_view text) {
  const auto length = announced(byte_at(text, 0));
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t at = 1; at < length; ++at) {
    if ((byte_at(text, at) & 0xC0U) != 0x80U) return 0;
  }
  if (length < 3) return length;
  const auto lead = byte_at(text, 0);
  const auto second = byte_at(text, 1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool surrogate = lead == 0xED && second >= 0xA0;
  const bool beyond = lead == 0xF4 && second >= 0x90;
  return overlong || surrogate || beyond ? 0 : length;
}

void append_ascii(std::string& into, unsigned char character) {
  switch (character) {
    case '"':
      into += "\\\"";
      return;
    case '\\':
      into += "\\\\";
      return;
    case '\n':
      into += "\\n";
      return;
    case '\t':
      into += "\\t";
      return;
    default:
      break;
  }
  constexpr unsigned char first_printable = 0x20;
  if (character >= first_printable) {
    into += static_cast<char>(character);
    return;
  }
  std::array<char, 8> escaped;
  std::snprintf(escaped.data(), escaped.size(), "\\u%04x", character);
  into += escaped.data();
}

}  // namespace

namespace detail {

std::string to_json(std::string_view text) {
  std::string quoted{'"'};
  while (!text.empty()) {
    const auto length = character_length(text);
    if (length == 0) {
      quoted += replacement;
    } else if (length == 1) {
      append_ascii(quoted, byte_at(text, 0));
    } else {
      quoted += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return quoted + '"';
}

std::string to_json(double number) {
  if (!std::isfinite(number)) return "null";
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.6f", number);
  return text.data();
}

std::string to_json(const json_object& object) {
  return object.text();
}

std::string to_json(const json_list& list) {
  return list.text();
}

}  // namespace detail

json_object& json_object::add_text(std::string_view name, const std::string& value) {
  if (!members_.empty()) members_ += ',';
  members_ += detail::to_json(name) + ':' + value;
  return *this;
}

}  // namespace hardstop::cli
