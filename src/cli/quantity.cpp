#include "cli/quantity.hpp"

#include <signal.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace hardstop::cli {
namespace {

struct amount {
  double value = 0;
  std::string unit;
};

// A number that is not negative, and what follows it.
std::optional<amount> split(const std::string& text) {
  const auto first = static_cast<unsigned char>(text.empty() ? '-' : text.front());
  if (std::isspace(first) != 0 || first == '-' || first == '+') return std::nullopt;
  char* end = nullptr;
  // Unlike from_chars it tells too much (infinity) from too little (zero).
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || std::isnan(value)) return std::nullopt;
  return amount{.value = value, .unit = text.substr(static_cast<std::size_t>(end - text.c_str()))};
}

template <std::size_t Count>
std::optional<double> factor_of(
    std::string_view unit, const std::array<std::pair<std::string_view, double>, Count>& known) {
  const auto found =
      std::find_if(known.begin(), known.end(), [&](const auto& one) { return one.first == unit; });
  if (found == known.end()) return std::nullopt;
  return found->second;
}

constexpr double minute = 60;
constexpr double hour = 60 * minute;
constexpr double day = 24 * hour;
constexpr std::array<std::pair<std::string_view, double>, 6> time_units{
    {{"", 1}, {"ms", 1e-3}, {"s", 1}, {"m", minute}, {"h", hour}, {"d", day}}};

constexpr double kibi = 1024;
constexpr std::string_view size_letters = "KMGTP";

std::optional<double> size_factor(std::string_view unit) {
  if (unit.empty() || unit == "B") return 1;
  const auto letter = size_letters.find(unit.front() == 'k' ? 'K' : unit.front());
  const auto rest = unit.substr(1);
  // "KB" would mean 1000 to some and 1024 to others.
  if (letter == std::string_view::npos || (!rest.empty() && rest != "i" && rest != "iB")) {
    return std::nullopt;
  }
  return std::pow(kibi, static_cast<double>(letter + 1));
}

std::string without_prefix(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
  if (text.starts_with("SIG")) text.erase(0, 3);
  return text;
}

std::optional<int> to_signal_number(std::string_view text) {
  int number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<os::duration> parse_duration(std::string_view text) {
  const auto found = split(std::string{text});
  if (!found) return std::nullopt;
  const auto factor = factor_of(found->unit, time_units);
  if (!factor) return std::nullopt;
  const double nanoseconds = std::ceil(found->value * *factor * 1e9);
  // Half of what the clock can tell, so that "now and so long" can be told, too.
  if (nanoseconds >= static_cast<double>(os::duration::max().count()) / 2) {
    return os::duration::max();
  }
  return os::duration{static_cast<os::duration::rep>(nanoseconds)};
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto found = split(std::string{text});
  if (!found) return std::nullopt;
  const auto factor = size_factor(found->unit);
  if (!factor) return std::nullopt;
  const double bytes = std::ceil(found->value * *factor);
  if (bytes >= 0x1p63) return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

std::optional<int> parse_signal(std::string_view text) {
  const auto valid = [](int number) { return number > 0 && number <= SIGRTMAX; };
  if (const auto number = to_signal_number(text)) {
    return valid(*number) ? number : std::nullopt;
  }
  const auto name = without_prefix(std::string{text});
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    if (without_prefix(signal_name(signal)) == name) return signal;
  }
  return std::nullopt;
}

std::string signal_name(int signal) {
  if (signal >= SIGRTMIN && signal <= SIGRTMAX) {
    const int above = signal - SIGRTMIN;
    return above == 0 ? "SIGRTMIN" : "SIGRTMIN+" + std::to_string(above);
  }
  const char* const name = ::sigabbrev_np(signal);
  return name == nullptr ? std::to_string(signal) : std::string{"SIG"} + name;
}

std::string describe_size(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> units{"bytes", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= kibi && unit + 1 < units.size(); ++unit)
    value /= kibi;
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text.data();
}

}  // namespace hardstop::cli
