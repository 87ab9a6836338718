// Options of queues and of their jobs: refused where they make no sense, by name, value and cure.
#pragma once

#include <hardstop/memory_queue.hpp>
#include <hardstop/message.hpp>
#include <hardstop/queue.hpp>

namespace hardstop::storage {

// Each throws bad_options.
void validate(const queue_options& options);
void validate(const memory_queue_options& options);
void validate(const enqueue_options& options);

// Throws message_refused.
void validate(const job_message& message);

}  // namespace hardstop::storage
