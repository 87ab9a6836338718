// Jobs as asynchronous operations of Asio, for every completion token: callbacks, use_future,
// use_awaitable, deferred, and those of other libraries.
//
//   asio::awaitable<void> handle(hardstop::process_pool& pool) {
//     double v = co_await hardstop::async_submit<&integrate>(pool, {.timeout = 5s}, samples, 12,
//                                                            asio::use_awaitable);
//   }
//
// Completion signature: void(std::exception_ptr, T), or void(std::exception_ptr) for a job that
// returns void. The exception is null, or what future::get() or process_pool::submit() would throw;
// T is then a default-constructed one.
//
// The handler runs through its associated executor, which is kept busy meanwhile, and memory comes
// from its associated allocator. Without an associated executor (a bare lambda) it runs in Asio's
// system threads: use asio::bind_executor.
//
// Per-operation cancellation stops the job: terminal kills it at once; partial and total ask it and
// kill it after job_options::grace. Either way the operation completes at the job's confirmed end,
// with job_cancelled, or with its value if it finished first.
//
// If the executor's context is destroyed first, the handler is destroyed with it, uncalled, and the
// job goes on; cancel before if it should not.
//
// Works with standalone Asio from 1.22 and, where HARDSTOP_USE_BOOST_ASIO is defined or there is no
// standalone one, with Boost.Asio from 1.79. A program should choose one of them.
#pragma once

#if !defined(HARDSTOP_USE_BOOST_ASIO) && !__has_include(<asio/async_result.hpp>)
#define HARDSTOP_USE_BOOST_ASIO
#endif

#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#ifdef HARDSTOP_USE_BOOST_ASIO
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#else
#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/execution/context.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#endif

#include <hardstop/detail/engine.hpp>
#include <hardstop/detail/submitting.hpp>
#include <hardstop/errors.hpp>
#include <hardstop/options.hpp>
#include <hardstop/pool.hpp>

