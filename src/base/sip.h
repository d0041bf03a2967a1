/* SipHash-2-4 with 128 bits: vouches for short texts with a secret key, a few times quicker than a
 * SHA-256 would. Who does not have the key can neither make one up nor go on from one they saw. */
#pragma once
#include "base/slice.h"

#define SIP_LEN 16 /* of the key, and of what is made */

void sip_of(const unsigned char key[SIP_LEN], struct slice bytes, unsigned char to[SIP_LEN]);
