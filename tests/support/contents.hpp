// What a file of /proc says at this moment.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>

namespace support {

// Empty if it cannot be read. Not a stream: a process that ends while it is read about makes
// read(2) fail, which a stream buffer throws at whoever iterates over it.
inline std::string contents(const std::string& path) {
  std::string text;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  std::array<char, 16384> buffer{};
  for (ssize_t length = 0; (length = ::read(file, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(length));
  }
  ::close(file);
  return text;
}

}  // namespace support
