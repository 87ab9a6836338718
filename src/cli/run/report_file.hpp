// Where the report of a run goes: opened before the command starts, so that a wrong path is told at
// once, written when everything is over.
#pragma once

#include <string>

#include "cli/run/outcome.hpp"
#include "cli/run/plan.hpp"
#include "os/descriptor.hpp"
#include "os/error.hpp"

namespace hardstop::cli {

class report_file {
 public:
  report_file() = default;
  static os::result<report_file> open(const run_plan& plan);

  // The report, or where that was not asked for or goes elsewhere, the message for a person.
  void tell(const run_outcome& outcome, const run_plan& plan) const;

  [[nodiscard]] const os::descriptor& handle() const { return file_; }

 private:
  os::descriptor file_;  // none: standard error, or no report
};

}  // namespace hardstop::cli
