// Work that cannot be stopped from inside, stopped: `make demo`. Ends with 0 if nothing is left.
#include <algorithm>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "acts.hpp"
#include <hardstop/version.hpp>

int main() {
  try {
    demo::screen out;
    out.heading("hardstop " + std::string(hardstop::version()) +
                " stops what cannot be stopped from inside");
    std::vector<demo::act> acts;
    for (const auto play :
         {&demo::regular_expression, &demo::solver, &demo::shell_pipeline, &demo::race}) {
      acts.push_back(play(out));
    }
    out.summary(acts);
    return std::any_of(acts.begin(), acts.end(), [](const auto& each) { return each.left != 0; });
  } catch (const std::exception& failed) {
    std::cerr << "hardstop_demo: " << failed.what() << '\n';
    return 2;
  }
}
