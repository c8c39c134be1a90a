#pragma once

#include "dictd.hpp"

namespace calm::dictionary {

/// How the records of a database are written.
enum class Layout { kGeneric, kGcide, kWordNet, kFoldoc, kJargon };

/// By what the database says about itself (its entry 00-database-short), else by its name as Debian
/// spells it, else by the look of its first records.
Layout recognise(const Database &database);

}  // namespace calm::dictionary
