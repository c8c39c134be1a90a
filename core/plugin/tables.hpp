#pragma once

#include <calm/backend.h>
#include <calm/domain.h>
#include <calm/format.h>
#include <calm/model.h>
#include <calm/operator.h>
#include <calm/tokenizer.h>
#include <calm/trainer.h>

#include <string>
#include <vector>

namespace calm {

/// The functions a plugin's table does not have.
struct MissingSlots {
  std::vector<std::string> absent;  // null although the table reaches this far
  std::vector<std::string> newer;   // beyond the end of a table made before the slot existed
};

/// A copy of a plugin's table, of this host's size: what the plugin's is too short for is zero,
/// then every function that is null and not optional is a stub (see PluginRegistry). Throws
/// Error(CALM_INTERNAL) when the table cannot be one: no size, records shorter than ABI 1.0's.
template <class Table>
Table complete_table(const void *vtable, MissingSlots *missing);

extern template calm_operator complete_table(const void *, MissingSlots *);
extern template calm_backend complete_table(const void *, MissingSlots *);
extern template calm_format complete_table(const void *, MissingSlots *);
extern template calm_tokenizer complete_table(const void *, MissingSlots *);
extern template calm_model complete_table(const void *, MissingSlots *);
extern template calm_trainer complete_table(const void *, MissingSlots *);
extern template calm_domain complete_table(const void *, MissingSlots *);

}  // namespace calm
