#include <array>
#include <cmath>
#include <cstdio>

#include "report.hpp"

namespace bench {

namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += ' ';
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  std::array<char, 40> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.6g", value);
  return {text.data(), static_cast<std::size_t>(length)};
}

std::string spread_json(const std::optional<spread>& values) {
  if (!values) return "null";
  return "{\"median\": " + number(values->median) + ", \"least\": " + number(values->least) +
         ", \"greatest\": " + number(values->greatest) + "}";
}

const char* name_of(unit of) {
  switch (of) {
    case unit::time:
      return "ns";
    case unit::per_second:
      return "1/s";
    case unit::bytes:
      return "B";
    case unit::plain:
      break;
  }
  return "1";
}

const char* name_of(verdict how) {
  switch (how) {
    case verdict::met:
      return "met";
    case verdict::missed:
      return "missed";
    case verdict::only_reported:
      return "reported";
    case verdict::not_measured:
      break;
  }
  return "not measured";
}

const char* name_of(cell_end how) {
  switch (how) {
    case cell_end::measured:
      return "measured";
    case cell_end::skipped:
      return "skipped";
    case cell_end::failed:
      break;
  }
  return "failed";
}

// Joins items with commas; nothing before the first.
class list {
 public:
  void add(const std::string& item) { text_ += (text_.empty() ? "\n    " : ",\n    ") + item; }

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string row_json(const row_result& result) {
  const row& planned = *result.planned;
  return "{\"figure\": " + quoted(planned.what) + ", \"target\": " + quoted(planned.target) +
         ", \"unit\": " + quoted(name_of(planned.unit)) +
         ", \"hardstop\": " + spread_json(result.ours) +
         ", \"against\": " + quoted(planned.peer_name) + ", \"peer\": " + spread_json(result.peer) +
         (planned.compared == comparison::ratio ? ", \"ratio\": " : ", \"difference\": ") +
         spread_json(result.against) + ", \"verdict\": " + quoted(name_of(result.verdict)) +
         ", \"note\": " + quoted(result.note) + "}";
}

std::string round_json(std::string_view cell, const cell_result& round) {
  std::string text = "{\"cell\": " + quoted(cell) + ", \"end\": " + quoted(name_of(round.end));
  if (!round.reason.empty()) text += ", \"reason\": " + quoted(round.reason);
  for (const auto& [name, value] : round.figures)
    text += ", " + quoted(name) + ": " + number(value);
  return text + "}";
}

}  // namespace

std::string to_json(const machine& where, const std::vector<row_result>& results,
                    const measurements& all) {
  list table;
  for (const row_result& result : results)
    table.add(row_json(result));
  list rounds;
  for (const auto& [name, cell_rounds] : all) {
    for (const cell_result& round : cell_rounds)
      rounds.add(round_json(name, round));
  }
  return "{\n  \"machine\": {\"processor\": " + quoted(where.processor) +
         ", \"kernel\": " + quoted(where.kernel) + ", \"memory\": " + quoted(where.memory) +
         ", \"huge_pages\": " + quoted(where.huge_pages) +
         ", \"compiler\": " + quoted(where.compiler) + ", \"cpus\": " + std::to_string(where.cpus) +
         ", \"cpus_used\": " + std::to_string(where.cpus_used) +
         ", \"load\": " + number(where.load) + ", \"hardstop\": " + quoted(where.version) +
         "},\n  \"rows\": [" + table.text() + "\n  ],\n  \"rounds\": [" + rounds.text() +
         "\n  ]\n}\n";
}

}  // namespace bench
