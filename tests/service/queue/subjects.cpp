#include <span>
#include <utility>

#include "service/queue/file_queue.hpp"
#include "service/queue/folder.hpp"
#include "service/queue/memory_jobs.hpp"
#include "service/queue/other_taker.hpp"
#include "service/queue/subject.hpp"

namespace hardstop::test {
namespace {

using namespace std::chrono_literals;

job_message some_message() {
  return {.name = "work",
          .format = argument_format::json,
          .arguments = {std::byte{'['}, std::byte{']'}}};
}

class in_memory final : public subject {
 public:
  in_memory() { queue_.on_cancel(told_.ear()); }

  [[nodiscard]] rules its_rules() const override { return {.lease = 10s, .max_attempts = 2}; }

  source& taker(unsigned) override { return queue_; }

  [[nodiscard]] std::vector<const told_log*> listeners() const override { return {&told_}; }

  std::string enqueue(int) override { return queue_.enqueue(some_message()); }

  bool cancel(const std::string& id) override { return queue_.cancel(id); }

  [[nodiscard]] std::size_t size() override { return queue_.size(); }

 private:
  told_log told_;
  storage::memory_jobs queue_{{.max_attempts = 2, .lease = 10s}, clock.reader()};
};

// Of the file that a test's queues share. What a power cut would do is not tested here, and
// flushing the disk takes long.
const queue_options file_options{.lease = 10s, .durability = durability::process};

class in_file : public subject {
 public:
  in_file() { queue_.on_cancel(told_.ear()); }

  [[nodiscard]] rules its_rules() const override {
    return {.lease = 10s, .max_attempts = 3, .back_off = 1s, .priorities = true};
  }

  source& taker(unsigned) override { return queue_; }

  [[nodiscard]] std::vector<const told_log*> listeners() const override { return {&told_}; }

  std::string enqueue(int priority) override {
    const auto message = some_message();
    return queue_.enqueue({&message, 1}, {.priority = priority, .max_attempts = 3, .back_off = 1s})
        .front();
  }

  bool cancel(const std::string& id) override { return queue_.cancel(id); }

  [[nodiscard]] std::size_t size() override {
    return queue_.count(queued_state::queued) + queue_.count(queued_state::leased);
  }

 protected:
  [[nodiscard]] const std::string& path() const { return queue_.path(); }

 private:
  folder folder_;
  told_log told_;
  storage::file_queue queue_{folder_ / "jobs.db", file_options, clock.reader()};
};

class in_file_twice final : public in_file {
 public:
  in_file_twice() { second_.on_cancel(second_told_.ear()); }

  source& taker(unsigned which) override { return which == 0 ? in_file::taker(0) : second_; }

  [[nodiscard]] std::vector<const told_log*> listeners() const override {
    auto all = in_file::listeners();
    all.push_back(&second_told_);
    return all;
  }

 private:
  told_log second_told_;
  storage::file_queue second_{path(), file_options, clock.reader()};
};

class in_two_processes final : public in_file {
 public:
  source& taker(unsigned which) override { return which == 0 ? in_file::taker(0) : second_; }

 private:
  other_taker second_{path(), file_options.lease, clock.reader()};
};

}  // namespace

std::unique_ptr<subject> memory_subject() {
  return std::make_unique<in_memory>();
}

std::unique_ptr<subject> one_object_subject() {
  return std::make_unique<in_file>();
}

std::unique_ptr<subject> two_objects_subject() {
  return std::make_unique<in_file_twice>();
}

std::unique_ptr<subject> two_processes_subject() {
  return std::make_unique<in_two_processes>();
}

}  // namespace hardstop::test
