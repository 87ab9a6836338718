#include "guardian/test_pool.hpp"

#include <fcntl.h>
#include <poll.h>

#include <stdexcept>

#include "guardian/villains.hpp"
#include "os/poll.hpp"

namespace hardstop::test {
namespace {

constexpr std::chrono::seconds patience{60};

os::descriptor memory_with(const std::string& text) {
  os::descriptor file{::memfd_create("test", MFD_CLOEXEC)};
  (void)!::write(file.get(), text.data(), text.size());
  return file;
}

}  // namespace

int villain_hooks::in_guardian(const os::descriptor& spec) {
  std::array<char, 16> text{};
  (void)!::pread(spec.get(), text.data(), text.size() - 1, 0);
  if (std::string{text.data()} == "fail") return ENOEXEC;
  if (std::string{text.data()} == "die") ::_exit(9);
  if (std::string{text.data()} == "hang") {
    if (::fork() == 0) ::alarm(60), ::pause();
    ::pause();
  }
  return guardian_hooks::in_guardian(spec);
}

void villain_hooks::run_worker(guardian::worker_birth birth) {
  std::array<char, 64> name{};
  (void)!::pread(birth.arguments.get(), name.data(), name.size() - 1, 0);
  if (const auto body = villain_named(name.data())) body(birth);
  ::_exit(0);
}

villain_hooks& hooks() {
  static villain_hooks all;
  return all;
}

bool test_worker::wait_ready() const {
  char byte = 0;
  return os::poll_until(ready, POLLIN, patience) && ::read(ready.get(), &byte, 1) == 1;
}

guardian::birth_plan test_pool::plan_for(guardian::start_method start) {
  guardian::birth_plan plan;
  plan.start = start;
  plan.hooks = &hooks();
  plan.exec_argv = {"/proc/self/exe"};
  // Whether a tree ends is tested, not how soon: hundreds of sanitized processes take the kernel
  // longer to take apart than a user would be kept waiting.
  plan.confirm_within = std::chrono::seconds{30};
  return plan;
}

test_pool::test_pool(guardian::start_method start, std::string cgroup)
    : test_pool{[&] {
        auto plan = plan_for(start);
        plan.cgroup = std::move(cgroup);
        return plan;
      }()} {}

test_pool::test_pool(const guardian::birth_plan& plan) {
  auto made = guardian::give_birth(plan);
  if (!made) throw std::runtime_error{made.error().message};
  link_ = std::move(*made);
}

void test_pool::send(const wire::request& message, const std::vector<int>& descriptors) {
  const auto sent = link_.control.send(wire::encode(message).bytes(), descriptors);
  if (!sent) throw std::runtime_error{sent.error().message()};
}

std::optional<wire::report> test_pool::next() {
  if (!link_.control.wait_readable(patience)) return std::nullopt;
  std::array<std::byte, wire::longest_message> buffer;
  auto parcel = link_.control.receive(buffer);
  if (!parcel || parcel->closed()) return std::nullopt;
  auto message = wire::decode_report(std::span{buffer}.first(parcel->size));
  if (!message || parcel->descriptor_count != wire::descriptors_beside(*message)) {
    throw std::runtime_error{"not a report"};
  }
  beside_ = std::move(parcel->descriptors);
  return *message;
}

void test_pool::order(const std::string& villain, wire::worker_id id, test_worker& worker) {
  std::array<int, 2> ends{};
  (void)!::pipe2(ends.data(), O_CLOEXEC);
  worker.id = id;
  worker.ready = os::descriptor{ends[0]};
  const os::descriptor lane{ends[1]};
  const auto results = memory_with("");
  const auto arguments = memory_with(villain);
  send(wire::spawn{.worker = id, .memory_limit = memory_limit_},
       {lane.get(), results.get(), arguments.get()});
}

test_worker test_pool::spawn_unready(const std::string& villain) {
  test_worker worker;
  order(villain, static_cast<wire::worker_id>(next_id_++), worker);
  while (auto message = next()) {
    if (const auto* const made = std::get_if<wire::spawned>(&*message)) {
      if (made->worker != worker.id) throw std::runtime_error{"another worker was spawned"};
      worker.pid = made->pid;
      worker.handle = os::pidfd{std::move(beside_[0]), made->pid};
      return worker;
    }
    if (const auto* const account = std::get_if<wire::gone>(&*message)) {
      accounts_.emplace(static_cast<std::uint64_t>(account->worker), *account);
      continue;
    }
    throw std::runtime_error{"no worker was spawned"};
  }
  throw std::runtime_error{"no answer to spawn"};
}

test_worker test_pool::spawn(const std::string& villain) {
  auto worker = spawn_unready(villain);
  if (!worker.wait_ready()) throw std::runtime_error{villain + " did not get ready"};
  return worker;
}

void test_pool::kill(const test_worker& worker) {
  send(wire::kill{.worker = worker.id});
}

wire::gone test_pool::gone(const test_worker& worker) {
  const auto key = static_cast<std::uint64_t>(worker.id);
  while (!accounts_.contains(key)) {
    auto message = next();
    if (!message) throw std::runtime_error{"no account of the worker's end"};
    if (const auto* const account = std::get_if<wire::gone>(&*message)) {
      accounts_.emplace(static_cast<std::uint64_t>(account->worker), *account);
    }
  }
  const auto account = accounts_.at(key);
  accounts_.erase(key);
  return account;
}

bool test_pool::answers_ping() {
  send(wire::ping{.number = 77});
  const auto message = next();
  const auto* const answer = message ? std::get_if<wire::pong>(&*message) : nullptr;
  return answer != nullptr && answer->number == 77;
}

void test_pool::dismiss() {
  if (!link_.control) return;
  (void)link_.control.send(wire::encode(wire::request{wire::dismiss{}}).bytes());
  if (!both_end()) ADD_FAILURE() << "warden or guardian did not end";
  link_.control = {};
}

bool test_pool::both_end() {
  const bool ended = link_.guardian.wait_ended(patience) && link_.warden.wait_ended(patience);
  (void)link_.guardian.reap();
  (void)link_.warden.reap();
  return ended;
}

}  // namespace hardstop::test
