// Workers that inherit nothing from a client with threads and gigabytes.
//
// With start_method::forkserver they are forked from a fresh copy of this program, which runs up to
// hardstop::init() and no further: make that the first call of main(). An initializer prepares each
// worker before its first job.
#include <chrono>
#include <cmath>
#include <iostream>
#include <thread>
#include <vector>

#include <hardstop/init.hpp>
#include <hardstop/pool.hpp>

using namespace std::chrono_literals;

namespace {

std::vector<double> table;  // of this process: the client's stays empty

}  // namespace

void fill_table(int size) {
  for (int i = 0; i < size; ++i)
    table.push_back(std::sqrt(i));
}

double root_of(int number) {
  return table.at(static_cast<std::size_t>(number));
}

int main(int argc, char** argv) {
  hardstop::init(argc, argv);

  const std::jthread busy([](std::stop_token stop) {  // a fork of this process could hang
    while (!stop.stop_requested())
      std::this_thread::sleep_for(1ms);
  });

  hardstop::process_pool pool{{.workers = 2,
                               .start = hardstop::start_method::forkserver,
                               .initializer = hardstop::initialize_with<&fill_table>(100)}};
  std::cout << "the root of 81 is " << pool.submit<&root_of>(81).get() << '\n';
  std::cout << "entries in the client's own table: " << table.size() << '\n';
}
