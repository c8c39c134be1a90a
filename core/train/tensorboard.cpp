#include "core/train/tensorboard.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/crc.hpp>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "core/base/log.hpp"

namespace calm::train {

namespace {

// Field numbers of tensorflow/core/util/event.proto and framework/summary.proto.
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
constexpr int kSummaryValue = 1, kTag = 1, kSimpleValue = 2;
constexpr int kStatus = 1, kStart = 1;
// Wire types of protobuf.
constexpr int kVarint = 0, kEight = 1, kBytes = 2, kFour = 5;

constexpr int kMostNames = 100;

void put_varint(std::string &out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    out += static_cast<char>((value & 0x7f) | 0x80);
  }
  out += static_cast<char>(value);
}

void put_key(std::string &out, int field, int wire) {
  put_varint(out, static_cast<std::uint64_t>(field << 3 | wire));
}

// Hosts are little-endian (base.h), as the wire is.
template <class T>
void put_raw(std::string &out, T value) {
  std::array<char, sizeof value> bytes{};
  std::memcpy(bytes.data(), &value, sizeof value);
  out.append(bytes.data(), bytes.size());
}

void put_bytes(std::string &out, int field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

std::string event(std::uint64_t step) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::string out;
  put_key(out, kWallTime, kEight);
  put_raw(out, now);
  put_key(out, kStep, kVarint);
  put_varint(out, step);
  return out;
}

// CRC-32C, rotated and shifted: a checksum of bytes that hold checksums is a poor one.
std::uint32_t masked_crc(std::string_view bytes) {
  boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  const std::uint32_t sum = crc.checksum();
  return ((sum >> 15) | (sum << 17)) + 0xa282ead8U;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') {
    return "localhost";
  }
  std::string host = name.data();
  std::replace(host.begin(), host.end(), '/', '_');
  return host;
}

}  // namespace

EventFile::EventFile(const std::string &folder, std::uint64_t first_step) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  const std::string stem =
      fmt::format("{}/events.out.tfevents.{:010}.{}.{}", folder, seconds, host_name(), ::getpid());
  for (int n = 0; n < kMostNames && !file_; ++n) {
    path_ = fmt::format("{}.{}", stem, n);
    file_.reset(std::fopen(path_.c_str(), "wxe"));
    if (!file_ && errno != EEXIST) {
      break;
    }
  }
  if (!file_) {
    log_warning("{}: cannot write: {}; there will be no TensorBoard events", path_,
                std::strerror(errno));
    return;
  }
  std::string version = event(0);
  put_bytes(version, kFileVersion, "brain.Event:2");
  write(version);
  std::string start;
  put_key(start, kStatus, kVarint);
  put_varint(start, kStart);
  std::string log = event(first_step);
  put_bytes(log, kSessionLog, start);
  write(log);
}

void EventFile::add(std::uint64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar &scalar : scalars) {
    if (!std::isfinite(scalar.value)) {
      continue;
    }
    std::string value;
    put_bytes(value, kTag, scalar.tag);
    put_key(value, kSimpleValue, kFour);
    put_raw(value, static_cast<float>(scalar.value));
    put_bytes(summary, kSummaryValue, value);
  }
  if (summary.empty()) {
    return;
  }
  std::string out = event(step);
  put_bytes(out, kSummary, summary);
  write(out);
}

void EventFile::write(std::string_view event) {
  if (!file_) {
    return;
  }
  std::string record;
  put_raw(record, static_cast<std::uint64_t>(event.size()));
  put_raw(record, masked_crc(record));
  record += event;
  put_raw(record, masked_crc(event));
  if (std::fwrite(record.data(), 1, record.size(), file_.get()) != record.size() ||
      std::fflush(file_.get()) != 0) {
    log_warning("{}: cannot write: {}; no more events are written", path_, std::strerror(errno));
    file_.reset();
  }
}

}  // namespace calm::train
