// The name of a function known at compile time, for errors and statistics. Not an interface for
// users.
#pragma once

#include <string_view>

namespace hardstop::detail {

/// The function as the compiler writes it, e.g. "demo::integrate" or "<lambda(int)>".
template <auto Function>
constexpr std::string_view function_name() noexcept {
  // "… [with auto Function = name; std::string_view = …]" from g++, "… [Function = &name]" from
  // clang.
  std::string_view text = __PRETTY_FUNCTION__;
  constexpr std::string_view key = "Function = ";
  text.remove_prefix(text.find(key) + key.size());
  if (const auto alias = text.rfind("; std::string_view = "); alias != std::string_view::npos) {
    text = text.substr(0, alias);
  } else {
    text.remove_suffix(1);
  }
  if (text.starts_with('&')) text.remove_prefix(1);
  if (text.ends_with("{}")) text.remove_suffix(2);
  return text;
}

}  // namespace hardstop::detail
