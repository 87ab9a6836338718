#include "cells.hpp"

#include <array>
#include <span>

namespace bench {

std::span<const cell> all_cells() {
  static constexpr std::array cells = {
      cell{"throughput_hardstop", throughput_hardstop},
      cell{"throughput_asio", throughput_asio},
      cell{"round_trip_hardstop", round_trip_hardstop},
      cell{"round_trip_ring", round_trip_ring},
      cell{"cancel_hardstop", cancel_hardstop},
      cell{"cancel_bare", cancel_bare},
      cell{"cancel_tree_hardstop", cancel_tree_hardstop},
      cell{"cancel_tree_bare", cancel_tree_bare},
      cell{"next_job_hardstop", next_job_hardstop},
      cell{"next_job_fork", next_job_fork},
      cell{"deadline_hardstop", deadline_hardstop},
      cell{"deadline_deaf_hardstop", deadline_deaf_hardstop},
      cell{"deadline_stuck_hardstop", deadline_stuck_hardstop},
      cell{"deadline_timerfd", deadline_timerfd},
      cell{"large_hardstop", large_hardstop},
      cell{"start_hardstop", start_hardstop},
      cell{"start_bare", start_bare},
      cell{"start_gigabyte_hardstop", start_gigabyte_hardstop},
      cell{"start_gigabyte_bare", start_gigabyte_bare},
      cell{"queued_hardstop", queued_hardstop},
      cell{"queued_asio", queued_asio},
      cell{"idle_hardstop", idle_hardstop},
      cell{"huge_pages_asked", huge_pages_asked},
      cell{"huge_pages_not_asked", huge_pages_not_asked},
      cell{"neighbour_of_killed", neighbour_of_killed},
      cell{"neighbour_of_calm", neighbour_of_calm},
      cell{"per_job_fork", per_job_fork},
      cell{"per_job_boost", per_job_boost},
      cell{"permits_client", permits_client},
      cell{"permits_threads", permits_threads},
      cell{"permits_job", permits_job},
      cell{"permits_return", permits_return},
  };
  return cells;
}

}  // namespace bench
