#include "core/plugin/border.hpp"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <iterator>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/base/plugin_scope.hpp"
#include "core/plugin/process_state.hpp"
#include "core/text/printable.hpp"

namespace calm {
namespace {

// One function of a table.
template <auto Member>
struct Slot {
  static constexpr auto kMember = Member;
  std::string_view name;
  bool optional = false;  // stays null when the plugin has none
};

template <class Table>
constexpr auto kSlots = std::tuple();
template <>
constexpr auto kSlots<calm_operator> = std::tuple(Slot<&calm_operator::infer>{"infer"},
                                                  Slot<&calm_operator::gradient>{"gradient", true},
                                                  Slot<&calm_operator::lower>{"lower", true},
                                                  Slot<&calm_operator::cost>{"cost"});
template <>
constexpr auto kSlots<calm_backend> =
    std::tuple(Slot<&calm_backend::devices>{"devices"}, Slot<&calm_backend::device>{"device"},
               Slot<&calm_backend::score>{"score"}, Slot<&calm_backend::open>{"open"},
               Slot<&calm_backend::close>{"close"}, Slot<&calm_backend::supports>{"supports"},
               Slot<&calm_backend::alloc>{"alloc"}, Slot<&calm_backend::free>{"free"},
               Slot<&calm_backend::write>{"write"}, Slot<&calm_backend::read>{"read"},
               Slot<&calm_backend::copy>{"copy"}, Slot<&calm_backend::compile>{"compile"},
               Slot<&calm_backend::info>{"info"}, Slot<&calm_backend::release>{"release"},
               Slot<&calm_backend::bind>{"bind"}, Slot<&calm_backend::unbind>{"unbind"},
               Slot<&calm_backend::run>{"run"}, Slot<&calm_backend::wait>{"wait"});
template <>
constexpr auto kSlots<calm_format> = std::tuple(Slot<&calm_format::probe>{"probe"},
                                                Slot<&calm_format::open>{"open"},
                                                Slot<&calm_format::document>{"document"},
                                                Slot<&calm_format::read>{"read"},
                                                Slot<&calm_format::close>{"close"},
                                                Slot<&calm_format::write>{"write"});
template <>
constexpr auto kSlots<calm_tokenizer> = std::tuple(Slot<&calm_tokenizer::open>{"open"},
                                                   Slot<&calm_tokenizer::close>{"close"},
                                                   Slot<&calm_tokenizer::vocab_size>{"vocab_size"},
                                                   Slot<&calm_tokenizer::encode>{"encode"},
                                                   Slot<&calm_tokenizer::decode>{"decode"});
template <>
constexpr auto kSlots<calm_model> = std::tuple(Slot<&calm_model::check>{"check"},
                                               Slot<&calm_model::build>{"build"});
template <>
constexpr auto kSlots<calm_trainer> = std::tuple(Slot<&calm_trainer::build>{"build"},
                                                 Slot<&calm_trainer::learning_rate>{
                                                     "learning_rate"});
template <>
constexpr auto kSlots<calm_domain> = std::tuple(Slot<&calm_domain::import>{"import", true},
                                                Slot<&calm_domain::gather_context>{"gather_context",
                                                                                   true},
                                                Slot<&calm_domain::filter>{"filter", true});

// Tables of one kind a process can hold. A plugin may bring many operators, of other kinds few.
template <class Table>
constexpr std::size_t kSeats = 32;
template <>
constexpr std::size_t kSeats<calm_operator> = 96;

// A table in use. Static, since the functions of a C table are told nothing but their arguments.
template <class Table>
struct Seat {
  std::atomic<bool> taken{false};
  Table plugins{};    // what the plugin gave; null where it has nothing
  std::string owner;  // printable
};
template <class Table>
std::array<Seat<Table>, kSeats<Table>> seats{};

std::string sentence(const std::string &owner, std::string_view slot, std::string_view what) {
  return fmt::format("{}: {} {}", owner, slot, what);
}

calm_status refuse(calm_error *error, calm_status status, const std::string &owner,
                   std::string_view slot, std::string_view what) noexcept {
  try {
    return fail(error, status, sentence(owner, slot, what));
  } catch (...) {
    return fail(error, CALM_OUT_OF_MEMORY, "out of memory");
  }
}

void warn(const std::string &owner, std::string_view slot, std::string_view what) noexcept {
  try {
    log_line(CALM_LOG_WARN, sentence(owner, slot, what));
  } catch (...) {
    return;
  }
}

class FloatControlGuard {
 public:
  FloatControlGuard(const std::string &owner, std::string_view slot) noexcept
      : owner_(owner), slot_(slot), before_(float_control()) {}
  ~FloatControlGuard() {
    if (float_control() != before_) {
      set_float_control(before_);
      warn(owner_, slot_, "changed the floating-point mode; restored");
    }
  }
  FloatControlGuard(const FloatControlGuard &) = delete;
  FloatControlGuard &operator=(const FloatControlGuard &) = delete;

