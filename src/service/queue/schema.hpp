// What a queue's file looks like. Anybody may read it with `sqlite3 jobs.db`; who changes it with
// other tools should know what follows.
//
// One row a job, for as long as it is remembered. States, and the index that finds them:
//
//   delayed    queued, but not before due_at       jobs_delayed  by due_at
//   queued     for whoever takes next              jobs_ready    by priority, then id
//   leased     to somebody, until lease_until      jobs_leased   by lease_until
//   done, cancelled, dead, refused                 jobs_ended    by state, then id
//
// The indices are partial, so that a million jobs that are done cost those that wait nothing.
//
// lease counts the leases that a job has had: it is the attempt of a receipt. attempts counts those
// of them that count against max_attempts: one that was handed back does not. lease_until outlives
// its lease: while it stands at a job that is queued again, the lease has run out but nobody else
// has been given the job, and whoever had it may still say how it ended.
//
// Times are nanoseconds since 1970 (UTC), spans nanoseconds, arguments bytes in `format`.
#pragma once

#include "service/database.hpp"

namespace hardstop::storage {

inline constexpr file_kind queue_file{.what = "queue",
                                      .application_id = 0x68735130,  // "hsQ0"
                                      .version = 1,
                                      .schema = R"sql(
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL CHECK (name <> ''),
  format TEXT NOT NULL CHECK (format IN ('json', 'msgpack', 'pickle')),
  arguments BLOB NOT NULL,
  state TEXT NOT NULL CHECK (
    state IN ('delayed', 'queued', 'leased', 'done', 'cancelled', 'dead', 'refused')),
  priority INTEGER NOT NULL,
  unique_key TEXT CHECK (unique_key <> ''),
  attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  max_attempts INTEGER NOT NULL CHECK (max_attempts >= 1),
  back_off INTEGER NOT NULL CHECK (back_off >= 0),
  max_back_off INTEGER NOT NULL CHECK (max_back_off >= 0),
  timeout INTEGER CHECK (timeout > 0),
  grace INTEGER CHECK (grace >= 0),
  enqueued_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  lease INTEGER NOT NULL DEFAULT 0 CHECK (lease BETWEEN 0 AND 4294967295),
  lease_until INTEGER,
  cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
  ended_at INTEGER,
  reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX jobs_ready ON jobs (priority DESC, id) WHERE state = 'queued';
CREATE INDEX jobs_delayed ON jobs (due_at) WHERE state = 'delayed';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'leased';
CREATE INDEX jobs_to_stop ON jobs (id) WHERE cancel_requested = 1;
CREATE INDEX jobs_ended ON jobs (state) WHERE state IN ('done', 'cancelled', 'dead', 'refused');
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key)
  WHERE unique_key IS NOT NULL AND state IN ('delayed', 'queued', 'leased');
)sql"};

}  // namespace hardstop::storage
