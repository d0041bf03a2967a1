/* The entry of the program: finds the verb and runs it. */
#include "base/build.h"

#include <stdio.h>

int main(void)
{
    printf("dais %s (%s)\n", build_version, build_release);
    return 0;
}
