// Whether a message makes sense, whoever wrote it: what is put into a queue, and what a queue's
// file holds, which strangers and failing disks may have written to.
//
// Pure: reads bytes, allocates little (no value is built), and its stack is bounded whatever they
// say.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <hardstop/message.hpp>

namespace hardstop::storage {

inline constexpr std::size_t longest_name = 1000;
inline constexpr std::size_t longest_key = 1000;  // enqueue_options::unique
inline constexpr std::size_t largest_arguments = std::size_t{64} * 1024 * 1024;
inline constexpr unsigned deepest_nesting = 100;

// The format that has that name in files.
[[nodiscard]] std::optional<argument_format> format_called(std::string_view name);

// Why no job can be made of it; nothing: one can. Signed pickles are not looked into: only who has
// the key can tell, and does before anything is loaded.
[[nodiscard]] std::optional<std::string> why_no_job(std::string_view name, argument_format format,
                                                    std::span<const std::byte> arguments);

}  // namespace hardstop::storage
