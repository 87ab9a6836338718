// Owners of permits that wait for one another.
//
// The textbook's way: whoever does not wait returns what he has, and whoever could go on with that
// does the same. Those who are left hold what the others of them want.
#include <algorithm>
#include <iterator>
#include <utility>

#include "schedule/permits.hpp"

namespace hardstop::schedule {

namespace {

using claims = std::vector<const permit_claim*>;

template <class Visit>
bool any_holder(const semaphore& of, Visit visit) {
  for (const permit_share* at = of.holders.front(); at != nullptr; at = share_list::after(*at)) {
    if (visit(*at)) return true;
  }
  return false;
}

bool is_among(const claims& all, const permit_owner& who) {
  return std::ranges::any_of(all, [&](const permit_claim* each) { return each->owner == who; });
}

// When all but the stuck have returned what they hold.
bool will_be_there(const permit_share& wanted, const claims& stuck) {
  std::uint32_t free = wanted.of->available;
  any_holder(*wanted.of, [&](const permit_share& held) {
    if (!is_among(stuck, held.claim->owner)) free += held.count;
    return false;
  });
  return free >= wanted.count;
}

claims those_who_cannot_go_on(claims stuck) {
  for (;;) {
    claims left;
    std::ranges::copy_if(stuck, std::back_inserter(left), [&](const permit_claim* each) {
      return !std::ranges::all_of(
          each->shares, [&](const permit_share& wanted) { return will_be_there(wanted, stuck); });
    });
    if (left.size() == stuck.size()) return left;
    stuck = std::move(left);
  }
}

bool waits_for(const permit_claim& what, const permit_owner& who) {
  return std::ranges::any_of(what.shares, [&](const permit_share& wanted) {
    return any_holder(*wanted.of,
                      [&](const permit_share& held) { return held.claim->owner == who; });
  });
}

}  // namespace

claims permit_table::deadlock_around(const permit_claim& start) const {
  if (start.state != claim_state::waiting || holding_[place_of(start.owner)] == 0) return {};
  claims all;
  for (const permit_claim* at = waiting_.front(); at != nullptr; at = waiting_list::after(*at))
    all.push_back(at);
  const claims stuck = those_who_cannot_go_on(std::move(all));
  if (std::ranges::find(stuck, &start) == stuck.end()) return {};
  // Without those who merely wait behind the others.
  claims circle;
  std::ranges::copy_if(stuck, std::back_inserter(circle), [&](const permit_claim* who) {
    return std::ranges::any_of(
        stuck, [&](const permit_claim* each) { return waits_for(*each, who->owner); });
  });
  return circle;
}

}  // namespace hardstop::schedule
