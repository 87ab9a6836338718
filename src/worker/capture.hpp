// Where an attempt's captured output ends.
#pragma once

#include <sys/types.h>

#include <optional>

#include "wire/frame.hpp"
#include "worker/spec.hpp"

namespace hardstop::worker {

// Knows the capture files by what they are, since a job may close or replace the descriptors. The
// loop's thread.
class capture_watch {
 public:
  capture_watch() = default;
  // After the streams are in place.
  explicit capture_watch(const environment&);

  // Flushes the C streams and tells how long the files are. Nothing if no stream is captured.
  std::optional<wire::captured_output> after_attempt() const;

 private:
  struct file {
    int number = -1;
    dev_t device = 0;
    ino_t inode = 0;

    std::uint64_t end() const;
  };

  static std::optional<file> watch(stream how, int number);

  std::optional<file> out_;
  std::optional<file> err_;
};

}  // namespace hardstop::worker
