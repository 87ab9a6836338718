// Every cell, by contestant. What each measures stands at the top of the file that defines it.
#pragma once

#include "cell.hpp"

namespace bench {

// throughput.cpp
figures throughput_hardstop(effort);
figures throughput_asio(effort);

// round_trip.cpp
figures round_trip_hardstop(effort);
figures round_trip_ring(effort);

// cancel.cpp
figures cancel_hardstop(effort);
figures cancel_bare(effort);
figures cancel_tree_hardstop(effort);
figures cancel_tree_bare(effort);
figures next_job_hardstop(effort);
figures next_job_fork(effort);

// deadline.cpp
figures deadline_hardstop(effort);
figures deadline_deaf_hardstop(effort);
figures deadline_stuck_hardstop(effort);
figures deadline_timerfd(effort);

// large.cpp
figures large_hardstop(effort);

// start.cpp
figures start_hardstop(effort);
figures start_bare(effort);
figures start_gigabyte_hardstop(effort);
figures start_gigabyte_bare(effort);

// queued.cpp
figures queued_hardstop(effort);
figures queued_asio(effort);

// idle.cpp
figures idle_hardstop(effort);

// huge_pages.cpp
figures huge_pages_asked(effort);
figures huge_pages_not_asked(effort);

// neighbour.cpp
figures neighbour_of_killed(effort);
figures neighbour_of_calm(effort);

// per_job.cpp
figures per_job_fork(effort);
figures per_job_boost(effort);

// permits.cpp
figures permits_client(effort);
figures permits_threads(effort);
figures permits_job(effort);
figures permits_return(effort);

}  // namespace bench
