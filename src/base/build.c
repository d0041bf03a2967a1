/* The version stamp, alone in its object so that a new commit rebuilds nothing else. */
#include "base/build.h"
#include "build_info.h"

const char build_version[] = BUILD_VERSION;
const char build_release[] = BUILD_RELEASE;
const char build_mode[] = BUILD_MODE;
