#include "service/queue/other_taker.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <stdexcept>

#include "service/queue/file_queue.hpp"
#include <hardstop/queue.hpp>

namespace hardstop::test {
namespace {

using nlohmann::json;
using std::chrono::nanoseconds;

std::int64_t to_number(model_time time) {
  return nanoseconds{time.time_since_epoch()}.count();
}

json to_json(std::span<const receipt> receipts) {
  json list = json::array();
  for (const auto& each : receipts)
    list.push_back({each.job, each.attempt});
  return list;
}

std::vector<receipt> to_receipts(const json& list) {
  std::vector<receipt> receipts;
  for (const auto& each : list)
    receipts.push_back({.job = each.at(0), .attempt = each.at(1)});
  return receipts;
}

// One message is one packet.
void send(int socket, const json& message) {
  const auto text = message.dump();
  if (::send(socket, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("the other taker cannot be told anything");
  }
}

// Null: nobody is there any more.
json receive(int socket) {
  std::array<char, 65536> text;
  const auto size = ::recv(socket, text.data(), text.size(), 0);
  return size <= 0 ? json{} : json::parse(text.data(), text.data() + size);
}

json obey(storage::file_queue& queue, const json& order) {
  const std::string what = order.at("what");
  const auto& with = order.at("with");
  if (what == "take") {
    json taken = json::array();
    for (const auto& each : queue.take(with, nanoseconds{0}).jobs) {
      taken.push_back({each.receipt.job, each.receipt.attempt, to_number(*each.lease_until)});
    }
    return taken;
  }
  if (what == "extend") return to_json(queue.extend(to_receipts(with)));
  if (what == "ack") return to_json(queue.ack(to_receipts(with)));
  std::vector<nacked_job> back;
  for (const auto& each : with) {
    back.push_back({.receipt = {.job = each.at(0), .attempt = each.at(1)},
                    .reason = static_cast<nack_reason>(each.at(2).get<int>())});
  }
  return to_json(queue.nack(back));
}

int take_for_another(const std::vector<std::string>& arguments) {
  const int socket = std::stoi(arguments.at(0));
  std::atomic<std::int64_t> now{0};
  storage::file_queue queue{
      arguments.at(1),
      {.lease = nanoseconds{std::stoll(arguments.at(2))}, .durability = durability::process},
      [&] { return model_time{nanoseconds{now.load()}}; }};
  for (;;) {
    const auto order = receive(socket);
    if (order.is_null()) return 0;
    now = order.at("now");
    send(socket, obey(queue, order));
  }
}

const support::part take_for_another_part{"take_for_another", &take_for_another};

std::array<int, 2> make_sockets() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::runtime_error("no sockets");
  }
  return ends;
}

// Inherited under another number, which no other start at the same time takes for its own.
support::other_process start(const std::array<int, 2>& ends, const std::string& path,
                             nanoseconds lease) {
  const int inherited = ::dup(ends[1]);
  auto started = support::start_part(
      "take_for_another", {std::to_string(inherited), path, std::to_string(lease.count())});
  ::close(inherited);
  ::close(ends[1]);
  return started;
}

}  // namespace

other_taker::other_taker(const std::string& path, nanoseconds lease,
                         std::function<model_time()> now)
    : now_(std::move(now)), process_([&] {
        const auto ends = make_sockets();
        socket_ = ends[0];
        return start(ends, path, lease);
      }()) {}

other_taker::~other_taker() {
  ::close(socket_);
  process_.wait();  // so that it closes its file, too
}

json other_taker::ask(const std::string& what, const json& with) {
  send(socket_, {{"what", what}, {"with", with}, {"now", to_number(now_())}});
  auto answer = receive(socket_);
  if (answer.is_null()) throw std::runtime_error("the other taker has died");
  return answer;
}

taking other_taker::take(std::size_t at_most, nanoseconds) {
  taking taken;
  for (const auto& each : ask("take", at_most)) {
    auto& job = taken.jobs.emplace_back();
    job.receipt = {.job = each.at(0), .attempt = each.at(1)};
    job.lease_until = model_time{nanoseconds{each.at(2).get<std::int64_t>()}};
  }
  return taken;
}

std::vector<receipt> other_taker::extend(std::span<const receipt> leases) {
  return to_receipts(ask("extend", to_json(leases)));
}

std::vector<receipt> other_taker::ack(std::span<const receipt> done) {
  return to_receipts(ask("ack", to_json(done)));
}

std::vector<receipt> other_taker::nack(std::span<const nacked_job> jobs) {
  json list = json::array();
  for (const auto& each : jobs) {
    list.push_back({each.receipt.job, each.receipt.attempt, static_cast<int>(each.reason)});
  }
  return to_receipts(ask("nack", list));
}

}  // namespace hardstop::test
