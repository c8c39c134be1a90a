#pragma once

#include <calm/backend.h>
#include <calm/domain.h>
#include <calm/format.h>
#include <calm/model.h>
#include <calm/operator.h>
#include <calm/tokenizer.h>
#include <calm/trainer.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace calm {

/// The functions a plugin's table does not have.
struct MissingSlots {
  std::vector<std::string> absent;  // null although the table reaches this far
  std::vector<std::string> newer;   // beyond the end of a table made before the slot existed
};

/// A copy of a plugin's table, of this host's size: what the plugin's is too short for is zero.
/// `plugin_size` is how much of it the plugin has. Throws Error(CALM_INTERNAL) when the table
/// cannot be one: no size, records shorter than ABI 1.0's, a text without end.
template <class Table>
Table copy_table(const void *vtable, std::uint32_t *plugin_size);

extern template calm_operator copy_table(const void *, std::uint32_t *);
extern template calm_backend copy_table(const void *, std::uint32_t *);
extern template calm_format copy_table(const void *, std::uint32_t *);
extern template calm_tokenizer copy_table(const void *, std::uint32_t *);
extern template calm_model copy_table(const void *, std::uint32_t *);
extern template calm_trainer copy_table(const void *, std::uint32_t *);
extern template calm_domain copy_table(const void *, std::uint32_t *);

/// Refuses what a format claims to have read when it cannot be: no document, records shorter than
/// ABI 1.0's, names without end, shapes with a negative length or more bytes than memory has
/// addresses. Throws Error(CALM_INTERNAL): a file cannot cause it.
void check_document(const calm_document *document);

/// Refuses text longer than `most` bytes, a bound that none needs: a length that was negative is.
/// Throws Error(CALM_INTERNAL).
void check_text(calm_str text, std::string_view name, std::uint64_t most = 64 * 1024);

}  // namespace calm
