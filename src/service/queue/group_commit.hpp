// Several threads' changes in one transaction: the first that comes commits for all that have come
// while it waited for its turn, so that they share one flush of the disk.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace hardstop::storage {

// Request: what is to be committed, with room for what comes out of it. Lives on its thread's stack
// meanwhile. Thread-safe.
template <class Request>
class group_commit {
 public:
  // Commits all it is given, or throws and has changed nothing.
  using committer = std::function<void(std::span<Request* const>)>;

  explicit group_commit(committer commit) : commit_(std::move(commit)) {}

  // Returns once it is committed; throws what the committer has thrown for this request.
  void submit(Request& request) {
    entry mine{.request = &request};
    std::unique_lock lock{mutex_};
    waiting_.push_back(&mine);
    while (!mine.done) {
      if (committing_) {
        changed_.wait(lock);
      } else {
        lead(lock);
      }
    }
    if (mine.failure) std::rethrow_exception(mine.failure);
  }

  // How many are to be committed by whoever leads next.
  [[nodiscard]] std::size_t waiting() const {
    const std::lock_guard lock{mutex_};
    return waiting_.size();
  }

 private:
  struct entry {
    Request* request = nullptr;
    bool done = false;
    std::exception_ptr failure{};
  };

  // For all that wait now; those that come meanwhile are the next group, of another leader.
  void lead(std::unique_lock<std::mutex>& lock) {
    committing_ = true;
    const auto group = std::exchange(waiting_, {});
    lock.unlock();
    commit_group(group);
    lock.lock();
    for (entry* const each : group)
      each->done = true;
    committing_ = false;
    changed_.notify_all();
  }

  // What fails together is tried one by one: what is wrong with one is not the others' failure.
  void commit_group(const std::vector<entry*>& group) {
    std::vector<Request*> requests;
    requests.reserve(group.size());
    for (entry* const each : group)
      requests.push_back(each->request);
    try {
      return commit_(requests);
    } catch (...) {
      group.front()->failure = std::current_exception();
    }
    if (group.size() == 1) return;
    for (entry* const each : group) {
      each->failure = nullptr;
      try {
        commit_(std::span<Request* const>{&each->request, 1});
      } catch (...) {
        each->failure = std::current_exception();
      }
    }
  }

  committer commit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<entry*> waiting_;
  bool committing_ = false;
};

}  // namespace hardstop::storage
