#include "guardian/exec_image.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>

#include "os/descriptor.hpp"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define HARDSTOP_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HARDSTOP_ADDRESS_SANITIZER
#endif

#ifdef HARDSTOP_ADDRESS_SANITIZER
extern "C" void __asan_handle_no_return();
#endif

namespace hardstop::guardian {
namespace {

// A child that shares its parent's memory and executes something leaves its frames without
// returning from them: the parent's sanitizer would take them for live ones.
void forget_frames() {
#ifdef HARDSTOP_ADDRESS_SANITIZER
  __asan_handle_no_return();
#endif
}

constexpr std::string_view guardian_name = "guardian";
constexpr std::string_view worker_name = "worker";
constexpr std::size_t guardian_descriptors = 2;
constexpr std::size_t worker_descriptors = 6;

template <class Number>
bool parse(std::string_view& text, Number& number) {
  if (!text.starts_with(':')) return false;
  text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (auto& text : strings)
    pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

void put(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
  const auto entry = name + '=';
  std::erase_if(environment, [&](const std::string& old) { return old.starts_with(entry); });
  environment.push_back(entry + value);
}

}  // namespace

std::string exec_role::to_text() const {
  std::string text{part == kind::guardian ? guardian_name : worker_name};
  text += ':' + std::to_string(parent);
  if (part == kind::worker) text += ':' + std::to_string(worker);
  for (const int number : descriptors)
    text += ':' + std::to_string(number);
  return text;
}

std::optional<exec_role> exec_role::from_text(std::string_view text) {
  exec_role role;
  if (text.starts_with(guardian_name)) {
    text.remove_prefix(guardian_name.size());
  } else if (text.starts_with(worker_name)) {
    text.remove_prefix(worker_name.size());
    role.part = kind::worker;
  } else {
    return std::nullopt;
  }
  if (!parse(text, role.parent)) return std::nullopt;
  if (role.part == kind::worker && !parse(text, role.worker)) return std::nullopt;
  for (int number = -1; parse(text, number);)
    role.descriptors.push_back(number);
  const bool enough = role.part == kind::worker ? role.descriptors.size() == worker_descriptors
                                                : role.descriptors.size() >= guardian_descriptors;
  if (!text.empty() || !enough) return std::nullopt;
  return role;
}

exec_image::exec_image(std::vector<std::string> argv, const exec_role& role,
                       std::span<const std::pair<std::string, std::string>> additions)
    : arguments_{std::move(argv)} {
  arguments_.emplace_back(role.part == exec_role::kind::guardian ? exec_role::guardian_marker
                                                                 : exec_role::worker_marker);
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    environment_.emplace_back(*entry);
  }
  for (const auto& [name, value] : additions)
    put(environment_, name, value);
  put(environment_, role_variable, role.to_text());
  argument_pointers_ = pointers_to(arguments_);
  environment_pointers_ = pointers_to(environment_);
  std::copy_if(role.descriptors.begin(), role.descriptors.end(), std::back_inserter(kept_),
               [](int number) { return number >= 0; });
}

void exec_image::keep(std::span<const int> numbers) {
  kept_.insert(kept_.end(), numbers.begin(), numbers.end());
}

int exec_image::execute() noexcept {
  os::keep_only_across_exec(kept_);
  forget_frames();
  ::execve(argument_pointers_.front(), argument_pointers_.data(), environment_pointers_.data());
  return errno;
}

}  // namespace hardstop::guardian
