// What tests of services have in common: a folder of their own, jobs that wait for the test, and a
// log that can be waited for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "scenario/gates.hpp"
#include "support/board.hpp"
#include "support/other_process.hpp"
#include <hardstop/service.hpp>

namespace service_stage {

class folder {
 public:
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "service-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }

  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;

  ~folder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Keeps every record's event and text. Any thread.
class log_book {
 public:
  std::function<void(const hardstop::log_record&)> writer() {
    return [this](const hardstop::log_record& record) {
      const std::scoped_lock lock(mutex_);
      lines_.emplace_back(std::string(record.event), std::string(record.text));
      changed_.notify_all();
    };
  }

  // Waits for a record of that event that contains that text.
  std::string wait_for(const std::string& event, const std::string& text = "") {
    std::unique_lock lock(mutex_);
    std::string found;
    const bool came = changed_.wait_for(lock, support::patience, [&] {
      for (const auto& [what, line] : lines_) {
        if (what != event || line.find(text) == std::string::npos) continue;
        found = line;
        return true;
      }
      return false;
    });
    if (!came) throw std::runtime_error("the log never said " + event + ": " + text + "\n" + all());
    return found;
  }

  [[nodiscard]] std::size_t count(const std::string& event) const {
    const std::scoped_lock lock(mutex_);
    std::size_t many = 0;
    for (const auto& [what, line] : lines_)
      many += what == event ? 1 : 0;
    return many;
  }

  [[nodiscard]] std::string text() const {
    const std::scoped_lock lock(mutex_);
    return all();
  }

 private:
  [[nodiscard]] std::string all() const {
    std::string text;
    for (const auto& [what, line] : lines_)
      text += what + ": " + line + "\n";
    return text;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<std::string, std::string>> lines_;
};

// --- jobs; a board travels as words

inline void add(int /*one*/, int /*other*/) {}

inline void wait_at_gate(std::vector<std::string> board, int number, unsigned opened_at) {
  scenario::pass(support::board_from<scenario::gates>(board), number, opened_at);
}

inline void stay(std::vector<std::string> board) {
  scenario::linger(support::board_from<scenario::gates>(board));
}

inline void refuse_to_work(std::string why) {
  throw std::runtime_error(why);
}

inline void write_tmpdir(std::string into) {
  const std::string mine = std::getenv("TMPDIR");
  std::ofstream(mine + "/scratch") << "something";
  std::ofstream(into) << mine;
}

inline void register_jobs(hardstop::service& service) {
  service.job<&add>("add");
  service.job<&wait_at_gate>("gate");
  service.job<&stay>("stay");
  service.job<&refuse_to_work>("fail");
  service.job<&write_tmpdir>("tmpdir");
}

inline nlohmann::json words_of(const support::board<scenario::gates>& board) {
  return support::to_words(board.ref());
}

inline hardstop::service_options usual(log_book& log) {
  hardstop::service_options options;
  options.pool.workers = 2;
  options.prefetch = 2;
  options.grace = std::chrono::seconds(60);
  options.handle_signals = false;
  options.on_log = log.writer();
  return options;
}

// A service in a thread of its own; stopped at the latest when this ends.
class running {
 public:
  running(hardstop::service& service, hardstop::source& from)
      : service_(service), thread_([this, &from] {
          try {
            status_ = service_.run(from);
          } catch (...) {
            thrown_ = std::current_exception();
          }
        }) {}

  running(const running&) = delete;
  running& operator=(const running&) = delete;

  ~running() {
    for (int stops = 0; stops < 3; ++stops)
      service_.stop();
    if (thread_.joinable()) thread_.join();
  }

  // Its exit status; throws what run() threw.
  int end() {
    thread_.join();
    if (thrown_) std::rethrow_exception(thrown_);
    return status_;
  }

 private:
  hardstop::service& service_;
  int status_ = -1;
  std::exception_ptr thrown_;
  std::thread thread_;
};

}  // namespace service_stage
