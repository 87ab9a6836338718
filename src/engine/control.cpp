#include "engine/control.hpp"

#include <sys/prctl.h>

#include <array>
#include <thread>
#include <unordered_map>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include "engine/engine.hpp"
#include "os/signals.hpp"
#include "os/slice.hpp"

namespace hardstop::engine {

namespace {

// Memory of limited attempts is looked at this often: touching 1.8 GB/s overshoots by 18 MB.
constexpr auto memory_interval = std::chrono::milliseconds(10);

}  // namespace

struct control::running {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  asio::steady_timer timer{io};
  asio::steady_timer chores{io};
  asio::steady_timer memory{io};
  bool memory_watched = false;
  std::unordered_map<guardian_line*, std::weak_ptr<followed>> lines;
  std::thread thread;
};

// One guardian and its warden, from birth to the end of both. Kept alive by its own pending waits.
class control::followed : public std::enable_shared_from_this<followed> {
 public:
  followed(engine& home, running& live, std::shared_ptr<detail::pool> whose,
           std::shared_ptr<guardian_line> line)
      : home_(home),
        live_(live),
        pool_(std::move(whose)),
        line_(std::move(line)),
        socket_(live.io),
        guardian_(live.io),
        warden_(live.io) {}

  followed(const followed&) = delete;
  followed& operator=(const followed&) = delete;

  // The descriptors are the line's.
  ~followed() {
    for (auto* each : {&socket_, &guardian_, &warden_}) {
      if (each->is_open()) each->release();
    }
  }

  // False: the kernel has no room to watch them.
  bool begin() {
    if (!take(socket_, line_->link.control.handle()) ||
        !take(guardian_, line_->link.guardian.handle()) ||
        !take(warden_, line_->link.warden.handle())) {
      return false;
    }
    live_.lines[line_.get()] = weak_from_this();
    read();
    wait_for(guardian_, [](followed& self) { self.guardian_ended(); });
    wait_for(warden_, [](followed& self) { self.warden_ended(); });
    return true;
  }

  void write_when_possible() {
    socket_.async_wait(asio::posix::stream_descriptor::wait_write,
                       [self = shared_from_this()](const asio::error_code& failed) {
                         if (!failed && !self->home_.send_unsent(*self->line_))
                           self->write_when_possible();
                       });
  }

 private:
  static bool take(asio::posix::stream_descriptor& into, const os::descriptor& from) {
    asio::error_code failed;
    into.assign(from.get(), failed);
    return !failed;
  }

  template <class Then>
  void wait_for(asio::posix::stream_descriptor& process, Then then) {
    process.async_wait(asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this(), then](const asio::error_code& failed) {
                         if (!failed) then(*self);
                       });
  }

  void read() {
    wait_for(socket_, [](followed& self) {
      if (self.receive_all()) self.read();
    });
  }

  // False: nothing will come any more. That is no news of anybody's death: a copy of the other end
  // may live on in a process of the user's, or the guardian may have closed it; its pidfd tells.
  bool receive_all() {
    std::array<std::byte, wire::longest_message> buffer{};
    while (true) {
      auto message = line_->link.control.receive(buffer);
      if (!message) return message.error().code == EAGAIN || message.error().code == EINTR;
      if (message->closed()) return false;
      home_.report_received(*pool_, *line_, *message, std::span(buffer).first(message->size));
    }
  }

  void guardian_ended() {
    guardian_over_ = true;
    receive_all();
    home_.guardian_lost(*pool_, *line_);
    over_if_both();
  }

  void warden_ended() {
    warden_over_ = true;
    home_.guardian_lost(*pool_, *line_);
    over_if_both();
  }

  // The second of the two to go has swept all that was left of the first.
  void over_if_both() {
    if (!guardian_over_ || !warden_over_) return;
    receive_all();
    socket_.release();
    live_.lines.erase(line_.get());
    home_.guardian_gone(*pool_, line_);
  }

  engine& home_;
  running& live_;
  std::shared_ptr<detail::pool> pool_;
  std::shared_ptr<guardian_line> line_;
  asio::posix::stream_descriptor socket_;
  asio::posix::stream_descriptor guardian_;
  asio::posix::stream_descriptor warden_;
  bool guardian_over_ = false;
  bool warden_over_ = false;
};

control::control(engine& home) : home_(home) {}

control::~control() = default;

void control::start() {
  auto fresh = std::make_unique<running>();
  running& live = *fresh;
  {
    const std::lock_guard lock(gate_);
    live_ = std::move(fresh);
  }
  const os::signals_blocked quiet;  // the host's handlers must never run here (G10)
  live.thread = std::thread([&live] {
    ::prctl(PR_SET_NAME, "hs-control");
    os::take_short_slices();  // deadlines wake it where a job may burn the CPU
    live.io.run();
  });
}

void control::stop() {
  std::unique_ptr<running> old;
  {
    const std::lock_guard lock(gate_);
    old = std::move(live_);
  }
  old->work.reset();
  old->io.stop();
  old->thread.join();
}

template <class Work>
void control::post(Work work) {
  const std::lock_guard lock(gate_);
  if (live_)
    asio::post(live_->io, [live = live_.get(), work = std::move(work)]() mutable { work(*live); });
}

void control::look_at_timers() {
  struct tick {
    engine& home;
    running& live;

    void operator()() const {
      const auto next = home.time_reached();
      if (!next) return;
      live.timer.expires_at(
          std::chrono::time_point_cast<std::chrono::steady_clock::duration>(*next));
      live.timer.async_wait([*this](const asio::error_code& moved) {
        if (!moved) (*this)();
      });
    }
  };

  post([this](running& live) { tick{home_, live}(); });
}

void control::watch(std::shared_ptr<detail::pool> whose, std::shared_ptr<guardian_line> line) {
  post([this, whose = std::move(whose), line = std::move(line)](running& live) {
    if (!std::make_shared<followed>(home_, live, whose, line)->begin())
      home_.cannot_watch(*whose, line);
  });
}

void control::write_when_possible(guardian_line& line) {
  post([&line](running& live) {
    const auto place = live.lines.find(&line);
    if (place == live.lines.end()) return;
    if (const auto watched = place->second.lock()) watched->write_when_possible();
  });
}

void control::spawn(std::vector<std::pair<std::shared_ptr<detail::pool>, wire::worker_id>> wanted) {
  post([this, wanted = std::move(wanted)](running&) mutable {
    home_.spawn_wanted(std::move(wanted));
  });
}

void control::resume_chores_at(schedule::instant when) {
  post([this, when](running& live) {
    live.chores.expires_at(std::chrono::time_point_cast<std::chrono::steady_clock::duration>(when));
    live.chores.async_wait([&home = home_](const asio::error_code& moved) {
      if (!moved) home.chores_due();
    });
  });
}

void control::watch_memory() {
  struct look {
    engine& home;
    running& live;

    void operator()() const {
      live.memory_watched = home.watch_memory();
      if (!live.memory_watched) return;
      live.memory.expires_after(memory_interval);
      live.memory.async_wait([*this](const asio::error_code& failed) {
        if (!failed) (*this)();
      });
    }
  };

  post([this](running& live) {
    if (!live.memory_watched) look{home_, live}();
  });
}

}  // namespace hardstop::engine
