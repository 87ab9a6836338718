#include "os/read_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "os/descriptor.hpp"

namespace hardstop::os {

result<std::string> read_file(int directory, const char* path) {
  const descriptor file{::openat(directory, path, O_RDONLY | O_CLOEXEC)};
  if (!file) return last_error("opening a file");
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const auto size = ::read(file.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return last_error("reading a file");
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
}

result<std::string> read_file(const char* path) {
  return read_file(AT_FDCWD, path);
}

result<void> write_file(const char* path, const std::string& text) {
  const descriptor file{::open(path, O_WRONLY | O_CLOEXEC)};
  if (!file) return last_error("opening a file");
  if (::write(file.get(), text.data(), text.size()) < 0) return last_error("writing a file");
  return {};
}

}  // namespace hardstop::os
