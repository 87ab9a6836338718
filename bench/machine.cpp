#include "machine.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>

#include "placement.hpp"
#include <hardstop/version.hpp>

namespace bench {

namespace {

// The rest of the first line that begins so.
std::string value_in(const char* path, const std::string& beginning) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(beginning)) continue;
    const auto value = line.find_first_not_of(" \t:", beginning.size());
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "unknown";
}

std::string gigabytes() {
  const auto pages = static_cast<double>(sysconf(_SC_PHYS_PAGES));
  const auto size = static_cast<double>(sysconf(_SC_PAGESIZE));
  return std::to_string(static_cast<long>(pages * size / 1e9 + 0.5)) + " GB";
}

}  // namespace

machine this_machine() {
  utsname name{};
  uname(&name);
  std::array<double, 1> load{};
  static_cast<void>(getloadavg(load.data(), 1));
  const cpu_pair used = two_cpus();
#ifdef __clang__
  const std::string compiler = "clang " __clang_version__;
#else
  const std::string compiler = "g++ " __VERSION__;
#endif
  return {.processor = value_in("/proc/cpuinfo", "model name"),
          .kernel = std::string(name.sysname) + ' ' + name.release + ' ' + name.machine,
          .compiler = compiler,
          .memory = gigabytes(),
          .huge_pages = value_in("/sys/kernel/mm/transparent_hugepage/enabled", ""),
          .version = std::string(hardstop::version()),
          .cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)),
          .cpus_used = used.first == used.second ? 1 : 2,
          .load = load.front()};
}

}  // namespace bench
