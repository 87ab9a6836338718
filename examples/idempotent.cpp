// A job that may be killed at any instruction, and run again.
//
// It writes under a name of its own and renames when all is there, so that a reader, or the next
// attempt, finds either the whole file or none.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

#include <hardstop/pool.hpp>
#include <hardstop/shield.hpp>

using namespace std::chrono_literals;

void write_whole(const std::string& path, const std::string& text) {
  const std::string part = path + ".part";
  const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) throw std::runtime_error("cannot write " + part);
  const auto written = ::write(file, text.data(), text.size());
  const bool complete = written == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  ::close(file);
  if (!complete) throw std::runtime_error("cannot write all of " + part);
  std::filesystem::rename(part, path);  // atomic: readers see the old file or the new one
}

std::size_t build_index(const std::string& path, std::size_t lines) {
  if (std::filesystem::exists(path)) return std::filesystem::file_size(path);  // done before
  std::string text;
  for (std::size_t line = 0; line < lines; ++line)
    text += "entry " + std::to_string(line) + '\n';
  // A cancel waits for what is as good as done. Time limits do not, nor do crashes: hence all this.
  const hardstop::shield section{2s, "replacing the index"};
  write_whole(path, text);
  return text.size();
}

int main() {
  const std::string path = std::filesystem::temp_directory_path() / "hardstop_example.index";
  std::filesystem::remove(path);
  hardstop::process_pool pool{{.workers = 1}};

  int killed = 0;
  for (auto limit = 1ms;; limit *= 2) {
    const auto how =
        pool.submit<&build_index>({.timeout = limit, .retries = 2}, path, 300'000U).outcome();
    if (how.is_value()) break;
    if (std::filesystem::exists(path) && std::filesystem::file_size(path) != 3'788'890) return 1;
    ++killed;
  }
  std::cout << "killed " << killed
            << " times, and the file is whole: " << std::filesystem::file_size(path) << " bytes\n";
  std::filesystem::remove(path);
  std::filesystem::remove(path + ".part");
}
