// What a user of services needs of the installed package: one header more, and one library.
#include <cstdlib>
#include <filesystem>
#include <string>

#include <hardstop/init.hpp>
#include <hardstop/memory_queue.hpp>
#include <hardstop/queue.hpp>
#include <hardstop/service.hpp>

namespace {

void greet(const std::string& /*whom*/) {}

}  // namespace

int main(int argc, char** argv) {
  hardstop::init(argc, argv);
  hardstop::service service{{.on_log = [](const hardstop::log_record&) {}}};
  service.job<&greet>("greet", {.timeout = std::chrono::seconds(5)});
  hardstop::memory_queue jobs;
  jobs.enqueue("greet", {"everybody"});
  jobs.close();
  const int status = service.run(jobs);
  return status == 0 && service.stats().finished == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