 private:
  const std::string &owner_;
  std::string_view slot_;
  std::uint64_t before_;
};

// The last parameter but one when it is where an object is put: `calm_session **out`.
template <class... Args>
bool gave_nothing(Args... args) noexcept {
  if constexpr (sizeof...(Args) >= 2) {
    const auto out = std::get<sizeof...(Args) - 2>(std::tuple<Args...>(args...));
    using Out = std::remove_cv_t<decltype(out)>;
    if constexpr (std::is_pointer_v<Out>) {
      if constexpr (std::is_pointer_v<std::remove_pointer_t<Out>> &&
                    !std::is_const_v<std::remove_pointer_t<Out>>) {
        return out != nullptr && *out == nullptr;
      }
    }
  }
  return false;
}

template <class Table, std::size_t Index, class Function>
struct Crossing;

// What a function of a kind of table does on its way through; one for all seats, since there are
// hundreds of those.
template <class Table, std::size_t Index, class Result, class... Args>
struct Crossing<Table, Index, Result (*)(Args...)> {
  static constexpr auto kSlot = std::get<Index>(kSlots<Table>);

  // The function of one seat.
  template <std::size_t At>
  static Result call(Args... args) {
    return pass(seats<Table>[At], args...);
  }

 private:
  [[gnu::noinline]] static Result pass(const Seat<Table> &seat, Args... args) {
    const auto function = seat.plugins.*kSlot.kMember;
    const PluginScope scope(seat.owner.c_str(), "while it was running");
    const FloatControlGuard guard(seat.owner, kSlot.name);
    if constexpr (has_error()) {
      calm_error *error = std::get<sizeof...(Args) - 1>(std::tuple<Args...>(args...));
      const auto refused = [&](calm_status status, std::string_view what) {
        return refuse(error, status, seat.owner, kSlot.name, what);
      };
      if (function == nullptr) {
        return refused(CALM_UNSUPPORTED, "is not provided by the plugin");
      }
      try {
        const calm_status status = function(args...);
        if (status == CALM_OK && gave_nothing(args...)) {
          return refused(CALM_INTERNAL, "reported success and gave nothing");
        }
        return status < std::size(kStatusRows)
                   ? status
                   : refused(CALM_INTERNAL, "answered a status that does not exist");
      } catch (const std::bad_alloc &) {
        return refused(CALM_OUT_OF_MEMORY, "ran out of memory");
      } catch (const std::exception &e) {
        return thrown(error, seat.owner, e.what());
      } catch (...) {
        return refused(CALM_INTERNAL, "threw an exception");
      }
    } else {
      if (function == nullptr) {
        return nothing();
      }
      try {
        return function(args...);
      } catch (...) {
        warn(seat.owner, kSlot.name, "threw an exception");
        return nothing();
      }
    }
  }

  static Result nothing() {
    if constexpr (std::is_same_v<Result, const calm_document *>) {
      // It is looked into.
      static constexpr calm_document kEmpty{sizeof(calm_document), 0, {}, {}};
      return &kEmpty;
    } else {
      return Result();
    }
  }

