// What the running kernel offers, found out by trying, never by its version.
#pragma once

namespace hardstop::os {

struct kernel_features {
  bool pidfd = false;            // pidfd_open and pidfd_send_signal (5.3): required
  bool pidfd_wait = false;       // waitid(P_PIDFD) (5.4): required
  bool pidfd_exit_info = false;  // ioctl(PIDFD_GET_INFO) with exit status (6.15)
  bool invisible_clone =
      false;  // clone(CLONE_VM | CLONE_VFORK | CLONE_FILES) without exit signal is allowed
  bool memfd_sealing = false;  // memfd_create with MFD_ALLOW_SEALING: required
};

// Tries each; a few hundred microseconds, and one helper process that nobody sees.
[[nodiscard]] kernel_features probe_kernel();

}  // namespace hardstop::os
