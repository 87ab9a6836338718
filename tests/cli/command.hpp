// Running `hardstop` as its users do, and seeing what is left of it.
//
//   const auto ended = test::run({"run", "--timeout", "1s", "--", "sleep", "10"});
//   EXPECT_EQ(ended.shell_status(), 124);
//   EXPECT_EQ(ended.left_behind, "");            // G2: seen the moment hardstop had ended
//
// Every process of a run carries a mark in its environment, so that none is missed whatever it did.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "cli/json_reader.hpp"
#include "support/processes.hpp"

namespace hardstop::test {

using words = std::vector<std::string>;

struct ended_command {
  int wait_status = -1;
  std::string output;
  std::string errors;
  std::string left_behind;  // describes who still lived when it had ended

  // $? in a shell.
  [[nodiscard]] int shell_status() const;

  // The report that --json has written to standard error: its last line.
  [[nodiscard]] json_value report() const;
};

class running_command {
 public:
  explicit running_command(const words& command);
  running_command(running_command&& other) noexcept;
  running_command& operator=(running_command&&) = delete;
  // Killed, should it still be there.
  ~running_command();

  [[nodiscard]] pid_t pid() const { return process_.pid(); }

  [[nodiscard]] const std::string& mark() const { return mark_; }

  void send(int signal) const { (void)process_.send(signal); }

  // The next that it or its command writes, at most that many bytes; empty: nobody has it open any
  // more. Waits.
  [[nodiscard]] std::string read_output() const;

  // What waitpid says once it has stopped or gone on, with WUNTRACED or WCONTINUED.
  [[nodiscard]] int wait_for_change(int options) const;

  // Waits for its end, and looks around.
  ended_command wait();

 private:
  std::string mark_;
  int output_ = -1;
  int errors_ = -1;
  support::watched_process process_;
};

// `hardstop` with arguments.
[[nodiscard]] running_command start(words arguments);
[[nodiscard]] ended_command run(words arguments);

// Any command, found in PATH.
[[nodiscard]] ended_command run_other(const words& command);

// A command line that plays a part in this program; see support/other_process.hpp.
[[nodiscard]] words part(const std::string& name, const words& arguments = {});

[[nodiscard]] words operator+(words first, const words& second);

// The process between hardstop and the command. Waits for it.
[[nodiscard]] pid_t supervisor_of(pid_t hardstop);

}  // namespace hardstop::test
