// A program about to be executed as one of our processes, and what it is told of its role.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hardstop::guardian {

// The numbers of the descriptors that an executed image inherits, in the order its role prescribes.
struct exec_role {
  enum class kind : std::uint8_t { guardian, worker };

  kind part = kind::guardian;
  std::uint64_t worker = 0;  // worker only
  pid_t parent = 0;          // of a worker: its guardian; of a guardian: the client
  // worker: spec, lane, results, arguments, output, errors (-1: none). guardian: control, client,
  // and those of the host that workers keep.
  std::vector<int> descriptors;

  [[nodiscard]] std::string to_text() const;
  static std::optional<exec_role> from_text(std::string_view text);

  // The last argument of an image that plays the part.
  static constexpr const char* guardian_marker = "hardstop:guardian";
  static constexpr const char* worker_marker = "hardstop:worker";
};

inline constexpr const char* role_variable = "HARDSTOP_ROLE";

// Everything execve needs, made before the fork: afterwards nothing may allocate.
class exec_image {
 public:
  // The environment is this process's with the additions put in.
  exec_image(std::vector<std::string> argv, const exec_role& role,
             std::span<const std::pair<std::string, std::string>> additions);
  exec_image(const exec_image&) = delete;
  exec_image& operator=(const exec_image&) = delete;

  // In a child whose descriptor table is its own. Descriptors of the role and of `keep` stay open,
  // and standard input, output and error. Returns an errno, or not at all.
  int execute() noexcept;

  // Also keep these open, under their numbers.
  void keep(std::span<const int> numbers);

 private:
  std::vector<std::string> arguments_;
  std::vector<std::string> environment_;
  std::vector<char*> argument_pointers_;
  std::vector<char*> environment_pointers_;
  std::vector<int> kept_;
};

}  // namespace hardstop::guardian
