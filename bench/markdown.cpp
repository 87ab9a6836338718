#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include "report.hpp"

namespace bench {

namespace {

// Three digits that count.
std::string digits(double value) {
  std::array<char, 32> text{};
  const double size = std::fabs(value);
  const int places = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  const int length = std::snprintf(text.data(), text.size(), "%.*f", places, value);
  return {text.data(), static_cast<std::size_t>(length)};
}

struct scale {
  double size;
  const char* name;
};

scale scale_of(double value, unit of) {
  const double size = std::fabs(value);
  switch (of) {
    case unit::time:
      if (size >= 1e6) return {1e6, " ms"};
      if (size >= 1e3) return {1e3, " µs"};
      return {1, " ns"};
    case unit::per_second:
      if (size >= 1e6) return {1e6, " M/s"};
      if (size >= 1e3) return {1e3, " k/s"};
      return {1, "/s"};
    case unit::bytes:
      return {1, " B"};
    case unit::plain:
      break;
  }
  return {1, ""};
}

std::string with_unit(double value, unit of) {
  const scale in = scale_of(value, of);
  return digits(value / in.size) + in.name;
}

// "12.3 µs (11.9–14.0)": the ends in the unit of the middle.
std::string with_spread(const std::optional<spread>& values, unit of) {
  if (!values) return "–";
  const scale in = scale_of(values->median, of);
  return with_unit(values->median, of) + " (" + digits(values->least / in.size) + "–" +
         digits(values->greatest / in.size) + ")";
}

std::string signed_time(double value, unit of) {
  return (value >= 0 ? "+" : "−") + with_unit(std::fabs(value), of);
}

std::string against(const row_result& result) {
  if (!result.against) return "–";
  const spread& values = *result.against;
  if (result.planned->compared == comparison::ratio) {
    return digits(values.median) + "x (" + digits(values.least) + "–" + digits(values.greatest) +
           ")";
  }
  const unit of = result.planned->unit;
  return signed_time(values.median, of) + " (" + signed_time(values.least, of) + " to " +
         signed_time(values.greatest, of) + ")";
}

const char* in_words(verdict how) {
  switch (how) {
    case verdict::met:
      return "met";
    case verdict::missed:
      return "**missed**";
    case verdict::only_reported:
      return "";
    case verdict::not_measured:
      break;
  }
  return "not measured";
}

std::string or_dash(std::string_view text) {
  return text.empty() ? "–" : std::string(text);
}

}  // namespace

std::string to_summary(const std::vector<row_result>& results) {
  std::string text = "| figure | hardstop | target | measured beside it |\n|---|---|---|---|\n";
  for (const row_result& result : results) {
    const row& planned = *result.planned;
    if (planned.target.empty()) continue;
    const std::string peer = result.peer ? std::string(planned.peer_name) + ": " +
                                               with_unit(result.peer->median, planned.unit)
                                         : std::string("–");
    const std::string ours =
        result.ours ? with_unit(result.ours->median, planned.unit) : std::string("–");
    const bool missed = result.verdict == verdict::missed;
    text += "| " + std::string(planned.what) + " | " + ours + " | " + std::string(planned.target) +
            (missed ? ", missed" : "") + " | " + peer + " |\n";
  }
  return text;
}

std::string to_markdown(const machine& where, const std::vector<row_result>& results) {
  std::string text = "| figure | target | hardstop | against | its figure | pair by pair | |\n";
  text += "|---|---|---|---|---|---|---|\n";
  for (const row_result& result : results) {
    const row& planned = *result.planned;
    text += "| " + std::string(planned.what) + " | " + or_dash(planned.target) + " | " +
            with_spread(result.ours, planned.unit) + " | " + or_dash(planned.peer_name) + " | " +
            with_spread(result.peer, planned.unit) + " | " + against(result) + " | " +
            in_words(result.verdict) + " |\n";
  }
  text += "\nMedian (least–greatest) of the rounds. ";
  text += where.processor + ", " + std::to_string(where.cpus_used) + " of " +
          std::to_string(where.cpus) + " CPUs used, " + where.memory + ", " + where.kernel +
          ", transparent huge pages " + where.huge_pages + ", " + where.compiler + ", hardstop " +
          where.version + ". Load average at the start: " + digits(where.load) + ".\n";
  for (const row_result& result : results) {
    if (result.note.empty()) continue;
    text += "\n- " + std::string(result.planned->what) + ": " + result.note + "\n";
  }
  return text;
}

}  // namespace bench
