// The client's whole end of a lane, while honest calls and scribbling alternate. G12: bounded work,
// no fault, and the books stay right: no frame ends that was taken back, none ends twice.
#include "wire/client_lane.hpp"

#include <array>
#include <map>

#include "fuzz/input.hpp"
#include "wire/layout.hpp"
#include "wire/worker_lane.hpp"

namespace hardstop::wire {
namespace {

using fuzz::require;

class scene {
 public:
  explicit scene(client_lane lane) : client_(std::move(lane)) {}

  void step(fuzz::input& choices) {
    switch (choices.take<std::uint8_t>() % 8) {
      case 0:
        return put(choices);
      case 1:
        return take_back(choices);
      case 2:
        return read();
      case 3:
        return work();
      case 4:
        return scribble(choices);
      case 5:
        (void)client_.ring_needed();
        (void)client_.answer(1, 2, 3);
        return;
      case 6: {
        const auto state = static_cast<frame_state>(choices.take<std::uint8_t>() % 3);
        const auto which = choices.take<std::uint8_t>();
        client_.layout().worker.states[which] = state_word(static_cast<ticket>(which + 1), state);
        return;
      }
      default:
        (void)worker_.report({.kind = static_cast<report_kind>(choices.take<std::uint8_t>()),
                              .ticket = static_cast<ticket>(choices.take<std::uint8_t>())});
    }
  }

  // Drained as after a death: ends soon, whatever the memory holds.
  void finish() {
    for (int i = 0; i < 10'000; ++i) {
      if (read_one() != read_status::report) break;
      require(i + 1 < 10'000);
    }
    require(client_.outstanding() == open_.size());
  }

 private:
  void put(fuzz::input& choices) {
    const std::array<std::byte, 300> payload{};
    const auto next = static_cast<ticket>(++tickets_);
    const auto slot = client_.put(
        {.ticket = next,
         .stamp = claim_stamp::on,
         .payload = std::span{payload}.first(choices.take<std::uint16_t>() % payload.size())});
    if (slot) {
      require(*slot < lane_slots);
      require(open_.emplace(next, *slot).second);
    }
  }

  void take_back(fuzz::input& choices) {
    if (open_.empty()) return;
    auto which = open_.lower_bound(static_cast<ticket>(choices.take<std::uint8_t>()));
    if (which == open_.end()) which = open_.begin();
    const auto [number, slot] = *which;
    (void)client_.claimed(slot, number);
    if (client_.take_back(slot, number) == take_back_answer::taken) {
      open_.erase(which);
      require(client_.take_back(slot, number) == take_back_answer::already_claimed);
    }
  }

  read_status read_one() {
    const lane_report report = client_.read();
    if (report.status == read_status::report) {
      fuzz::touch(report.payload);
      if (is_end(report.kind)) {
        const auto which = open_.find(report.ticket);
        require(which != open_.end() && which->second == report.slot);
        // Only the oldest can have run.
        require(which == open_.begin());
        open_.erase(which);
      }
    }
    client_.release();
    return report.status;
  }

  void read() { (void)read_one(); }

  void work() {
    if (const auto passed = worker_.take_skipped()) {
      (void)worker_.report(
          {.kind = report_kind::slots_freed, .payload = std::as_bytes(std::span{&*passed, 1})});
    }
    const claimed_frame frame = worker_.claim();
    if (frame.status != claim_status::frame) return;
    fuzz::touch(frame.payload);
    (void)worker_.report(
        {.kind = report_kind::value, .ticket = frame.ticket, .payload = frame.payload});
  }

  void scribble(fuzz::input& choices) {
    auto* const memory = reinterpret_cast<std::byte*>(&client_.layout().worker);
    const std::size_t at = choices.take<std::uint32_t>() % sizeof(worker_half);
    const auto bytes = choices.take_bytes(
        std::min<std::size_t>(choices.take<std::uint8_t>(), sizeof(worker_half) - at));
    std::memcpy(memory + at, bytes.data(), bytes.size());
  }

  client_lane client_;
  worker_lane worker_ = worker_lane::over(client_.layout());
  std::uint64_t tickets_ = 0;
  std::map<ticket, slot_index> open_;
};

void feed(fuzz::input choices) {
  auto lane = client_lane::create();
  require(lane.has_value());
  scene playing{std::move(*lane)};
  while (!choices.empty())
    playing.step(choices);
  playing.finish();
}

}  // namespace
}  // namespace hardstop::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hardstop::wire::feed(hardstop::fuzz::input{data, size});
  return 0;
}
