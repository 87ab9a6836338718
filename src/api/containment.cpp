#include <hardstop/containment.hpp>

namespace hardstop {

namespace {

template <class Level>
void describe_answer(std::string& text, std::string_view question,
                     const containment_answer<Level>& answer) {
  text.append(question).append(": ").append(to_string(answer.level));
  if (!answer.explanation.empty()) text.append(". ").append(answer.explanation);
  if (!answer.cure.empty()) text.append("\n  to get more: ").append(answer.cure);
  text.append("\n");
}

}  // namespace

std::string containment_report::describe() const {
  std::string text;
  describe_answer(text, "kill", kill);
  describe_answer(text, "memory", memory);
  describe_answer(text, "oom attribution", oom_attribution);
  return text;
}

std::string_view to_string(kill_containment level) noexcept {
  switch (level) {
    case kill_containment::none:
      return "none";
    case kill_containment::sweep:
      return "sweep";
    case kill_containment::cgroup:
      return "cgroup";
  }
  return "unknown";
}

std::string_view to_string(memory_containment level) noexcept {
  switch (level) {
    case memory_containment::worker:
      return "worker";
    case memory_containment::tree:
      return "tree";
  }
  return "unknown";
}

std::string_view to_string(oom_attribution level) noexcept {
  switch (level) {
    case oom_attribution::guess:
      return "guess";
    case oom_attribution::exact:
      return "exact";
  }
  return "unknown";
}

}  // namespace hardstop
