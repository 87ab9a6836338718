// A job with a deadline. std::regex backtracks: on the address without its "@" it tries every way
// to divide the letters among the groups of a much-copied pattern, and their number doubles with
// each.
#include <algorithm>
#include <chrono>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include "acts.hpp"
#include "carriers.hpp"
#include <hardstop/pool.hpp>

using namespace std::chrono_literals;

namespace demo {

namespace {

long count_valid(const std::vector<std::string>& addresses, const std::string& mark) {
  bear(mark);
  const std::regex pattern(
      R"(([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@)[a-z0-9]+[.][a-z]{2,3})");
  return std::count_if(addresses.begin(), addresses.end(), [&](const std::string& address) {
    return std::regex_match(address, pattern);
  });
}

}  // namespace

act regular_expression(screen& out) {
  const std::vector<std::string> addresses = {"ada@example.org", "grace.hopper@example.org",
                                              "customerserviceandreturnsdepartment.example.org"};
  const std::string mark = new_mark("regular-expression");

  out.begin_act("a regular expression that backtracks for ever");
  out.line("work", "std::regex checks e-mail addresses, and one of them lacks its \"@\"");
  out.line("normally", "nothing interrupts it: the thread is lost until the program ends");

  hardstop::process_pool pool{{.workers = 1}};
  const auto valid =
      pool.submit<&count_valid>({.timeout = 500ms, .name = "address check"}, addresses, mark);
  static_cast<void>(valid.wait_for(250ms));
  out.show_running(find_carriers(mark));
  const hardstop::outcome how = valid.outcome();

  if (how.kind() != hardstop::outcome_kind::timed_out) throw std::runtime_error(how.describe());
  out.line("stopped", "by its deadline of 500 ms, which nothing in the job needs to know of");
  return out.end_act(mark, how, pool.stats());
}

}  // namespace demo
