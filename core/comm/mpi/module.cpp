// The only file that sees MPI. Collectives are non-blocking and polled: a blocking one would wait
// for ever for a rank that died. MPI 3 does not say that a rank died; the system does, of those on
// this host: each rank holds a descriptor of every other one's process (pidfd, Linux 5.3).
#include <mpi.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/comm/module.hpp"

namespace calm::comm {
namespace {

using Clock = std::chrono::steady_clock;

/// Between two looks at the others' processes while waiting.
constexpr auto kLookEvery = std::chrono::milliseconds(5);
/// After a signal: a step of the slowest rank should be over, and the launcher may have sent the
/// signal because a rank on another host, whose end nobody here sees, is gone.
constexpr auto kPatienceAfterSignal = std::chrono::seconds(10);
/// Of a rank that failed, for the others to fail as well.
constexpr auto kPatienceAfterFailure = std::chrono::seconds(2);
/// Of a rank that ends because another is gone, in milliseconds.
constexpr int kAfterTheFirst = 300;
/// How long a waiting rank keeps its processor. Longer than the ranks' shares of a step differ; but
/// where there are more ranks than processors it may be that of whom it waits for.
constexpr auto kAwake = std::chrono::milliseconds(2);
constexpr auto kAwakeCrowded = std::chrono::microseconds(20);
/// Values a collective call takes at most; MPI counts in int.
constexpr std::uint64_t kMostValues = std::uint64_t{1} << 24;

void must(int code, const char *what) {
  if (code == MPI_SUCCESS) {
    return;
  }
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Error(CALM_DEVICE_LOST, std::string(what) + ": " +
                                    std::string(text.data(), static_cast<std::size_t>(length)));
}

/// Another rank of this host.
struct Peer {
  int rank = 0;
  int process = -1;  ///< pidfd; -1: the system does not tell
};

class Mpi final : public Module {
 public:
  explicit Mpi(const std::atomic<int> *stop) : stop_(stop) {
    int flag = 0;
    MPI_Initialized(&flag);
    if (flag == 0) {
      int given = 0;
      must(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &given), "MPI_Init_thread");
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    // Of our own, so that nothing else in the process can take part by accident.
    must(MPI_Comm_dup(MPI_COMM_WORLD, &world_), "MPI_Comm_dup");
    must(MPI_Comm_dup(MPI_COMM_WORLD, &end_), "MPI_Comm_dup");
    MPI_Comm_set_errhandler(world_, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(end_, MPI_ERRORS_RETURN);
    table_.size = sizeof table_;
    table_.rank = number(MPI_Comm_rank, world_);
    table_.ranks = number(MPI_Comm_size, world_);
    table_.self = this;
    table_.all_reduce = [](void *self, void *data, std::uint64_t count, calm_dtype dtype,
                           calm_error *error) {
      return guard(error, [&] { of(self).all_reduce(data, count, dtype); });
    };
    table_.broadcast = [](void *self, void *data, std::uint64_t bytes, std::uint32_t root,
                          calm_error *error) {
      return guard(error, [&] { of(self).broadcast(data, bytes, root); });
    };
    table_.check = [](void *self, calm_error *error) {
      return guard(error, [&] { of(self).look(); });
    };
    meet_neighbours();
  }
  Mpi(const Mpi &) = delete;
  Mpi &operator=(const Mpi &) = delete;
  /// leave() ended MPI, or the process ends without it.
  ~Mpi() override = default;

  const calm_comm &table() const override { return table_; }
  std::uint32_t processors() const override { return processors_; }

  void leave(int exit_code, bool failed) override {
    try {
      if (!lost_) {
        MPI_Request request = MPI_REQUEST_NULL;
        must(MPI_Ibarrier(end_, &request), "MPI_Ibarrier");
        if (finish(request,
                   failed ? Clock::now() + kPatienceAfterFailure : Clock::time_point::max())) {
          MPI_Finalize();
          return;
        }
        MPI_Abort(MPI_COMM_WORLD, exit_code);
      }
    } catch (const Error &) {
      // A rank is gone: this one ends alone, and with its own code.
    }
    // After the one that is gone, whose process may still be saying why: a launcher answers with the
    // code of the first that ends. It may also ask this one to end at once.
    ::poll(nullptr, 0, kAfterTheFirst);
    ::_exit(exit_code);
  }

 private:
  static Mpi &of(void *self) { return *static_cast<Mpi *>(self); }

  static std::uint32_t number(int (*ask)(MPI_Comm, int *), MPI_Comm comm) {
    int n = 0;
    must(ask(comm, &n), "MPI_Comm_rank");
    return static_cast<std::uint32_t>(n);
  }

  /// The ranks of this host: their processes, and how many may use each processor.
  void meet_neighbours() {
    MPI_Comm host = MPI_COMM_NULL;
    must(MPI_Comm_split_type(world_, MPI_COMM_TYPE_SHARED, static_cast<int>(table_.rank),
                             MPI_INFO_NULL, &host),
         "MPI_Comm_split_type");
    table_.local_rank = number(MPI_Comm_rank, host);
    table_.local_ranks = number(MPI_Comm_size, host);

    struct Card {
      std::uint64_t rank, process, names;  // numbers of processes mean something in one namespace
    };
    struct stat names {};
    const bool known = ::stat("/proc/self/ns/pid", &names) == 0;
    Card own{table_.rank, static_cast<std::uint64_t>(::getpid()),
             known ? static_cast<std::uint64_t>(names.st_ino) : 0};
    std::vector<Card> cards(table_.local_ranks);
    must(MPI_Allgather(&own, sizeof own, MPI_BYTE, cards.data(), sizeof own, MPI_BYTE, host),
         "MPI_Allgather");
    for (const Card &card : cards) {
      if (card.rank == own.rank || !known || card.names != own.names) {
        continue;
      }
      const long process = ::syscall(SYS_pidfd_open, static_cast<pid_t>(card.process), 0U);
      peers_.push_back({static_cast<int>(card.rank), static_cast<int>(process)});
    }

    cpu_set_t set;
    CPU_ZERO(&set);
    std::array<std::uint8_t, CPU_SETSIZE> users{};
    ::sched_getaffinity(0, sizeof set, &set);
    for (std::size_t i = 0; i < users.size(); ++i) {
      users[i] = CPU_ISSET(i, &set) ? 1 : 0;
    }
    must(MPI_Allreduce(MPI_IN_PLACE, users.data(), CPU_SETSIZE, MPI_UINT8_T, MPI_SUM, host),
         "MPI_Allreduce");
    double share = 0;
    for (std::size_t i = 0; i < users.size(); ++i) {
      share += CPU_ISSET(i, &set) ? 1.0 / users[i] : 0.0;
    }
    crowded_ = share < 0.99;
    processors_ = std::max(static_cast<std::uint32_t>(std::lround(share)), 1U);
    MPI_Comm_free(&host);
  }

  // finish() waits, by MPI_Test, which the checker does not know.
  // NOLINTBEGIN(clang-analyzer-optin.mpi.MPI-Checker)
  void all_reduce(void *data, std::uint64_t count, calm_dtype dtype) {
    if (dtype != CALM_F32 && dtype != CALM_F64) {
      throw Error(CALM_INVALID_ARGUMENT,
                  "all_reduce: expected f32 or f64, found dtype " + std::to_string(dtype));
    }
    const std::size_t bytes = dtype == CALM_F32 ? sizeof(float) : sizeof(double);
    for (std::uint64_t begin = 0; begin < count; begin += kMostValues) {
      const std::uint64_t n = std::min(kMostValues, count - begin);
      MPI_Request request = MPI_REQUEST_NULL;
      must(MPI_Iallreduce(MPI_IN_PLACE, static_cast<std::byte *>(data) + begin * bytes,
                          static_cast<int>(n), dtype == CALM_F32 ? MPI_FLOAT : MPI_DOUBLE, MPI_SUM,
                          world_, &request),
           "MPI_Iallreduce");
      finish(request, Clock::time_point::max());
    }
  }

  void broadcast(void *data, std::uint64_t bytes, std::uint32_t root) {
    if (root >= table_.ranks) {
      throw Error(CALM_INVALID_ARGUMENT, "broadcast: expected a root below " +
                                             std::to_string(table_.ranks) + ", found " +
                                             std::to_string(root));
    }
    for (std::uint64_t begin = 0; begin < bytes; begin += kMostValues) {
      const std::uint64_t n = std::min(kMostValues, bytes - begin);
      MPI_Request request = MPI_REQUEST_NULL;
      must(MPI_Ibcast(static_cast<std::byte *>(data) + begin, static_cast<int>(n), MPI_BYTE,
                      static_cast<int>(root), world_, &request),
           "MPI_Ibcast");
      finish(request, Clock::time_point::max());
    }
  }
  // NOLINTEND(clang-analyzer-optin.mpi.MPI-Checker)

  /// Waits for `request`; false when it is not done at `deadline`. Throws when a rank is gone.
  bool finish(MPI_Request &request, Clock::time_point deadline) {
    const Clock::time_point asleep = Clock::now() + (crowded_ ? kAwakeCrowded : kAwake);
    Clock::time_point next_look{};
    for (;;) {
      int done = 0;
      const int code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (code != MPI_SUCCESS) {
        lost_ = true;
        must(code, "MPI_Test");
      }
      if (done != 0) {
        return true;
      }
      const Clock::time_point now = Clock::now();
      if (now < asleep) {
        continue;
      }
      ::sched_yield();
      if (now >= next_look) {
        next_look = now + kLookEvery;
        look();
        check_patience(now);
      }
      if (now >= deadline) {
        return false;
      }
    }
  }

  /// Throws when a process of this host's ranks has ended.
  void look() {
    for (const Peer &peer : peers_) {
      pollfd waiting{peer.process, POLLIN, 0};
      if (peer.process >= 0 && ::poll(&waiting, 1, 0) > 0) {
        give_up("rank " + std::to_string(peer.rank) + " is gone");
      }
    }
  }

  void check_patience(Clock::time_point now) {
    if (stop_ == nullptr || stop_->load(std::memory_order_relaxed) == 0) {
      return;
    }
    if (signalled_ == Clock::time_point{}) {
      signalled_ = now;
    } else if (now > signalled_ + kPatienceAfterSignal) {
      give_up("a signal asked to stop and the other ranks do not answer");
    }
  }

  [[noreturn]] void give_up(const std::string &why) {
    lost_ = true;
    throw Error(CALM_DEVICE_LOST, why);
  }

  const std::atomic<int> *stop_;
  MPI_Comm world_ = MPI_COMM_NULL;
  MPI_Comm end_ = MPI_COMM_NULL;  // for leave() alone: it may meet no other call
  calm_comm table_{};
  std::vector<Peer> peers_;
  std::uint32_t processors_ = 1;
  bool crowded_ = false;  // more ranks than processors
  Clock::time_point signalled_{};
  bool lost_ = false;
};

}  // namespace
}  // namespace calm::comm

CALM_EXPORT calm::comm::Module *calm_comm_open(const std::atomic<int> *stop, calm_error *error) {
  calm::comm::Module *module = nullptr;
  calm::guard(error, [&] { module = new calm::comm::Mpi(stop); });
  return module;
}
