#pragma once

#include <calm/base.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace calm {

/// A failure of the outside world: one line saying what was expected and what was found.
class Error : public std::runtime_error {
 public:
  Error(calm_status status, const std::string &message)
      : std::runtime_error(message), status_(status) {}
  calm_status status() const noexcept { return status_; }

 private:
  calm_status status_;
};

/// One row of the status list.
struct StatusRow {
  calm_status status;
  int exit_code;
  std::string_view sentence;
};
inline constexpr StatusRow kStatusRows[] = {
#define CALM_STATUS_ROW(name, number, exit, sentence) {number, exit, sentence},
    CALM_STATUS_LIST(CALM_STATUS_ROW)
#undef CALM_STATUS_ROW
};

/// Exit code of a process that ends with `status`.
constexpr int exit_code(calm_status status) noexcept {
  return status < std::size(kStatusRows) ? kStatusRows[status].exit_code : 1;
}
/// One sentence for a status.
constexpr std::string_view status_text(calm_status status) noexcept {
  return status < std::size(kStatusRows) ? kStatusRows[status].sentence
                                         : std::string_view("unknown status");
}

inline std::string_view view(calm_str text) noexcept {
  return {text.data == nullptr ? "" : text.data, static_cast<std::size_t>(text.len)};
}
inline calm_str str(std::string_view text) noexcept { return {text.data(), text.size()}; }
inline std::string copy(calm_str text) { return std::string(view(text)); }

/// Fills an error record (null is accepted) and returns its code. The message is cut, never
/// overrun.
inline calm_status fail(calm_error *error, calm_status status, std::string_view message,
                        std::uint32_t node = CALM_NONE) noexcept {
  if (error != nullptr) {
    *error = calm_error{};
    error->code = status;
    error->node = node;
    const std::size_t n = std::min(message.size(), sizeof(error->message) - 1);
    std::memcpy(error->message, message.data(), n);
    error->message[n] = '\0';
  }
  return status;
}

/// The border from C++ to C: runs `body`, turns every exception into a status and a message.
template <class Body>
calm_status guard(calm_error *error, Body &&body) noexcept {
  try {
    std::forward<Body>(body)();
    return CALM_OK;
  } catch (const Error &e) {
    return fail(error, e.status(), e.what());
  } catch (const std::bad_alloc &) {
    return fail(error, CALM_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception &e) {
    return fail(error, CALM_INTERNAL, e.what());
  } catch (...) {
    return fail(error, CALM_INTERNAL, "unknown exception");
  }
}

/// The border from C to C++: throws what the record says when `status` is a failure.
inline void check(calm_status status, const calm_error &error, std::string_view where = {}) {
  if (status == CALM_OK) {
    return;
  }
  const std::size_t length = ::strnlen(error.message, sizeof error.message);
  std::string text(where);
  if (!text.empty()) {
    text += ": ";
  }
  if (length == 0) {
    text += status_text(status);
  } else {
    text.append(error.message, length);
  }
  throw Error(status, text);
}

/// Calls a C function whose last parameter is the error record and throws when it fails.
template <class Function, class... Args>
void call(Function &&function, Args &&...args) {
  calm_error error{};
  check(std::forward<Function>(function)(std::forward<Args>(args)..., &error), error);
}

/// Record `index` of a table, read by stride; `index < table.count` is the caller's promise.
template <class Record>
const Record &record(const calm_table &table, std::uint32_t index) noexcept {
  return *reinterpret_cast<const Record *>(static_cast<const char *>(table.base) +
                                           std::size_t{index} * table.stride);
}

/// A contiguous range as a table.
template <class Range>
calm_table table(const Range &range) noexcept {
  return {std::data(range), static_cast<std::uint32_t>(std::size(range)),
          static_cast<std::uint32_t>(sizeof(*std::data(range)))};
}

}  // namespace calm
