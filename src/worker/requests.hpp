// What the job that runs in this process asks of its client, and the answers. In whatever language:
// the loop says which attempt runs, C++ and Python ask here.
//
// Any thread of the job may ask. Nothing of it survives the worker, and nothing needs to: the
// client knows what each attempt holds, and takes it back at the attempt's end. A forked child of
// the job asks for nothing: it has no lane.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "os/same_process.hpp"
#include "wire/client_words.hpp"
#include "wire/frame.hpp"
#include "wire/job_request.hpp"
#include "worker/runtime.hpp"

namespace hardstop::worker {

class requests {
 public:
  // Null in a process that is no worker, and in a job's forked child.
  static requests* of_this_process();

  // The loop's, once, before the first attempt. Lives as long as the process.
  static void prepare(job_output& output, const wire::client_words& words);

  // The loop's thread, around each attempt.
  static void begin(wire::ticket attempt);
  static void end();

  requests(const requests&) = delete;
  requests& operator=(const requests&) = delete;

  // Tells the threads of this process apart: 0 for the one that runs jobs.
  static std::uint64_t context_of_this_thread();

  // The attempt that runs; none between jobs.
  wire::ticket attempt() const { return attempt_.load(std::memory_order_relaxed); }

  // Sends a request and returns its number. Waits while the lane is full, or 48 of this process's
  // requests are unanswered. Nothing: the attempt is over.
  std::optional<std::uint64_t> ask(wire::job_request);

  // Whether ask() would not wait for others' answers.
  bool has_room();

  // Its answer, once. Nothing: the time came first, or a signal handler ran.
  std::optional<wire::job_answer> wait(std::uint64_t request,
                                       std::optional<std::chrono::steady_clock::time_point> until);

  // What a request got.
  void give_back(std::uint64_t request);

  // A request whose answer was not taken: what it got or is to get comes back.
  void withdraw(std::uint64_t request);

  // A section that a cancel waits for, at most so long. Of nested ones the outermost counts.
  // Returns the attempt that runs, for unshield(); none if there is none.
  wire::ticket shield(std::chrono::nanoseconds longest, std::string_view reason);
  void unshield(wire::ticket of);

  // Whether some thread of the attempt is in one.
  bool shielded() const { return shields_.load(std::memory_order_relaxed) != 0; }

 private:
  requests(job_output& output, const wire::client_words& words) : output_(output), words_(words) {}

  ~requests() = default;

  void enter(wire::ticket attempt);
  bool send(const wire::job_request&);
  std::optional<wire::client_answer> take(std::uint64_t request);
  bool reserve();
  void take_answers();

  const std::uint64_t generation_ = os::process_generation();
  job_output& output_;
  wire::client_words words_;
  std::atomic<wire::ticket> attempt_{wire::ticket::none};
  std::atomic<std::uint64_t> last_{0};
  std::atomic<std::uint32_t> shields_{0};

  std::mutex lock_;             // of what follows
  std::size_t unanswered_ = 0;  // requests whose answers may still come
  std::unordered_map<std::uint64_t, wire::client_answer> arrived_;
  std::unordered_set<std::uint64_t> unwanted_;  // withdrawn before their answers came
};

}  // namespace hardstop::worker
