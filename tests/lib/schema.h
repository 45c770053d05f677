/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/schema.h - does a JSON text keep to a JSON schema?  The part of draft 7 that our schemas use: type, const, enum, pattern,
 * minimum, maximum, properties, required, additionalProperties, items, minItems, maxItems, anyOf, oneOf, $ref into
 * #/definitions.  A word that is not known here counts as a failure, so that none goes unchecked.
 */
#ifndef TESTS_LIB_SCHEMA_H
#define TESTS_LIB_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

/* `schema`: a file.  false: `why` says where and what. */
bool schema_holds(const char *schema, const char *json, size_t size, char *why, size_t bytes);

#endif
