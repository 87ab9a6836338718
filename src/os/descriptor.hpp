// A file descriptor with an owner.
//
// Every descriptor held here is also entered into a table of this process, so that a fork of ours
// can tell the library's descriptors from its host's: guardians and workers close the former and
// leave the latter alone
// (`disown_inherited`). Everything here may be called by any thread and between fork and exec;
// nothing allocates.
#pragma once

#include <cstdint>
#include <span>

#include "os/error.hpp"

namespace hardstop::os {

class descriptor {
 public:
  descriptor() = default;
  explicit descriptor(int number);  // takes it over; negative: none
  descriptor(descriptor&& other) noexcept;
  descriptor& operator=(descriptor&& other) noexcept;
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;

  ~descriptor() { reset(); }

  [[nodiscard]] int get() const noexcept { return number_; }

  explicit operator bool() const noexcept { return number_ >= 0; }

  // Closes it now.
  void reset() noexcept;
  // Gives it up: the caller owns the number.
  [[nodiscard]] int release() noexcept;
  // A second descriptor of the same open file, close-on-exec.
  [[nodiscard]] result<descriptor> duplicate() const;

 private:
  int number_ = -1;
  std::uint32_t generation_ = 0;  // the process it was made in, see disown_inherited
};

// In a freshly forked process: closes every descriptor the library held in its parent, but those in
// `keep`, and makes all descriptor objects copied by the fork harmless: their destructors close
// nothing (the number may be somebody else's by then). What is kept has no owner any more: wrap it
// anew. Assumes a single thread.
void disown_inherited(std::span<const int> keep);

// Closes everything but standard input, output and error and `keep`, whoever owns it. For a process
// that will never run its host's code again.
void close_all_but(std::span<const int> keep);

// Marks everything but standard input, output and error close-on-exec, whoever owns it, but `keep`,
// which it marks to survive. For a child about to exec.
void keep_only_across_exec(std::span<const int> keep);

}  // namespace hardstop::os
