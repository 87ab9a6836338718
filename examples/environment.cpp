// What a worker looks like to its jobs: streams, directory, variables, limits. What a job prints is
// kept per attempt, also when it is killed.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include <hardstop/pool.hpp>

using namespace std::chrono_literals;

void talk_for_ever() {
  std::printf("language: %s\n", std::getenv("LANG"));
  std::fflush(stdout);  // else it dies with the process
  std::system("pwd");   // what the job starts writes to the same place
  for (volatile int spinning = 0;;)
    spinning = 1 - spinning;
}

int main() {
  hardstop::worker_environment quiet;
  quiet.standard_output = hardstop::stdio::capture;
  quiet.standard_error = hardstop::stdio::capture;
  quiet.working_directory = "/tmp";
  quiet.variables = {{"LANG", "C"}, {"SECRET", std::nullopt}};
  quiet.nice = 5;
  quiet.resource_limits = {{RLIMIT_CORE, 0, 0}, {RLIMIT_NOFILE, 256, 256}};

  hardstop::pool_options options{.workers = 1};
  options.environment = quiet;
  hardstop::process_pool pool{options};
  const auto how = pool.submit<&talk_for_ever>({.timeout = 1s}).outcome();
  std::cout << how.describe() << '\n' << how.output();
}
