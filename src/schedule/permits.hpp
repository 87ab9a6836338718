// Permits: who holds how many of which semaphore, who waits, who is next (G7).
//
// A permit is a row in a table, held by an attempt or by a guard in the client; nothing is counted
// in memory that a killed process could have written. This file knows semaphores and claims. Jobs
// know it by scheduler_permits.cpp: a claim for what a job needs is `called` when its permits are
// there, and takes them in the moment in which a worker takes the job; so a job that waits for a
// worker keeps nobody from his permits, and a worker is kept from nothing by a job that waits for
// permits.
//
// Order. Claims are served in the order in which they came. A claim for several semaphores takes
// all of it in one moment, the first in which it is there; until then it stands in nobody's way. So
// it never holds one thing while it waits for another, nor keeps anybody from one thing because it
// lacks another, and adds no deadlock to a program that has none. The price: others pass it for as
// long as its parts are never free in the same moment.
//
// Every grant has a fencing number larger than all before it, of whatever semaphore.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "schedule/list.hpp"
#include "schedule/model.hpp"

namespace hardstop::schedule {

struct semaphore;
struct permit_claim;

// What one claim wants, or has, of one semaphore. A node of that semaphore's lists.
struct permit_share {
  semaphore* of = nullptr;
  std::uint32_t count = 0;
  std::uint32_t abandoned = 0;  // of these, so many came from killed holders: told with the grant
  permit_claim* claim = nullptr;
  permit_share* prev = nullptr;
  permit_share* next = nullptr;
};

using share_list = list<permit_share, &permit_share::prev, &permit_share::next>;

// One row of the table. Its owner keeps it until nobody waits and nobody holds.
struct semaphore {
  explicit semaphore(std::uint32_t count) : permits(count), available(count) {}

  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  const std::uint32_t permits;
  std::uint32_t available;
  std::uint32_t called = 0;     // of these, wanted by jobs that wait for a worker only
  std::uint32_t abandoned = 0;  // of these, come back from killed holders and nobody was told yet
  share_list waiters;           // in order; without called ones
  share_list holders;

  std::uint64_t grants = 0;
  std::uint64_t returned_by_death = 0;  // permits that came back from a killed holder
  duration longest_wait{};              // of those granted or withdrawn
};

enum class claim_state : std::uint8_t {
  idle,     // nothing is asked for
  waiting,  // in its semaphores' queues
  called,   // of a job only: its permits are there, it waits for a worker
  held,
};

// Who asks: an attempt, or somebody in the client. `context` tells threads and tasks of one process
// apart, for deadlocks; zero is the thread that runs the job.
struct permit_owner {
  ticket attempt = ticket::none;
  std::uint64_t context = 0;

  friend bool operator==(const permit_owner&, const permit_owner&) = default;
};

// A request for permits of one or several semaphores, all or nothing. Does not move while it is not
// idle.
struct permit_claim {
  permit_claim() = default;
  permit_claim(const permit_claim&) = delete;
  permit_claim& operator=(const permit_claim&) = delete;

  // Before it is asked for. Each semaphore once.
  void want(semaphore& what, std::uint32_t count) {
    shares.push_back({.of = &what, .count = count});
  }

  // Whether it was told that something it protects may be half-written.
  bool abandoned() const {
    return std::ranges::any_of(shares,
                               [](const permit_share& each) { return each.abandoned != 0; });
  }

  std::vector<permit_share> shares;
  permit_owner owner;
  claim_state state = claim_state::idle;
  job* needed_by = nullptr;  // of a job that is not dispatched without it
  job* held_by = nullptr;    // asked for by a job that runs: ends with its attempt
  std::uint64_t order = 0;
  std::uint64_t fence = 0;
  instant since{};               // when it came to wait, or was granted
  permit_claim* prev = nullptr;  // among those of its attempt
  permit_claim* next = nullptr;
  permit_claim* waits_before = nullptr;  // among all guards that wait
  permit_claim* waits_after = nullptr;
};

using claim_list = list<permit_claim, &permit_claim::prev, &permit_claim::next>;
using waiting_list = list<permit_claim, &permit_claim::waits_before, &permit_claim::waits_after>;

// What one job has to do with permits. Its claims are the scheduler's until effects::claim_over().
struct job_permits {
  permit_claim* needs = nullptr;  // it is dispatched with these only, and has them for the attempt
  claim_list claims;              // what its attempt has asked for as it runs
};

enum class claim_answer : std::uint8_t {
  granted,
  waits,
  unavailable,  // not now, and it was not to wait
  impossible,   // more than there ever are
  over,         // of an attempt that does not run, or not any more
};

enum class patience : std::uint8_t { wait, try_now };

// How a permit comes back.
enum class permit_return : std::uint8_t {
  released,
  unused,  // its holder never began with it: whoever is next is told what it was to be told
  killed,  // what it protects may be half-written
};

class permit_table {
 public:
  // What comes of others' returning what they have. Called from within the events below; must not
  // call back.
  class listener {
   public:
    virtual void granted(permit_claim&) = 0;
    // A job's claim could be granted, and is now `called`: take() it when a worker takes the job.
    virtual void called(permit_claim&) = 0;

   protected:
    ~listener() = default;
  };

  explicit permit_table(listener& to) : tell_(to) {}

  // A guard's claim, or that of an attempt that runs.
  claim_answer ask(permit_claim&, patience, instant now);

  // A job's needs: the claim is called, now or later. False: there never are as many.
  bool queue(permit_claim&, instant now);

  // Of a called claim: true if it has its permits now. False: it waits again, in its old place.
  bool take(permit_claim&, instant now);

  // Of a claim that is waiting, called or held; it is idle afterwards.
  void give_back(permit_claim&, permit_return, instant now);

  // Claims of owners that hold what the others of them wait for, so that none of them ever goes on
  // by itself; empty if this claim, which has just come to wait, has not closed such a circle.
  std::vector<const permit_claim*> deadlock_around(const permit_claim&) const;

  std::uint64_t last_fence() const { return last_fence_; }

 private:
  static bool possible(const permit_claim&);
  static bool may_have(const permit_claim&);
  static bool blocks(const permit_share& earlier);
  void wait(permit_claim&, instant now);
  void leave_queues(permit_claim&);
  void grant(permit_claim&, instant now);
  void serve(semaphore&, instant now);
  static void note_wait(const permit_claim&, instant now);
  void call(permit_claim&);
  static std::size_t place_of(const permit_owner&);

  listener& tell_;
  waiting_list waiting_;
  // How many claims those owners hold that fall into one place: who holds nothing closes no circle,
  // and need not be searched for.
  std::array<std::uint32_t, 256> holding_{};
  std::uint64_t last_order_ = 0;
  std::uint64_t last_fence_ = 0;
};

}  // namespace hardstop::schedule
