/* Every stable header. */
#pragma once

#include <calm/backend.h>
#include <calm/base.h>
#include <calm/builder.h>
#include <calm/comm.h>
#include <calm/domain.h>
#include <calm/format.h>
#include <calm/host.h>
#include <calm/model.h>
#include <calm/operator.h>
#include <calm/plugin.h>
#include <calm/program.h>
#include <calm/random.h>
#include <calm/tensor.h>
#include <calm/tokenizer.h>
#include <calm/trainer.h>
#include <calm/version.h>
