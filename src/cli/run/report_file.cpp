#include "cli/run/report_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string_view>

namespace hardstop::cli {
namespace {

void write_all(int number, std::string_view text) {
  while (!text.empty()) {
    const auto size = ::write(number, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;  // nobody reads: there is nobody to tell that, either
    text.remove_prefix(static_cast<std::size_t>(size));
  }
}

}  // namespace

os::result<report_file> report_file::open(const run_plan& plan) {
  report_file opened;
  if (plan.report != report_target::file) return opened;
  constexpr mode_t everybody = 0666;
  opened.file_ = os::descriptor{
      ::open(plan.report_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, everybody)};
  if (!opened.file_) return os::last_error("opening the report's file");
  return opened;
}

void report_file::tell(const run_outcome& outcome, const run_plan& plan) const {
  const bool to_standard_error = plan.report == report_target::standard_error;
  if (plan.report != report_target::none) {
    write_all(to_standard_error ? STDERR_FILENO : file_.get(), to_report(outcome, plan) + '\n');
  }
  // It says the same, and what reads it should not have to skip lines.
  if (!to_standard_error) write_all(STDERR_FILENO, to_message(outcome, plan));
}

}  // namespace hardstop::cli
