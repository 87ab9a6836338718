// Directories for what attempts write and nobody needs afterwards: one each, its TMPDIR.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "service/course.hpp"
#include "service/journal_store.hpp"

namespace hardstop::serving {

// One run's, below $TMPDIR or /tmp. What runs that were killed have left is removed when a new one
// begins: a locked file tells which still live. Thread-safe.
class attempt_directories {
 public:
  // Throws queue_failure.
  attempt_directories();
  attempt_directories(const attempt_directories&) = delete;
  attempt_directories& operator=(const attempt_directories&) = delete;
  ~attempt_directories();

  // Makes one.
  [[nodiscard]] std::string make(job_number job) const;

  // With all that is in it; once every process of the attempt is gone. What cannot be removed
  // stays.
  static void remove(const std::string& directory) noexcept;

 private:
  std::filesystem::path root_;
  std::unique_ptr<lock_file> lock_;
};

}  // namespace hardstop::serving
