#pragma once

#include <calm/backend.h>
#include <calm/domain.h>
#include <calm/format.h>
#include <calm/model.h>
#include <calm/operator.h>
#include <calm/tokenizer.h>
#include <calm/trainer.h>

#include <cstddef>
#include <string>

#include "core/plugin/tables.hpp"

namespace calm {

/// A plugin's table as the host calls it: of this host's size, no required function null. Every
/// function crosses a border that
/// - marks the thread as being in the plugin's code (PluginScope), so that a crash names it;
/// - answers CALM_UNSUPPORTED, naming the plugin, for a function the plugin does not have;
/// - turns an exception into CALM_INTERNAL, or into a warning and 0 where there is no status;
/// - takes a success without a result (no session, no buffer, …), and a status that is none, for
///   CALM_INTERNAL;
/// - puts back how this thread computes with floats, with a warning.
/// It costs two calls and some thread-local stores: nothing beside what any of them does.
template <class Table>
class BorderedTable {
 public:
  /// `owner` is who is named: `backend "cuda" of /usr/lib/calm/plugins/cuda.so`. Throws
  /// Error(CALM_INTERNAL) when the table cannot be one, CALM_UNSUPPORTED when the process holds
  /// more tables of a kind than there are borders (C functions know no self, so each table needs
  /// functions of its own). [session]
  BorderedTable(const void *vtable, const std::string &owner, MissingSlots *missing);
  ~BorderedTable();
  BorderedTable(const BorderedTable &) = delete;
  BorderedTable &operator=(const BorderedTable &) = delete;

  /// Valid as long as this object.
  const Table &table() const noexcept { return table_; }

 private:
  std::size_t seat_;
  Table table_;
};

extern template class BorderedTable<calm_operator>;
extern template class BorderedTable<calm_backend>;
extern template class BorderedTable<calm_format>;
extern template class BorderedTable<calm_tokenizer>;
extern template class BorderedTable<calm_model>;
extern template class BorderedTable<calm_trainer>;
extern template class BorderedTable<calm_domain>;

}  // namespace calm
