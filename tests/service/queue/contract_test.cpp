// What every source promises (source.hpp), by random histories of two takers against a model:
// each job is leased to one at a time, receipts are unique, stale ones are refused and change
// nothing, nothing is lost, the order is kept, attempts are counted, cancellations are told for
// leased jobs and for no others.
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "service/queue/model.hpp"
#include "service/queue/subject.hpp"

namespace hardstop::test {

using namespace std::chrono_literals;

enum class action : std::uint8_t { enqueue, take, ack, nack, extend, cancel, advance };

struct step {
  action what{};
  unsigned who = 0;    // of the takers
  unsigned which = 0;  // of the receipts or jobs, the latest first
  unsigned how = 0;    // priority, number, reason or time

  friend std::ostream& operator<<(std::ostream& out, const step& shown) {
    constexpr const char* names[] = {"enqueue", "take",   "ack",    "nack",
                                     "extend",  "cancel", "advance"};
    return out << names[static_cast<int>(shown.what)] << "(taker " << shown.who << ", which "
               << shown.which << ", how " << shown.how << ")";
  }
};

namespace {

rc::Gen<step> any_step() {
  return rc::gen::construct<step>(rc::gen::weightedElement<action>({{4, action::enqueue},
                                                                    {4, action::take},
                                                                    {2, action::ack},
                                                                    {3, action::nack},
                                                                    {1, action::extend},
                                                                    {1, action::cancel},
                                                                    {2, action::advance}}),
                                  rc::gen::inRange(0U, 2U), rc::gen::inRange(0U, 6U),
                                  rc::gen::inRange(0U, 12U));
}

class history {
 public:
  explicit history(subject& of) : subject_(of), model_(of.its_rules()) {}

  void apply(const step& next) {
    switch (next.what) {
      case action::enqueue:
        return enqueue(next);
      case action::take:
        return take(next);
      case action::cancel:
        return cancel(next);
      case action::advance:
        return advance(next);
      default:
        if (!receipts_.empty()) settle(next);
    }
  }

  // Nothing was lost, and nothing told that was not to be.
  void check_the_end() {
    RC_ASSERT(subject_.size() == model_.size());
    for (const auto* const each : subject_.listeners())
      RC_ASSERT(each->all() == told_);
  }

 private:
  void enqueue(const step& next) {
    const int priority = subject_.its_rules().priorities ? static_cast<int>(next.how % 3) - 1 : 0;
    const auto id = subject_.enqueue(priority);
    RC_ASSERT(std::find(ids_.begin(), ids_.end(), id) == ids_.end());
    ids_.push_back(id);
    model_.enqueue(id, priority);
  }

  void take(const step& next) {
    const auto at_most = next.how % 4 + 1;
    const auto now = subject_.clock.now();
    const auto expected = model_.take(at_most, now);
    const auto taken = subject_.taker(next.who).take(at_most, 0s);
    std::vector<std::string> given;
    for (const auto& each : taken.jobs) {
      given.push_back(each.receipt.job);
      RC_ASSERT(each.lease_until == now + subject_.its_rules().lease);
      RC_ASSERT(std::find(ids_.begin(), ids_.end(), each.receipt.job) != ids_.end());
      RC_ASSERT(model_.numbered(each.receipt));
      receipts_.push_back(each.receipt);
    }
    RC_ASSERT(given == expected);
    RC_ASSERT(!taken.exhausted);
  }

  void settle(const step& next) {
    const auto which = latest(receipts_, next.which);
    const std::vector<receipt> refused{which};
    const auto now = subject_.clock.now();
    auto& taker = subject_.taker(next.who);
    if (next.what == action::ack) {
      const bool accepted = model_.ack(which);
      RC_ASSERT(taker.ack({&which, 1}) == (accepted ? std::vector<receipt>{} : refused));
    } else if (next.what == action::extend) {
      const bool accepted = model_.extend(which, now);
      RC_ASSERT(taker.extend({&which, 1}) == (accepted ? std::vector<receipt>{} : refused));
    } else {
      // Mostly failures.
      const auto reason = next.how < 4 ? static_cast<nack_reason>(next.how) : nack_reason::failed;
      const bool accepted = model_.nack(which, reason, now);
      const nacked_job back{.receipt = which, .reason = reason, .text = "so it goes"};
      RC_ASSERT(taker.nack({&back, 1}) == (accepted ? std::vector<receipt>{} : refused));
    }
  }

  void cancel(const step& next) {
    if (ids_.empty()) return;
    const auto id = latest(ids_, next.which);
    const auto expected = model_.cancel(id);
    RC_ASSERT(subject_.cancel(id) == expected.accepted);
    if (!expected.told) return;
    told_.push_back(*expected.told);
    for (const auto* const each : subject_.listeners())
      RC_ASSERT(each->wait_for(told_.size()));
  }

  void advance(const step& next) {
    constexpr std::chrono::milliseconds spans[] = {500ms, 1000ms, 2500ms, 9999ms, 10000ms, 30000ms};
    subject_.clock.advance(spans[next.how % std::size(spans)]);
  }

  template <class Item>
  static Item latest(const std::vector<Item>& all, unsigned which) {
    return all[all.size() - 1 - which % all.size()];
  }

  subject& subject_;
  model model_;
  std::vector<std::string> ids_;
  std::vector<receipt> receipts_;
  std::vector<receipt> told_;
};

struct named_subject {
  const char* name;
  std::unique_ptr<subject> (*make)();

  friend std::ostream& operator<<(std::ostream& out, const named_subject& shown) {
    return out << shown.name;
  }
};

class source_contract : public testing::TestWithParam<named_subject> {};

TEST_P(source_contract, holds_for_every_history) {
  const bool held = rc::check([] {
    const auto steps = *rc::gen::container<std::vector<step>>(any_step());
    const auto under_test = GetParam().make();
    history all{*under_test};
    for (const auto& each : steps)
      all.apply(each);
    all.check_the_end();
  });
  EXPECT_TRUE(held);
}

INSTANTIATE_TEST_SUITE_P(of, source_contract,
                         testing::Values(named_subject{"memory_queue", &memory_subject},
                                         named_subject{"queue", &one_object_subject},
                                         named_subject{"queue_twice", &two_objects_subject},
                                         named_subject{"queue_in_two_processes",
                                                       &two_processes_subject}),
                         [](const auto& each) { return std::string{each.param.name}; });

}  // namespace
}  // namespace hardstop::test
