// What a process of ours keeps open beside a command: nothing that the command's readers or writers
// could wait for.
#pragma once

#include <span>
#include <vector>

namespace hardstop::cli {

// Fills standard input, output and error where they are closed, so that nothing of ours takes their
// numbers. The command finds them closed all the same.
void occupy_standard_streams();

// What the user left open for the command, but standard input, output and error. To be asked before
// anything else is opened.
[[nodiscard]] std::vector<int> inherited_descriptors();

// Closes those and points standard input and output to /dev/null, so that whoever reads what the
// command writes waits for the command and not for us.
void leave_to_command(std::span<const int> inherited);

}  // namespace hardstop::cli
