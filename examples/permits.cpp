// A lock whose holder is killed with its work half done.
//
// The permit comes back when every process of the killed job is gone, so that none of them still
// writes; and the next holder is told, so that it can look at what it takes over.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <thread>

#include <hardstop/pool.hpp>
#include <hardstop/semaphore.hpp>

using namespace std::chrono_literals;

std::string contents(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// What follows the last whole line was being written when somebody was killed.
void drop_half_line(const std::string& path) {
  std::filesystem::resize_file(path, contents(path).rfind('\n') + 1);
}

void append(hardstop::lock ledger, const std::string& path, const std::string& line) {
  const hardstop::permit mine = ledger.acquire();  // given back at the end of the scope
  if (mine.abandoned()) drop_half_line(path);      // its last holder was killed
  std::ofstream{path, std::ios::app} << line << '\n';
}

void append_for_ever(hardstop::lock ledger, const std::string& path, const std::string& line) {
  const hardstop::permit mine = ledger.acquire();
  std::ofstream{path, std::ios::app} << line.substr(0, line.size() / 2) << std::flush;
  while (true)
    std::this_thread::sleep_for(1h);
}

int price_of(int item) {
  return 7 * item;
}

int main() {
  const std::string path = std::filesystem::temp_directory_path() / "hardstop_example.ledger";
  std::filesystem::remove(path);
  hardstop::process_pool pool{{.workers = 2}};

  hardstop::lock ledger{"ledger"};
  pool.submit<&append>(ledger, path, "paid: 100").get();

  auto stuck = pool.submit<&append_for_ever>(ledger, path, "paid: 200");
  auto next = pool.submit<&append>(ledger, path, "paid: 300");
  while (contents(path).size() < 14)
    std::this_thread::sleep_for(1ms);
  stuck.cancel();
  next.get();
  std::cout << contents(path);

  // Begins when it has the permit, and holds it until its end: nothing is acquired for it before.
  hardstop::semaphore database{1, "database"};
  auto price = pool.submit<&price_of>({.needs = {database}}, 6);
  std::cout << "price: " << price.get() << '\n';
  std::filesystem::remove(path);
}
