// hardstop_bench: measures what docs/performance.md tells about.
//
//   hardstop_bench [--quick] [--only <part of a cell's name>] [--rounds <n>] [--out <folder>]
//   hardstop_bench --list
//
// --only runs every cell of the groups in which one is so called: its peers, too.
// Writes results.md, results.json and summary.md to the folder, build/bench unless told otherwise,
// and the table to standard output. Fails only if a cell does: whether a target was met is for
// people to judge, on a machine that does nothing else.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include "cell.hpp"
#include "cell_process.hpp"
#include "machine.hpp"
#include "placement.hpp"
#include "plan.hpp"
#include "report.hpp"
#include "results.hpp"
#include <hardstop/init.hpp>

namespace bench {

namespace {

struct request {
  effort how_much = effort::full;
  std::string only;
  std::optional<int> rounds;
  std::filesystem::path out = "build/bench";
  bool list = false;
  bool good = true;
};

std::optional<int> to_number(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1) return std::nullopt;
  return number;
}

request parse(int argc, char** argv) {
  request wanted;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (option == "--quick") {
      wanted.how_much = effort::quick;
    } else if (option == "--list") {
      wanted.list = true;
    } else if (option == "--only" && value != nullptr) {
      wanted.only = argv[++i];
    } else if (option == "--out" && value != nullptr) {
      wanted.out = argv[++i];
    } else if (option == "--rounds" && value != nullptr && to_number(value)) {
      wanted.rounds = to_number(argv[++i]);
    } else {
      wanted.good = false;
    }
  }
  return wanted;
}

const cell& named(std::string_view name) {
  for (const cell& each : all_cells()) {
    if (each.name == name) return each;
  }
  throw std::logic_error("the plan names an unknown cell: " + std::string(name));
}

void run_once(const cell& which, const request& wanted, measurements& into) {
  const auto began = std::chrono::steady_clock::now();
  cell_result result = run_in_process(which, wanted.how_much);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::fprintf(stderr, "%-26s %6.2f s%s%s\n", which.name.data(), took.count(),
               result.reason.empty() ? "" : "  ", result.reason.c_str());
  into[which.name].push_back(std::move(result));
}

bool wants(const request& wanted, const group& candidate) {
  return std::ranges::any_of(candidate.cells, [&](std::string_view name) {
    return name.find(wanted.only) != std::string_view::npos;
  });
}

measurements run_all(const request& wanted) {
  measurements all;
  for (const group& each : groups()) {
    if (!wants(wanted, each)) continue;
    const int planned = wanted.how_much == effort::quick ? 1 : each.rounds;
    for (int round = 0; round < wanted.rounds.value_or(planned); ++round) {
      for (const std::string_view name : each.cells)
        run_once(named(name), wanted, all);
    }
  }
  return all;
}

bool any_failed(const measurements& all) {
  for (const auto& [name, rounds] : all) {
    for (const cell_result& round : rounds) {
      if (round.end == cell_end::failed) return true;
    }
  }
  return false;
}

int run(const request& wanted) {
  if (!wanted.good) {
    std::cerr << "usage: hardstop_bench [--quick] [--only <part of a cell's name>] "
                 "[--rounds <n>] [--out <folder>] | --list\n";
    return 2;
  }
  if (wanted.list) {
    for (const cell& each : all_cells())
      std::cout << each.name << '\n';
    return 0;
  }
  const machine where = this_machine();
  stay_on(two_cpus());
  const measurements all = run_all(wanted);
  const auto results = evaluate(all);
  const std::string table = to_markdown(where, results);
  std::filesystem::create_directories(wanted.out);
  std::ofstream(wanted.out / "results.md") << table;
  std::ofstream(wanted.out / "summary.md") << to_summary(results);
  std::ofstream(wanted.out / "results.json") << to_json(where, results, all);
  std::cout << table << "\nWritten to " << wanted.out.string() << '\n';
  return any_failed(all) ? 1 : 0;
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  hardstop::init(argc, argv);
  try {
    if (const auto cell = bench::run_if_cell(argc, argv); cell.is_cell) return cell.status;
    return bench::run(bench::parse(argc, argv));
  } catch (const std::exception& problem) {
    std::cerr << "hardstop_bench: " << problem.what() << '\n';
    return 1;
  }
}
