// Work that cannot be stopped from inside, stopped, and a service that loses nothing: `make demo`.
// Ends with 0 if nothing is left, and nothing lost.
#include <algorithm>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "acts.hpp"
#include "redeploy.hpp"
#include <hardstop/version.hpp>

int main(int argc, char** argv) {
  try {
    if (argc == 3 && argv[1] == std::string(demo::serve_option)) return demo::serve(argv[2]);
    demo::screen out;
    out.heading("hardstop " + std::string(hardstop::version()) +
                " stops what cannot be stopped from inside");
    std::vector<demo::act> acts;
    for (const auto play :
         {&demo::regular_expression, &demo::solver, &demo::shell_pipeline, &demo::race}) {
      acts.push_back(play(out));
    }
    out.summary(acts);
    const bool nothing_lost = demo::redeploy(out);
    const bool nothing_left =
        std::all_of(acts.begin(), acts.end(), [](const auto& each) { return each.left == 0; });
    return nothing_lost && nothing_left ? 0 : 1;
  } catch (const std::exception& failed) {
    std::cerr << "hardstop_demo: " << failed.what() << '\n';
    return 2;
  }
}
