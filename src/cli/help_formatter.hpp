// How help looks: what it is about, options one under the other, prose as it was written.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace hardstop::cli {

struct help_text {
  std::string about{};  // replaces the one line by which a subcommand is listed
  std::string words{};  // what stands behind the options
};

[[nodiscard]] std::shared_ptr<CLI::Formatter> make_help_formatter(help_text text);

}  // namespace hardstop::cli
