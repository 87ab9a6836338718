#include "service/queue/cancel_watch.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "os/signals.hpp"
#include "service/queue/job_table.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::storage {
namespace {

// In case somebody changes the file with tools that do not ring.
constexpr std::chrono::seconds longest_sleep{1};

// Whoever enqueues rings, too: a flood of jobs shall not make a flood of looks.
constexpr std::chrono::milliseconds between_looks{1};

}  // namespace

cancel_watch::cancel_watch(database& file, std::function<void(const receipt&)> tell)
    : file_(file), tell_(std::move(tell)), bell_(file.path()) {
  const os::signals_blocked meanwhile;  // a new thread has its maker's mask
  thread_ = std::thread([this] { watch(); });
}

cancel_watch::~cancel_watch() {
  bell_.interrupt();
  thread_.join();
}

void cancel_watch::watch() {
  for (;;) {
    bell_.forget_rings();
    look();
    if (bell_.pause(between_looks) || bell_.wait(longest_sleep)) return;
  }
}

void cancel_watch::look() {
  std::vector<receipt> wanted;
  try {
    wanted =
        file_.read("look for cancelled jobs in", [](connection& db) { return to_be_stopped(db); });
  } catch (const queue_failure&) {
    return;  // take() and ack() say so; here it is tried again in a second
  }
  std::sort(wanted.begin(), wanted.end());
  for (const auto& each : wanted) {
    if (!std::binary_search(told_.begin(), told_.end(), each)) tell_(each);
  }
  told_ = std::move(wanted);
}

}  // namespace hardstop::storage
