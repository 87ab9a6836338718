// A deadline around a library that has one of its own. Z3 looks at its clock between the steps of
// its simplifier, and one step here multiplies 160 numbers of thousands of digits.
#include <chrono>
#include <sstream>
#include <stdexcept>
#include <string>

#include <z3++.h>

#include "acts.hpp"
#include "carriers.hpp"
#include <hardstop/pool.hpp>

using namespace std::chrono_literals;

namespace demo {

namespace {

// Can a loop that begins with 3 and raises its variable to the 160th power in each of three rounds
// end with a number that leaves 1 when divided by 1000003? Unrolled, as model checkers do it.
std::string unrolled_loop() {
  std::ostringstream text;
  text << "(declare-const x0 Int) (assert (= x0 3))\n";
  for (int round = 1; round <= 3; ++round) {
    text << "(declare-const x" << round << " Int) (assert (= x" << round << " (*";
    for (int factor = 0; factor < 160; ++factor)
      text << " x" << round - 1;
    text << ")))\n";
  }
  text << "(assert (= 1 (mod x3 1000003)))\n";
  return text.str();
}

std::string solve(const std::string& problem, std::chrono::milliseconds limit,
                  const std::string& mark) {
  bear(mark);
  z3::context context;
  z3::solver solver(context);
  solver.set("timeout", static_cast<unsigned>(limit.count()));
  solver.from_string(problem.c_str());
  switch (solver.check()) {
    case z3::sat:
      return "it can";
    case z3::unsat:
      return "it cannot";
    case z3::unknown:
      break;
  }
  return "no answer: " + solver.reason_unknown();
}

}  // namespace

act solver(screen& out) {
  const std::string mark = new_mark("solver");

  out.begin_act("a solver that overruns its own time limit");
  out.line("work", "Z3 checks a loop of three rounds; its own \"timeout\" is set to 300 ms");
  out.line("normally", "it looks at its clock between two steps, and one step takes many seconds");

  hardstop::process_pool pool{{.workers = 1}};
  auto answer =
      pool.submit<&solve>({.timeout = 1s, .name = "loop check"}, unrolled_loop(), 300ms, mark);
  static_cast<void>(answer.wait_for(700ms));
  out.show_running(find_carriers(mark));
  const hardstop::outcome how = answer.outcome();

  if (how.is_value()) return out.skip_act("this Z3 came back by itself: " + answer.get());
  if (how.kind() != hardstop::outcome_kind::timed_out) throw std::runtime_error(how.describe());
  out.line("stopped", "by a deadline of 1 s, 700 ms after Z3 should have given up");
  return out.end_act(mark, how, pool.stats());
}

}  // namespace demo
