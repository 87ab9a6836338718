// What a source of jobs must do, said as simply as it can be: no file, no lock, no index.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <hardstop/source.hpp>

namespace hardstop::test {

using model_time = std::chrono::system_clock::time_point;

// In what sources may differ.
struct rules {
  std::chrono::nanoseconds lease = std::chrono::seconds(10);
  unsigned max_attempts = 3;
  std::chrono::nanoseconds back_off{0};
  bool priorities = false;
};

class model {
 public:
  explicit model(const rules& of) : rules_(of) {}

  void enqueue(const std::string& id, int priority) {
    jobs_[id] = {.order = ++enqueued_, .priority = priority};
  }

  // What take() gives now, in order.
  std::vector<std::string> take(std::size_t at_most, model_time now) {
    sweep(now);
    std::vector<std::string> ready;
    for (const auto& [id, each] : jobs_) {
      if (each.state == state::waiting && each.due <= now) ready.push_back(id);
    }
    std::sort(ready.begin(), ready.end(), [&](const auto& left, const auto& right) {
      const auto& one = jobs_.at(left);
      const auto& other = jobs_.at(right);
      return one.priority != other.priority ? one.priority > other.priority
                                            : one.order < other.order;
    });
    if (ready.size() > at_most) ready.resize(at_most);
    for (const auto& id : ready) {
      auto& each = jobs_.at(id);
      each.state = state::leased;
      each.until = now + rules_.lease;
      ++each.attempts;
    }
    return ready;
  }

  // The source's number for the lease that take() has just given. False: it was given before.
  bool numbered(const receipt& given) {
    auto& each = jobs_.at(given.job);
    const bool fresh = given.attempt > each.lease;
    each.lease = given.attempt;
    return fresh;
  }

  // The three below: whether the source accepts it.
  bool extend(const receipt& which, model_time now) {
    job* const found = held_as(which);
    if (found == nullptr) return false;
    found->state = state::leased;
    found->until = now + rules_.lease;
    return true;
  }

  bool ack(const receipt& which) {
    job* const found = held_as(which);
    if (found != nullptr) end(*found);
    return found != nullptr;
  }

  bool nack(const receipt& which, nack_reason reason, model_time now) {
    job* const found = held_as(which);
    if (found == nullptr) return false;
    const bool used_up = reason == nack_reason::failed && found->attempts >= rules_.max_attempts;
    const bool over = reason == nack_reason::cancelled || reason == nack_reason::refused;
    if (over || used_up || found->to_be_stopped) {
      end(*found);
      return true;
    }
    if (reason == nack_reason::returned) --found->attempts;
    if (reason == nack_reason::failed) {
      found->due = now + rules_.back_off * (1 << (found->attempts - 1));
    }
    found->state = state::waiting;
    found->until.reset();
    return true;
  }

  struct cancelled {
    bool accepted = false;
    std::optional<receipt> told{};  // for whom on_cancel is called
  };

  cancelled cancel(const std::string& id) {
    auto& each = jobs_.at(id);
    if (each.state == state::ended) return {};
    if (each.state == state::waiting) {
      end(each);
      return {.accepted = true};
    }
    if (std::exchange(each.to_be_stopped, true)) return {.accepted = true};
    return {.accepted = true, .told = receipt{.job = id, .attempt = each.lease}};
  }

  // Neither done nor given up.
  [[nodiscard]] std::size_t size() const {
    return static_cast<std::size_t>(std::count_if(jobs_.begin(), jobs_.end(), [](const auto& each) {
      return each.second.state != state::ended;
    }));
  }

 private:
  enum class state : std::uint8_t { waiting, leased, ended };

  struct job {
    int order = 0;
    int priority = 0;
    model::state state = state::waiting;
    unsigned attempts = 0;
    unsigned lease = 0;
    model_time due{};
    // Of the last lease, for as long as it can be settled: until the job is given to somebody else.
    std::optional<model_time> until{};
    bool to_be_stopped = false;
  };

  void sweep(model_time now) {
    for (auto& [id, each] : jobs_) {
      if (each.state != state::leased || *each.until > now) continue;
      if (each.to_be_stopped || each.attempts >= rules_.max_attempts) {
        end(each);
      } else {
        each.state = state::waiting;
      }
    }
  }

  job* held_as(const receipt& which) {
    auto& found = jobs_.at(which.job);
    return found.state != state::ended && found.until && found.lease == which.attempt ? &found
                                                                                      : nullptr;
  }

  static void end(job& which) {
    which.state = state::ended;
    which.until.reset();
  }

  rules rules_;
  std::map<std::string, job> jobs_;
  int enqueued_ = 0;
};

}  // namespace hardstop::test