namespace hardstop {

// Part of every name, so that two files that chose differently do not share what differs.
#ifdef HARDSTOP_USE_BOOST_ASIO
inline namespace with_boost_asio {
namespace net = ::boost::asio;
#else
inline namespace with_asio {
namespace net = ::asio;
#endif

namespace asio_detail {

using detail::job_handle;

/// What an execution context knows of the operations whose jobs have not ended. A context that goes
/// away takes their handlers with it, and from then on nothing is posted there.
class waiting_jobs {
 public:
  /// What is left of an operation to be destroyed. The handler's destructor may do anything, even
  /// start operations, so it runs without the lock.
  struct orphan {
    void* operation = nullptr;
    void (*destroy)(void* operation) noexcept = nullptr;
  };

  /// One operation: links itself in, and is unlinked by whoever takes it, once.
  class entry {
   public:
    entry() = default;
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;

    /// The context goes away: hand over what it must not outlive.
    virtual orphan give_up() noexcept = 0;

   protected:
    ~entry() = default;

   private:
    friend class waiting_jobs;
    entry* previous_ = nullptr;
    entry* next_ = nullptr;
    bool linked_ = false;
  };

  void link(entry& added) {
    const std::lock_guard lock(mutex_);
    added.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &added;
    first_ = &added;
    added.linked_ = true;
  }

  /// Runs `then` unless the entry was abandoned; the context stays alive until it returns.
  template <class Then>
  bool take(entry& taken, Then then) {
    const std::lock_guard lock(mutex_);
    if (!taken.linked_) return false;
    unlink(taken);
    then();
    return true;
  }

  void abandon_all() noexcept {
    while (true) {
      const orphan left = take_any();
      if (left.operation == nullptr) return;
      left.destroy(left.operation);
    }
  }

 private:
  orphan take_any() {
    const std::lock_guard lock(mutex_);
    if (first_ == nullptr) return {};
    entry& any = *first_;
    unlink(any);
    return any.give_up();  // once unlocked, the entry may be gone
  }

  void unlink(entry& removed) noexcept {
    (removed.previous_ != nullptr ? removed.previous_->next_ : first_) = removed.next_;
    if (removed.next_ != nullptr) removed.next_->previous_ = removed.previous_;
    removed.linked_ = false;
  }

  std::mutex mutex_;
  entry* first_ = nullptr;
};

/// Tells waiting_jobs of its context's end. The list outlives the context while jobs run.
class context_watch final : public net::execution_context::service {
 public:
  using key_type = context_watch;
  static inline net::execution_context::id id;

  explicit context_watch(net::execution_context& context)
      : net::execution_context::service(context), jobs_(std::make_shared<waiting_jobs>()) {}

  [[nodiscard]] std::shared_ptr<waiting_jobs> jobs() const noexcept { return jobs_; }

 private:
  void shutdown() override { jobs_->abandon_all(); }

  std::shared_ptr<waiting_jobs> jobs_;
};

template <class Executor>
std::shared_ptr<waiting_jobs> jobs_waiting_for(const Executor& executor) {
  if constexpr (net::can_query<const Executor&, net::execution::context_t>::value) {
    net::execution_context& context = net::query(executor, net::execution::context);
    return net::use_service<context_watch>(context).jobs();
  } else if constexpr (requires { executor.context(); }) {
    return net::use_service<context_watch>(executor.context()).jobs();
  } else {
    return std::make_shared<waiting_jobs>();  // an executor without a context cannot lose it
  }
}

/// What cancellation does to the job. Lives in the handler's cancellation slot.
class job_canceller {
 public:
  explicit job_canceller(job_handle job) : job_(std::move(job)) {}

  void operator()(net::cancellation_type type) const {
    if ((type & net::cancellation_type::terminal) != net::cancellation_type::none) {
      job_.cancel(cancel_mode::kill, std::nullopt);
    } else if (type != net::cancellation_type::none) {
      job_.cancel(cancel_mode::ask_then_kill, std::nullopt);
    }
  }

 private:
  job_handle job_;
};

template <class Result>
struct completion_of {
  using signature = void(std::exception_ptr, Result);

  static_assert(
      std::default_initializable<Result>,
      "hardstop: async_submit hands its handler a default-constructed result beside an "
      "exception: give this type a default constructor, or return a std::optional of it.");

  template <class Handler>
  static void call(Handler&& handler, const job_handle& job) {
    std::exception_ptr error;
    Result result{};
    try {
      error = detail::make_job_error_of(job);
      if (!error) result = detail::take_result<Result>(job);
    } catch (...) {
      error = std::current_exception();
    }
    std::forward<Handler>(handler)(std::move(error), std::move(result));
  }

  template <class Handler>
  static void fail(Handler&& handler, std::exception_ptr error) {
    std::forward<Handler>(handler)(std::move(error), Result{});
  }
};

template <>
struct completion_of<void> {
  using signature = void(std::exception_ptr);

  template <class Handler>
  static void call(Handler&& handler, const job_handle& job) {
    std::forward<Handler>(handler)(detail::make_job_error_of(job));
  }

  template <class Handler>
  static void fail(Handler&& handler, std::exception_ptr error) {
    std::forward<Handler>(handler)(std::move(error));
  }
};

/// The handler and what must live as long as it: its executor's work and its job. Allocated by the
/// handler's allocator and freed before the handler is called, as Asio's own operations are.
template <class Handler>
class operation {
 public:
  using executor_type = net::associated_executor_t<Handler>;
  using allocator_type = net::associated_allocator_t<Handler>;

  struct freed {
    void operator()(operation* done) const noexcept {
      auto allocator = rebound(net::get_associated_allocator(done->handler));
      using traits = std::allocator_traits<decltype(allocator)>;
      traits::destroy(allocator, done);
      traits::deallocate(allocator, done, 1);
    }
  };

  using owner = std::unique_ptr<operation, freed>;

  static owner make(Handler&& handler) {
    auto allocator = rebound(net::get_associated_allocator(handler));
    using traits = std::allocator_traits<decltype(allocator)>;
    operation* raw = traits::allocate(allocator, 1);
    try {
      traits::construct(allocator, raw, std::move(handler));
    } catch (...) {
      traits::deallocate(allocator, raw, 1);
      throw;
    }
    return owner(raw);
  }

  explicit operation(Handler&& moved)
      : handler(std::move(moved)), work(net::get_associated_executor(handler)) {}

  Handler handler;
  net::executor_work_guard<executor_type> work;
  job_handle job;

 private:
  static auto rebound(const allocator_type& allocator) {
    return
        typename std::allocator_traits<allocator_type>::template rebind_alloc<operation>(allocator);
  }
};

/// Posted to the handler's executor when the job has ended.
template <class Result, class Handler>
class completion {
 public:
  using allocator_type = net::associated_allocator_t<Handler>;

  explicit completion(typename operation<Handler>::owner ended) : ended_(std::move(ended)) {}

  [[nodiscard]] allocator_type get_allocator() const noexcept {
    return net::get_associated_allocator(ended_->handler);
  }

  void operator()() {
    const auto work = std::move(ended_->work);
    const auto job = std::move(ended_->job);
    Handler handler = std::move(ended_->handler);
    ended_.reset();
    if (auto slot = net::get_associated_cancellation_slot(handler); slot.is_connected()) {
      slot.clear();
    }
    completion_of<Result>::call(std::move(handler), job);
  }

 private:
  typename operation<Handler>::owner ended_;
};

/// Waits for the job. Belongs to the engine until it has run, and to nobody's allocator: the
/// operation's memory may have to go before that.
template <class Result, class Handler>
class job_watch final : detail::continuation, waiting_jobs::entry {
 public:
  static void start(typename operation<Handler>::owner waiting) {
    auto list = jobs_waiting_for(waiting->work.get_executor());
    const job_handle job = waiting->job;
    auto watch = std::make_unique<job_watch>(std::move(waiting), std::move(list));
    watch->list_->link(*watch);
    job.on_done(*watch.release());
  }

  job_watch(typename operation<Handler>::owner waiting, std::shared_ptr<waiting_jobs> list)
      : waiting_(std::move(waiting)), list_(std::move(list)) {}

 private:
  void run() noexcept override {
    const std::unique_ptr<job_watch> self(this);
    list_->take(*this, [&] {
      const auto executor = waiting_->work.get_executor();
      net::post(executor, completion<Result, Handler>(std::move(waiting_)));
    });
  }

  waiting_jobs::orphan give_up() noexcept override {
    return {waiting_.release(), [](void* left) noexcept {
              typename operation<Handler>::freed()(static_cast<operation<Handler>*>(left));
            }};
  }

  typename operation<Handler>::owner waiting_;
  std::shared_ptr<waiting_jobs> list_;
};

/// Starts the operation: now, or when a lazy token wants it.
template <auto Function>
struct initiate {
  using result = detail::result_of<Function>;

  template <class Handler, class... Arguments>
  void operator()(Handler&& given, const process_pool* pool, const job_options& options,
                  const Arguments&... arguments) const {
    using handler_type = std::decay_t<Handler>;
    auto waiting = operation<handler_type>::make(handler_type(std::forward<Handler>(given)));
    try {
      waiting->job = detail::submit_job<Function>(pool->handle(), options, arguments...);
    } catch (...) {
      return complete_with_error(std::move(waiting), std::current_exception());
    }
    if (auto slot = net::get_associated_cancellation_slot(waiting->handler); slot.is_connected()) {
      slot.template emplace<job_canceller>(waiting->job);
    }
    job_watch<result, handler_type>::start(std::move(waiting));
  }

 private:
  template <class Owner>
  static void complete_with_error(Owner waiting, std::exception_ptr error) {
    const auto executor = waiting->work.get_executor();
    net::post(executor, [waiting = std::move(waiting), error = std::move(error)]() mutable {
      const auto work = std::move(waiting->work);
      auto handler = std::move(waiting->handler);
      waiting.reset();
      completion_of<result>::fail(std::move(handler), std::move(error));
    });
  }
};

/// Takes the token off the end of what was passed.
template <auto Function, class... Passed, std::size_t... I>
auto submit_with_token(const process_pool& pool, const job_options& options,
                       std::tuple<Passed...> passed, std::index_sequence<I...> /*arguments*/) {
  using passed_token = std::tuple_element_t<sizeof...(I), std::tuple<Passed...>>;
  using token_type = std::conditional_t<std::is_lvalue_reference_v<passed_token>, passed_token,
                                        std::remove_reference_t<passed_token>>;
  auto&& token = std::get<sizeof...(I)>(std::move(passed));
  return net::async_initiate<token_type,
                             typename completion_of<detail::result_of<Function>>::signature>(
      initiate<Function>(), token, &pool, options,
      std::forward<std::tuple_element_t<I, std::tuple<Passed...>>>(std::get<I>(passed))...);
}

}  // namespace asio_detail

/// Runs fn(args…) in the pool and completes when the job has ended: see the head of this file.
/// Between pool and arguments job_options may stand, usually as a braced list; the number of
/// arguments tells.
///
///   async_submit<&fn>(pool, args…, token)        async_submit<&fn>(pool, {.timeout = 5s}, args…,
///   token)
///
/// Nothing is thrown but by the token itself: errors of submit() come through the handler too. With
/// a lazy token (use_awaitable, deferred) arguments are copied into the operation, and pool and
/// options' name must live until it starts.
template <auto Function, class Token>
  requires(detail::arity<Function> == 0)
auto async_submit(process_pool& pool, Token&& token) {
  return asio_detail::submit_with_token<Function>(pool, detail::default_job_options,
                                                  std::forward_as_tuple(std::forward<Token>(token)),
                                                  std::index_sequence<>());
}

template <auto Function, class First = detail::first_parameter<Function>, class... Rest>
  requires(detail::arity<Function> > 0 && sizeof...(Rest) == detail::arity<Function>)
auto async_submit(process_pool& pool, First&& first, Rest&&... rest_and_token) {
  return asio_detail::submit_with_token<Function>(
      pool, detail::default_job_options,
      std::forward_as_tuple(std::forward<First>(first), std::forward<Rest>(rest_and_token)...),
      std::make_index_sequence<detail::arity<Function>>());
}

template <auto Function, class... Rest>
  requires(sizeof...(Rest) == detail::arity<Function> + 1)
auto async_submit(process_pool& pool, const job_options& options, Rest&&... arguments_and_token) {
  return asio_detail::submit_with_token<Function>(
      pool, options, std::forward_as_tuple(std::forward<Rest>(arguments_and_token)...),
      std::make_index_sequence<detail::arity<Function>>());
}

}  // namespace with_asio or with_boost_asio
}  // namespace hardstop
