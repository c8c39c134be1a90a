#pragma once

#include <cstdint>
#include <string>

#include "core/search/sqlite.hpp"

/// What the file of an index holds (README.md of this room has the tables).
namespace calm::search {

inline constexpr std::uint32_t kApplicationId = 0x43414c4d;  // "CALM"
inline constexpr std::uint32_t kFormatVersion = 1;

/// Fills a new database.
void create_schema(Database &database);

/// Reads the first 100 bytes of the file before SQLite does: CALM_CORRUPT_DATA when they are not
/// those of an index, CALM_VERSION when a newer version made it.
void check_header(const Database &database);

/// CALM_CORRUPT_DATA when the file has not the size its header says. Within a transaction, as a
/// change by another process moves both.
void check_size(const Database &database);

/// CALM_CORRUPT_DATA unless the tables and indices are exactly those of create_schema().
void check_schema(const Database &database);

/// CALM_CORRUPT_DATA when the record of the full-text index that says of what segments it consists
/// names more than it has room for: FTS5 takes memory for as many as it says. Before the first use
/// of the full-text index.
void check_words(const Database &database);

/// CALM_CORRUPT_DATA when the pages of the file contradict each other. Reads all of it.
void check_pages(const Database &database);

/// A change that was cut short leaves a journal beside the index, and the next who may write undoes
/// it. Whether there is one; CALM_CORRUPT_DATA when it asks for more than that: it can name another
/// file to remove, which none of ours does.
bool check_journal(const std::string &path);

}  // namespace calm::search
