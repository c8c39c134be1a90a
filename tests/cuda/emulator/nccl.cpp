// NCCL as far as the engine calls it: the ranks are processes of this machine and meet in a file,
// each with a place of its own for what it adds.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/cuda/emulator/stream.hpp"

namespace {

constexpr int kSuccess = 0;
constexpr int kSystemError = 2;
constexpr int kInvalidArgument = 4;
constexpr int kFloat32 = 7;
constexpr int kSum = 0;
constexpr std::size_t kMostRanks = 8;
constexpr std::size_t kMostValues = std::size_t{1} << 22;

/// Of one rank. All zero at first, as a new file is.
struct Seat {
  std::atomic<std::uint64_t> joined, begun, ended;  // of begun, ended: sums so far
  std::uint64_t count;                              // of the sum that it began last
  float values[kMostValues];
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

struct Id {
  char path[128];
};

}  // namespace

struct ncclComm {
  Seat *seats;
  std::size_t ranks, rank;
  std::uint64_t sums;  // that were put on a stream
  std::atomic<bool> aborted{false};

  bool all(std::atomic<std::uint64_t> Seat::*state, std::uint64_t least) const {
    for (std::size_t r = 0; r < ranks; ++r) {
      if ((seats[r].*state).load() < least) {
        return false;
      }
    }
    return true;
  }
};

namespace {

/// One sum, tried until it is done.
class Sum {
 public:
  Sum(std::shared_ptr<ncclComm> comm, const float *x, float *y, std::size_t n)
      : comm_(std::move(comm)), number_(++comm_->sums), x_(x), y_(y), n_(n) {}

  bool operator()() {
    if (comm_->aborted) {
      return true;  // y is anything
    }
    Seat &own = comm_->seats[comm_->rank];
    if (own.begun < number_) {
      if (!comm_->all(&Seat::ended, number_ - 1)) {
        return false;
      }
      own.count = n_;
      std::memcpy(own.values, x_, n_ * sizeof(float));
      own.begun = number_;
    }
    if (!comm_->all(&Seat::begun, number_)) {
      return false;
    }
    for (std::size_t r = 0; r < comm_->ranks; ++r) {
      if (comm_->seats[r].count != n_) {  // a device would hang or add up what does not belong
        std::fprintf(stderr, "sum %llu: rank %zu adds %llu values, rank %zu %zu\n",
                     static_cast<unsigned long long>(number_), r,
                     static_cast<unsigned long long>(comm_->seats[r].count), comm_->rank, n_);
        std::abort();
      }
    }
    for (std::size_t i = 0; i < n_; ++i) {
      float sum = comm_->seats[0].values[i];
      for (std::size_t r = 1; r < comm_->ranks; ++r) {
        sum += comm_->seats[r].values[i];
      }
      y_[i] = sum;
    }
    own.ended = number_;
    return true;
  }

 private:
  std::shared_ptr<ncclComm> comm_;
  std::uint64_t number_;
  const float *x_;
  float *y_;
  std::size_t n_;
};

/// What is on a stream outlives the communicator.
std::vector<std::shared_ptr<ncclComm>> &comms() {
  static std::vector<std::shared_ptr<ncclComm>> all;
  return all;
}

std::shared_ptr<ncclComm> find(const ncclComm *comm) {
  for (const std::shared_ptr<ncclComm> &known : comms()) {
    if (known.get() == comm) {
      return known;
    }
  }
  return nullptr;
}

}  // namespace

extern "C" {

const char *ncclGetErrorString(int);
int ncclGetVersion(int *version);
int ncclGetUniqueId(Id *id);
int ncclCommInitRank(ncclComm **comm, int ranks, Id id, int rank);
int ncclAllReduce(const void *x, void *y, std::size_t count, int dtype, int op, ncclComm *comm,
                  CUstream_st *stream);
int ncclCommGetAsyncError(ncclComm *comm, int *result);
int ncclCommAbort(ncclComm *comm);

const char *ncclGetErrorString(int) { return "an error of the emulated NCCL"; }

int ncclGetVersion(int *version) {
  *version = 22809;
  return kSuccess;
}

int ncclGetUniqueId(Id *id) {
  const char *const folder = std::getenv("TMPDIR");
  std::snprintf(id->path, sizeof id->path, "%s/nccl-XXXXXX", folder == nullptr ? "/tmp" : folder);
  const int file = ::mkstemp(id->path);
  const bool made = file >= 0 && ::ftruncate(file, sizeof(Seat) * kMostRanks) == 0;
  ::close(file);
  return made ? kSuccess : kSystemError;
}

int ncclCommInitRank(ncclComm **comm, int ranks, Id id, int rank) {
  const int file = ::open(id.path, O_RDWR | O_CLOEXEC);
  void *const memory =
      ::mmap(nullptr, sizeof(Seat) * kMostRanks, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (memory == MAP_FAILED || ranks > static_cast<int>(kMostRanks)) {
    return kSystemError;
  }
  comms().push_back(std::shared_ptr<ncclComm>(new ncclComm{static_cast<Seat *>(memory),
                                                           static_cast<std::size_t>(ranks),
                                                           static_cast<std::size_t>(rank), 0}));
  *comm = comms().back().get();
  (*comm)->seats[rank].joined = 1;
  while (!(*comm)->all(&Seat::joined, 1)) {
    ::sched_yield();
  }
  ::unlink(id.path);
  return kSuccess;
}

int ncclAllReduce(const void *x, void *y, std::size_t count, int dtype, int op, ncclComm *comm,
                  CUstream_st *stream) {
  if (count > kMostValues || dtype != kFloat32 || op != kSum || stream == nullptr) {
    return kInvalidArgument;
  }
  stream->submit_until(
      Sum(find(comm), static_cast<const float *>(x), static_cast<float *>(y), count));
  return kSuccess;
}

int ncclCommGetAsyncError(ncclComm *, int *result) {
  *result = kSuccess;
  return kSuccess;
}

// Its memory stays: sums on streams look at it.
int ncclCommAbort(ncclComm *comm) {
  comm->aborted = true;
  return kSuccess;
}
}
