#include "cli/doctor/rendering.hpp"

#include <cstddef>
#include <sstream>
#include <string_view>
#include <vector>

#include "cli/json.hpp"
#include <hardstop/version.hpp>

namespace hardstop::cli {
namespace {

constexpr std::size_t line_length = 100;
constexpr std::size_t name_width = 18;
constexpr std::size_t grade_width = 9;
constexpr std::size_t indent = grade_width + 2;

std::string_view name_of(grade how) {
  switch (how) {
    case grade::good:
      return "good";
    case grade::limited:
      return "limited";
    case grade::missing:
      return "missing";
  }
  return "unknown";
}

std::string padded(std::string_view text, std::size_t width) {
  std::string out{text};
  if (out.size() < width) out.append(width - out.size(), ' ');
  return out;
}

// Words in lines, each indented.
std::string wrapped(const std::string& text, std::size_t margin) {
  std::istringstream words{text};
  std::string out;
  std::string line(margin, ' ');
  for (std::string word; words >> word;) {
    if (line.size() > margin && line.size() + 1 + word.size() > line_length) {
      out += line + '\n';
      line.assign(margin, ' ');
    }
    if (line.size() > margin) line += ' ';
    line += word;
  }
  return out + line + '\n';
}

void append_section(std::string& out, std::string_view title,
                    const std::vector<finding>& findings) {
  out.append("\n").append(title).append("\n");
  for (const auto& each : findings) {
    out += "  " + padded(name_of(each.how), grade_width) + padded(each.name, name_width) +
           each.value + '\n';
    out += wrapped(each.meaning, indent + 2);
    if (!each.cure.empty()) {
      out += wrapped((each.how == grade::missing ? "Cure: " : "To get more: ") + each.cure,
                     indent + 2);
    }
  }
}

json_list list_of(const std::vector<finding>& findings) {
  json_list list;
  for (const auto& each : findings) {
    list.add(json_object{}
                 .add("name", each.name)
                 .add("grade", name_of(each.how))
                 .add("value", each.value)
                 .add("meaning", each.meaning)
                 .add("cure", each.cure));
  }
  return list;
}

}  // namespace

std::string to_text(const diagnosis& diagnosis, const machine_facts& facts) {
  std::string out = "hardstop " + std::string{version()} + " on " + facts.kernel + ", " +
                    std::to_string(facts.usable_cpus) + " usable CPU" +
                    (facts.usable_cpus == 1 ? "" : "s") + "\n\n";
  if (diagnosis.refusal.empty()) {
    out += "Pools can start here, and commands can be run so that all of them stops.\n";
  } else {
    out += "Nothing can start here.\n" + wrapped(diagnosis.refusal, 2);
  }
  append_section(out, "Containment", diagnosis.containment);
  append_section(out, "Kernel", diagnosis.kernel);
  append_section(out, "Settings", diagnosis.settings);
  return out;
}

std::string to_json(const diagnosis& diagnosis, const machine_facts& facts) {
  const bool can_start = diagnosis.refusal.empty();
  return json_object{}
      .add("version", version())
      .add("kernel", facts.kernel)
      .add("usable_cpus", facts.usable_cpus)
      .add("can_start", can_start)
      .add("refusal", can_start ? std::optional<std::string>{} : diagnosis.refusal)
      .add("containment", list_of(diagnosis.containment))
      .add("kernel_features", list_of(diagnosis.kernel))
      .add("settings", list_of(diagnosis.settings))
      .text();
}

}  // namespace hardstop::cli
