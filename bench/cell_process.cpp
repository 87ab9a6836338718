#include "cell_process.hpp"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <system_error>

#include "os/descriptor.hpp"
#include "os/pidfd.hpp"

namespace bench {

namespace {

// In the cell's process the report goes to this descriptor, a memory file: unlike a pipe's, its end
// does not depend on who else has a copy.
constexpr int report_number = 100;
constexpr const char* cell_option = "--run-cell";
constexpr auto time_limit = std::chrono::seconds(90);

void write_line(const std::string& line) {
  const std::string text = line + '\n';
  static_cast<void>(!write(report_number, text.data(), text.size()));
}

std::string read_all(const hardstop::os::descriptor& file) {
  std::string text(static_cast<std::size_t>(std::max<off_t>(lseek(file.get(), 0, SEEK_END), 0)),
                   '\0');
  const ssize_t got = pread(file.get(), text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

// Lines: "figure <name> <value>", "skipped <why>", "failed <why>", "end".
cell_result parse(const std::string& text) {
  cell_result result{.reason = "it ended without a report"};
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "figure") {
      std::string name;
      double value = 0;
      words >> name >> value;
      result.figures[name] = value;
    } else if (kind == "end") {
      result.end = cell_end::measured;
      result.reason.clear();
    } else {
      result.end = kind == "skipped" ? cell_end::skipped : cell_end::failed;
      std::getline(words >> std::ws, result.reason);
    }
  }
  return result;
}

int run_and_report(const cell& which, effort how_much) {
  try {
    for (const auto& [name, value] : which.run(how_much)) {
      std::ostringstream line;
      line.precision(17);
      line << "figure " << name << ' ' << value;
      write_line(line.str());
    }
    write_line("end");
    return 0;
  } catch (const skipped& why) {
    write_line(std::string("skipped ") + why.what());
    return 0;
  } catch (const std::exception& why) {
    write_line(std::string("failed ") + why.what());
    return 1;
  }
}

}  // namespace

cell_result run_in_process(const cell& which, effort how_much) {
  const hardstop::os::descriptor report(memfd_create("report", MFD_CLOEXEC));
  if (!report) throw std::system_error(errno, std::generic_category(), "memfd_create");

  std::array<std::string, 4> words = {"hardstop_bench", cell_option, std::string(which.name),
                                      how_much == effort::quick ? "quick" : "full"};
  std::array<char*, 5> arguments{};
  std::ranges::transform(words, arguments.begin(), [](std::string& word) { return word.data(); });

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, report.get(), report_number);
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::generic_category(), "posix_spawn");

  const auto handle = hardstop::os::pidfd::open(pid);
  if (!handle) throw std::runtime_error(handle.error().message());
  const bool in_time = handle->wait_ended(time_limit);
  if (!in_time) {
    static_cast<void>(handle->send_signal(SIGKILL));
    static_cast<void>(handle->wait_ended(std::chrono::seconds(10)));
  }
  const auto status = handle->reap();
  cell_result result = parse(read_all(report));
  if (!in_time) {
    result.end = cell_end::failed;
    result.reason = "it did not end in time and was killed";
  } else if (status && status->signal != 0) {
    result.end = cell_end::failed;
    result.reason = "it was killed by signal " + std::to_string(status->signal);
  }
  return result;
}

cell_run run_if_cell(int argc, char** argv) {
  if (argc != 4 || std::strcmp(argv[1], cell_option) != 0) return {};
  const effort how_much = std::strcmp(argv[3], "quick") == 0 ? effort::quick : effort::full;
  for (const cell& each : all_cells()) {
    if (each.name == argv[2]) return {.is_cell = true, .status = run_and_report(each, how_much)};
  }
  return {.is_cell = true, .status = 2};
}

}  // namespace bench
