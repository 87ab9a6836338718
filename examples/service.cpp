// A service that takes jobs from a durable queue, and a program that puts them there. Usually these
// are two programs, and the service runs until somebody sends SIGTERM.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>

#include <hardstop/init.hpp>
#include <hardstop/queue.hpp>
#include <hardstop/service.hpp>

using namespace std::chrono_literals;

// Idempotent: written elsewhere and renamed, so that to do it twice is to do it once.
void resize(const std::string& image, int width) {
  const std::string unfinished = image + ".part";
  std::ofstream{unfinished} << std::filesystem::path{image}.filename().string() << ": " << width
                            << " wide\n";
  std::filesystem::rename(unfinished, image + ".small");
}

void enqueue(const std::string& folder) {
  hardstop::queue jobs{folder + "/jobs.db"};
  jobs.enqueue("resize", {folder + "/a.png", 100});
  jobs.enqueue("resize", {folder + "/b.png", 200}, {.priority = 5, .unique = "b.png"});
  jobs.enqueue("erase", {folder});  // a name that no service has registered
}

int main(int argc, char** argv) {
  hardstop::init(argc, argv);
  const auto folder = std::filesystem::temp_directory_path() / "hardstop_example.service";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  enqueue(folder);

  hardstop::service service{
      {.journal = folder / "journal", .grace = 25s, .on_log = [](const hardstop::log_record&) {}}};
  service.job<&resize>("resize", {.timeout = 60s});
  hardstop::queue jobs{folder / "jobs.db"};

  // In place of somebody who sends SIGTERM when all is done.
  std::jthread operations([&] {
    while (jobs.count(hardstop::queued_state::queued) + jobs.count(hardstop::queued_state::leased))
      std::this_thread::sleep_for(1ms);
    service.stop();
  });
  const int status = service.run(jobs);

  std::cout << std::ifstream{folder / "a.png.small"}.rdbuf();
  std::cout << "status " << status << ", " << service.stats().finished << " finished, "
            << jobs.count(hardstop::queued_state::refused) << " refused\n";
  std::filesystem::remove_all(folder);
  return status;
}