  static constexpr bool has_error() {
    if constexpr (std::is_same_v<Result, calm_status> && sizeof...(Args) > 0) {
      return std::is_same_v<std::tuple_element_t<sizeof...(Args) - 1, std::tuple<Args...>>,
                            calm_error *>;
    } else {
      return false;
    }
  }

  static calm_status thrown(calm_error *error, const std::string &owner, const char *what) {
    try {
      return refuse(error, CALM_INTERNAL, owner, kSlot.name,
                    fmt::format("threw an exception: {}", what));
    } catch (...) {
      return refuse(error, CALM_INTERNAL, owner, kSlot.name, "threw an exception");
    }
  }
};

template <class Table, std::size_t At, std::size_t Index>
void cross(Table *table) {
  constexpr auto kSlot = std::get<Index>(kSlots<Table>);
  auto &function = table->*kSlot.kMember;
  if (function != nullptr || !kSlot.optional) {
    using Here = Crossing<Table, Index, std::remove_reference_t<decltype(function)>>;
    function = &Here::template call<At>;
  }
}

template <class Table, std::size_t At>
void cross_all(Table *table) {
  [&]<std::size_t... Index>(std::index_sequence<Index...>) {
    (cross<Table, At, Index>(table), ...);
  }
  (std::make_index_sequence<std::tuple_size_v<decltype(kSlots<Table>)>>());
}

// cross_all of every seat, to be picked at run time.
template <class Table>
constexpr auto kCrossings = []<std::size_t... At>(std::index_sequence<At...>) {
  return std::array<void (*)(Table *), sizeof...(At)>{&cross_all<Table, At>...};
}
(std::make_index_sequence<kSeats<Table>>());

template <class Table>
void note_missing(const Table &table, std::uint32_t plugin_size, MissingSlots *missing) {
  const auto look = [&](const auto &slot) {
    const auto &function = table.*slot.kMember;
    if (function != nullptr || slot.optional) {
      return;
    }
    const auto end = reinterpret_cast<const char *>(&function + 1);
    const bool reached =
        end - reinterpret_cast<const char *>(&table) <= static_cast<std::ptrdiff_t>(plugin_size);
    (reached ? missing->absent : missing->newer).emplace_back(slot.name);
  };
  std::apply([&look](const auto &...slots) { (look(slots), ...); }, kSlots<Table>);
}

template <class Table>
std::size_t take_seat() {
  for (std::size_t i = 0; i < kSeats<Table>; ++i) {
    if (!seats<Table>[i].taken.exchange(true, std::memory_order_acquire)) {
      return i;
    }
  }
  throw Error(
      CALM_UNSUPPORTED,
      fmt::format("expected at most {} of a kind in one process, found more", kSeats<Table>));
}

}  // namespace

template <class Table>
BorderedTable<Table>::BorderedTable(const void *vtable, const std::string &owner,
                                    MissingSlots *missing)
    : seat_(0) {
  std::uint32_t plugin_size = 0;
  table_ = copy_table<Table>(vtable, &plugin_size);
  note_missing(table_, plugin_size, missing);
  std::string printable = text::printable(owner, text::LineFeeds::kEscape);
  seat_ = take_seat<Table>();
  Seat<Table> &seat = seats<Table>[seat_];
  seat.plugins = table_;
  seat.owner = std::move(printable);
  kCrossings<Table>[seat_](&table_);
}

template <class Table>
BorderedTable<Table>::~BorderedTable() {
  seats<Table>[seat_].taken.store(false, std::memory_order_release);
}

template class BorderedTable<calm_operator>;
template class BorderedTable<calm_backend>;
template class BorderedTable<calm_format>;
template class BorderedTable<calm_tokenizer>;
template class BorderedTable<calm_model>;
template class BorderedTable<calm_trainer>;
template class BorderedTable<calm_domain>;

}  // namespace calm
