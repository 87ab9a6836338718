// Frames as a worker reads them, over any bytes in the client's half: it trusts the client, but a
// broken lane must end in `corrupt` and not somewhere else in memory.
#include "wire/worker_lane.hpp"

#include <algorithm>
#include <memory>

#include "fuzz/input.hpp"
#include "wire/layout.hpp"

namespace hardstop::wire {
namespace {

void feed(fuzz::input choices) {
  const auto memory = std::make_unique<lane_layout>();
  auto worker = worker_lane::over(*memory);
  auto* const slots = reinterpret_cast<std::byte*>(memory->client.slots.data());
  auto* const first = reinterpret_cast<std::byte*>(memory.get());
  std::uint64_t put = 0;
  while (!choices.empty()) {
    const std::size_t index = put % lane_slots;
    const auto bytes = choices.take_bytes(sizeof(lane_slot));
    std::memcpy(slots + index * sizeof(lane_slot), bytes.data(), bytes.size());
    auto& slot = memory->client.slots[index];
    const auto state = choices.take<std::uint8_t>();
    if (state % 4 == 0) memory->worker.states[index] = slot.ticket << 2 | state / 4 % 4;
    slot.sequence = choices.take<std::uint8_t>() % 8 == 0 ? choices.take<std::uint64_t>() : ++put;
    const claimed_frame frame = worker.claim();
    if (frame.status == claim_status::corrupt) break;
    if (frame.status != claim_status::frame) continue;
    fuzz::require(frame.payload.data() >= first);
    fuzz::require(frame.payload.data() + frame.payload.size() <= first + sizeof(client_half));
    fuzz::require(frame.payload.size() <= inline_limit);
    fuzz::require(frame.segments.size() <= max_ranges);
    fuzz::touch(frame.payload);
    fuzz::touch(std::as_bytes(frame.segments));
  }
}

}  // namespace
}  // namespace hardstop::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hardstop::wire::feed(hardstop::fuzz::input{data, size});
  return 0;
}
