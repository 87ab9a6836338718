// Jobs as Asio operations: awaited by a coroutine, and killed when their operation is cancelled.
//
// `a || b` of Asio's awaitable operators cancels the loser. The loser here is a computation that
// knows nothing of Asio, and its process is gone when the operator returns.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <variant>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <hardstop/integration/asio.hpp>
#include <hardstop/pool.hpp>

using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

std::uint64_t smallest_factor(std::uint64_t number) {
  for (std::uint64_t factor = 2; factor <= number / factor; ++factor) {
    if (number % factor == 0) return factor;
  }
  return number;
}

asio::awaitable<void> after(std::chrono::milliseconds time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<void> factor_all(hardstop::process_pool& pool) {
  for (const std::uint64_t number : {99'400'891ULL, 18'446'744'073'709'551'557ULL}) {
    auto first =
        co_await (hardstop::async_submit<&smallest_factor>(pool, number, asio::use_awaitable) ||
                  after(300ms));
    std::cout << number << ": ";
    if (const auto* factor = std::get_if<0>(&first)) {
      std::cout << "divisible by " << *factor << '\n';
    } else {
      std::cout << "given up; " << pool.stats().ended.cancelled << " job stopped\n";
    }
  }
}

int main() {
  hardstop::process_pool pool{{.workers = 2}};
  asio::io_context loop;
  asio::co_spawn(loop, factor_all(pool), asio::detached);
  loop.run();
}
