// A guardian under test and the smallest possible client for it.
//
// Workers here run villains by name. A villain's `lane` is the writing end of a pipe, into which it
// writes one byte when its mischief is complete: tests wait for that, never for time.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "guardian/birth.hpp"
#include "guardian/hooks.hpp"
#include "os/descriptor.hpp"
#include "os/pidfd.hpp"
#include "wire/control.hpp"

namespace hardstop::test {

// Runs the villain named in `arguments`.
class villain_hooks final : public guardian::guardian_hooks {
 public:
  int in_guardian(const os::descriptor& spec) override;
  [[noreturn]] void run_worker(guardian::worker_birth birth) override;
};

villain_hooks& hooks();

// With this argument the test program, being set-uid, becomes root, says so by a byte, and stays.
inline constexpr const char* become_root_argument = "--become-root";

struct test_worker {
  wire::worker_id id{};
  pid_t pid = 0;
  os::pidfd handle;
  os::descriptor ready;  // reading end of its lane

  // Waits for its byte; false: it ended without.
  [[nodiscard]] bool wait_ready() const;
};

class test_pool {
 public:
  // Dies (gtest failure by exception) if there is no guardian.
  explicit test_pool(guardian::start_method start = guardian::start_method::fork,
                     std::string cgroup = {});
  explicit test_pool(const guardian::birth_plan& plan);

  ~test_pool() { dismiss(); }

  test_pool(const test_pool&) = delete;
  test_pool& operator=(const test_pool&) = delete;

  static guardian::birth_plan plan_for(guardian::start_method start);

  [[nodiscard]] guardian::born& link() { return link_; }

  // Sends the order; the answer comes with `answer_to_spawn`.
  void order(const std::string& villain, wire::worker_id id, test_worker& worker);
  // A worker that has done its mischief (unless ready is not waited for).
  test_worker spawn(const std::string& villain);
  test_worker spawn_unready(const std::string& villain);

  // For workers ordered from now on.
  void set_memory_limit(std::uint64_t bytes) { memory_limit_ = bytes; }

  void kill(const test_worker& worker);
  // Waits for that worker's account.
  wire::gone gone(const test_worker& worker);

  wire::gone kill_and_wait(const test_worker& worker) {
    kill(worker);
    return gone(worker);
  }

  bool answers_ping();

  // The next message of any kind; nullopt: none for a minute, or the socket was closed.
  std::optional<wire::report> next();
  void send(const wire::request& message, const std::vector<int>& descriptors = {});

  // Waits until warden and guardian have ended.
  void dismiss();
  [[nodiscard]] bool both_end();

 private:
  guardian::born link_;
  std::uint64_t next_id_ = 1;
  std::uint64_t memory_limit_ = 0;
  std::map<std::uint64_t, wire::gone> accounts_;
  std::array<os::descriptor, os::seqpacket::max_descriptors> beside_;
};

}  // namespace hardstop::test
