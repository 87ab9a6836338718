#include "carriers.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace demo {

namespace {

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file);
  // Not by iterators: a process that ends meanwhile makes the buffer throw, which only a stream
  // takes for an end.
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

bool bears(const std::filesystem::path& process, const std::string& mark) {
  return contents(process / "environ").find(mark) != std::string::npos ||
         contents(process / "maps").find(mark) != std::string::npos;
}

}  // namespace

std::string new_mark(const std::string& act) {
  return "demo-" + act + "-" + std::to_string(::getpid());
}

void bear(const std::string& mark) {
  const int file = ::memfd_create(mark.c_str(), MFD_CLOEXEC);
  if (file < 0 || ::ftruncate(file, 1) != 0 ||
      ::mmap(nullptr, 1, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED ||
      ::setenv("HARDSTOP_DEMO", mark.c_str(), 1) != 0) {
    throw std::runtime_error("this process cannot be marked");
  }
  ::close(file);  // the mapping stays
}

carriers find_carriers(const std::string& mark) {
  carriers found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (!bears(entry.path(), mark)) continue;
    ++found.processes;
    found.sessions.insert(::getsid(std::stoi(name)));
    std::string program;
    std::getline(std::ifstream(entry.path() / "comm") >> std::ws, program);
    found.programs.insert(program);
  }
  return found;
}

}  // namespace demo
