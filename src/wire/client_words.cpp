#include "wire/client_words.hpp"

#include "wire/layout.hpp"

namespace hardstop::wire {

ticket client_words::asked() const {
  // Acquire: pairs with ask(); the bell read before is older than what is seen here.
  return static_cast<ticket>(lane_->client.asked.load(std::memory_order_acquire));
}

os::awaited_word client_words::bell() const {
  const auto& bell = lane_->client.words_bell;
  return {.word = &bell,
          .expected = bell.load(std::memory_order_acquire),
          .scope = os::futex_scope::shared};
}

std::optional<client_answer> client_words::take_answer() const {
  auto& taken = lane_->worker.answers_taken;
  // Only this thread stores it (a job that scribbles over it confuses its own answers).
  const std::uint64_t next = taken.load(std::memory_order_relaxed);
  if (next == lane_->client.answer_tail.load(std::memory_order_acquire)) return std::nullopt;
  const client_answer answer = lane_->client.answers[next % answer_ring_entries];
  // Release: the client fills the entry again only after it was read.
  taken.store(next + 1, std::memory_order_release);
  return answer;
}

}  // namespace hardstop::wire
