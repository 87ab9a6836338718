#include "worker/capture.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "worker/loop.hpp"

namespace hardstop::worker {

os::result<os::descriptor> make_capture_file(const char* name) {
  os::descriptor file{memfd_create(name, MFD_CLOEXEC)};
  if (!file) return os::last_error("creating a file for captured output");
  // Of the open file, hence of every copy: children of a job write behind each other, not over.
  if (fcntl(file.get(), F_SETFL, O_APPEND) != 0) {
    return os::last_error("preparing a file for captured output");
  }
  return file;
}

std::optional<capture_watch::file> capture_watch::watch(stream how, int number) {
  if (how != stream::capture) return std::nullopt;
  file watched;

  struct stat facts {};

  if (fstat(number, &facts) == 0) {
    watched = {.number = number, .device = facts.st_dev, .inode = facts.st_ino};
  }
  return watched;
}

capture_watch::capture_watch(const environment& wanted)
    : out_(watch(wanted.standard_output, STDOUT_FILENO)),
      err_(watch(wanted.standard_error, STDERR_FILENO)) {}

std::uint64_t capture_watch::file::end() const {
  struct stat facts {};

  if (fstat(number, &facts) != 0 || facts.st_dev != device || facts.st_ino != inode) {
    return wire::captured_output::lost;
  }
  return static_cast<std::uint64_t>(facts.st_size);
}

std::optional<wire::captured_output> capture_watch::after_attempt() const {
  if (!out_ && !err_) return std::nullopt;
  (void)std::fflush(stdout);
  (void)std::fflush(stderr);
  return wire::captured_output{.out_end = out_ ? out_->end() : 0,
                               .err_end = err_ ? err_->end() : 0};
}

}  // namespace hardstop::worker
