// The queue of a pool: higher priorities first, in order of acceptance within one, also for who
// comes back.
#include "schedule/queue.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

namespace hardstop::schedule {
namespace {

class Queue : public testing::Test {
 protected:
  job& make(int priority) {
    jobs.push_back(std::make_unique<job>());
    job& fresh = *jobs.back();
    fresh.priority = priority;
    fresh.order = jobs.size();
    queue.admit(fresh);
    return fresh;
  }

  job& add(int priority) {
    job& fresh = make(priority);
    queue.push_back(fresh);
    return fresh;
  }

  job& take() {
    job& next = *queue.front();
    queue.remove(next);
    return next;
  }

  std::vector<std::unique_ptr<job>> jobs;
  job_queue queue;
};

TEST_F(Queue, IsFirstInFirstOutWithinOnePriority) {
  job& a = add(0);
  job& b = add(0);
  EXPECT_EQ(&take(), &a);
  EXPECT_EQ(&take(), &b);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.front(), nullptr);
}

TEST_F(Queue, GivesHigherPrioritiesFirst) {
  job& low = add(-3);
  job& middle = add(0);
  job& high = add(7);
  job& middle_too = add(0);
  EXPECT_EQ(queue.levels_in_play(), 3U);
  EXPECT_EQ(&take(), &high);
  EXPECT_EQ(&take(), &middle);
  EXPECT_EQ(&take(), &middle_too);
  EXPECT_EQ(&take(), &low);
}

TEST_F(Queue, TakesBackToTheOldPlace) {
  job& a = add(0);
  job& b = add(0);
  job& c = add(0);
  job& d = add(0);
  for (int count = 0; count < 3; ++count)
    take();
  queue.push_in_order(b);
  queue.push_in_order(c);
  queue.push_in_order(a);
  EXPECT_EQ(&take(), &a);
  EXPECT_EQ(&take(), &b);
  EXPECT_EQ(&take(), &c);
  EXPECT_EQ(&take(), &d);
}

TEST_F(Queue, KnowsALevelAsLongAsAJobOfItIsOutstanding) {
  job& low = add(1);
  job& high = add(2);
  take();
  EXPECT_EQ(queue.levels_in_play(), 2U) << "the higher one runs";
  queue.release(high);
  EXPECT_EQ(queue.levels_in_play(), 1U);
  take();
  queue.release(low);
  EXPECT_EQ(queue.outstanding(), 0U);
}

TEST_F(Queue, AgreesWithASort) {
  std::mt19937_64 chance{42};
  std::vector<job*> waiting;
  std::vector<job*> out;
  const auto before = [](const job* a, const job* b) {
    return std::make_tuple(-a->priority, a->order) < std::make_tuple(-b->priority, b->order);
  };
  for (int step = 0; step < 20'000; ++step) {
    switch (chance() % 5) {
      case 0:
      case 1:
        waiting.push_back(&add(static_cast<int>(chance() % 20)));
        break;
      case 2:
        if (waiting.empty()) break;
        std::sort(waiting.begin(), waiting.end(), before);
        ASSERT_EQ(queue.front(), waiting.front());
        out.push_back(&take());
        waiting.erase(waiting.begin());
        break;
      case 3:
        if (out.empty()) break;
        std::swap(out[chance() % out.size()], out.back());
        if (chance() % 2 == 0) {
          queue.push_in_order(*out.back());
          waiting.push_back(out.back());
        } else {
          queue.release(*out.back());
        }
        out.pop_back();
        break;
      default:  // cancelled
        if (waiting.empty()) break;
        std::swap(waiting[chance() % waiting.size()], waiting.back());
        queue.remove(*waiting.back());
        queue.release(*waiting.back());
        waiting.pop_back();
        break;
    }
    ASSERT_EQ(queue.size(), waiting.size());
    ASSERT_EQ(queue.outstanding(), waiting.size() + out.size());
  }
}

}  // namespace
}  // namespace hardstop::schedule
