// Looking at the jobs of a queue's file, without changing any.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "service/connection.hpp"
#include <hardstop/queue.hpp>

namespace hardstop::storage {

// Whatever a row holds: one that makes no sense is shown as far as it does.
[[nodiscard]] std::optional<queued_job> find(connection& db, std::string_view id);
[[nodiscard]] std::vector<queued_job> list(connection& db, const queued_filter& filter);
[[nodiscard]] std::size_t count(connection& db, queued_state state);

}  // namespace hardstop::storage
