// Whether a tree can be contained here at all.
#pragma once

#include <optional>
#include <string>

namespace hardstop::cli {

// Nothing if it can. Else what is missing and the cure, in sentences.
[[nodiscard]] std::optional<std::string> why_not_contained();

// Nothing if /proc shows this process under its own number. It does not where a PID namespace was
// entered without mounting /proc anew: then it tells of other processes' children.
[[nodiscard]] std::optional<std::string> why_proc_misleads();

}  // namespace hardstop::cli
