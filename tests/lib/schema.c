/* SPDX-License-Identifier: MIT */
/* tests/lib/schema.c - see schema.h. */
#include "tests/lib/schema.h"

#include <jansson.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct check {
	json_t *root;
	char *why;
	size_t bytes;
	bool quiet; /* an alternative is tried */
};

static bool holds(struct check *c, json_t *schema, json_t *value, const char *where);

__attribute__((format(printf, 3, 4))) static bool bad(struct check *c, const char *where, const char *format, ...)
{
	va_list list;
	int used = 0;
	if (c->quiet)
		return false;
	used = snprintf(c->why, c->bytes, "%s: ", where);
	va_start(list, format);
	if (used > 0 && (size_t)used < c->bytes)
		vsnprintf(c->why + used, c->bytes - (size_t)used, format, list);
	va_end(list);
	return false;
}

static bool is_type(json_t *value, const char *type)
{
	static const struct { const char *name; json_type type; } types[] = {
		{ "object", JSON_OBJECT }, { "array", JSON_ARRAY }, { "string", JSON_STRING }, { "integer", JSON_INTEGER },
		{ "null", JSON_NULL },
	};
	if (strcmp(type, "boolean") == 0)
		return json_is_boolean(value);
	for (size_t k = 0; k < sizeof types / sizeof types[0]; k++)
		if (strcmp(types[k].name, type) == 0)
			return json_typeof(value) == types[k].type;
	return false;
}

static bool holds_range(struct check *c, json_t *limit, json_t *value, const char *where, bool most)
{
	if (!json_is_integer(value))
		return true;
	json_int_t have = json_integer_value(value), want = json_integer_value(limit);
	return (most ? have <= want : have >= want) || bad(c, where, "%lld is out of range", (long long)have);
}

static bool holds_properties(struct check *c, json_t *schema, json_t *value, const char *where)
{
	json_t *properties = json_object_get(schema, "properties"), *required = json_object_get(schema, "required"), *name;
	const char *key;
	json_t *member;
	size_t index;
	char path[512];
	if (!json_is_object(value))
		return true;
	json_array_foreach(required, index, name)
		if (!json_object_get(value, json_string_value(name)))
			return bad(c, where, "%s is missing", json_string_value(name));
	json_object_foreach(value, key, member) {
		json_t *rule = json_object_get(properties, key);
		snprintf(path, sizeof path, "%.400s.%.80s", where, key);
		if (!rule && json_is_false(json_object_get(schema, "additionalProperties")))
			return bad(c, path, "is not in the schema");
		if (rule && !holds(c, rule, member, path))
			return false;
	}
	return true;
}

static bool holds_items(struct check *c, json_t *rule, json_t *value, const char *where)
{
	json_t *item;
	size_t index;
	char path[512];
	json_array_foreach(value, index, item) {
		snprintf(path, sizeof path, "%.400s[%zu]", where, index);
		if (!holds(c, rule, item, path))
			return false;
	}
	return true;
}

static bool holds_count(struct check *c, json_t *limit, json_t *value, const char *where, bool most)
{
	size_t want = (size_t)json_integer_value(limit), have = json_array_size(value);
	return !json_is_array(value) || (most ? have <= want : have >= want) || bad(c, where, "%zu items", have);
}

static bool holds_some(struct check *c, json_t *rules, json_t *value, const char *where, bool one)
{
	unsigned good = 0;
	bool quiet = c->quiet;
	json_t *rule;
	size_t index;
	c->quiet = true;
	json_array_foreach(rules, index, rule)
		good += holds(c, rule, value, where);
	c->quiet = quiet;
	return (one ? good == 1 : good > 0) || bad(c, where, "%u alternatives of the schema fit", good);
}

static bool holds_enum(struct check *c, json_t *values, json_t *value, const char *where)
{
	json_t *one;
	size_t index;
	json_array_foreach(values, index, one)
		if (json_equal(one, value))
			return true;
	return bad(c, where, "none of the values that it may have");
}

/* What ECMA's patterns and POSIX's extended ones have in common. */
static bool holds_pattern(struct check *c, json_t *rule, json_t *value, const char *where)
{
	regex_t pattern;
	if (!json_is_string(value))
		return true;
	if (regcomp(&pattern, json_string_value(rule), REG_EXTENDED | REG_NOSUB) != 0)
		return bad(c, where, "%s is no pattern", json_string_value(rule));
	bool good = regexec(&pattern, json_string_value(value), 0, NULL, 0) == 0;
	regfree(&pattern);
	return good || bad(c, where, "does not match %s", json_string_value(rule));
}

static bool holds_reference(struct check *c, json_t *rule, json_t *value, const char *where)
{
	static const char start[] = "#/definitions/";
	const char *name = json_string_value(rule);
	json_t *found = strncmp(name, start, sizeof start - 1) == 0
		? json_object_get(json_object_get(c->root, "definitions"), name + sizeof start - 1) : NULL;
	return found ? holds(c, found, value, where) : bad(c, where, "%s leads nowhere", name);
}

static bool holds(struct check *c, json_t *schema, json_t *value, const char *where)
{
	const char *word;
	json_t *rule;
	json_object_foreach(schema, word, rule) {
		bool good = true;
		if (strcmp(word, "type") == 0)
			good = is_type(value, json_string_value(rule)) || bad(c, where, "no %s", json_string_value(rule));
		else if (strcmp(word, "const") == 0)
			good = json_equal(rule, value) || bad(c, where, "another value");
		else if (strcmp(word, "enum") == 0)
			good = holds_enum(c, rule, value, where);
		else if (strcmp(word, "minimum") == 0 || strcmp(word, "maximum") == 0)
			good = holds_range(c, rule, value, where, word[1] == 'a');
		else if (strcmp(word, "properties") == 0)
			good = holds_properties(c, schema, value, where);
		else if (strcmp(word, "items") == 0)
			good = holds_items(c, rule, value, where);
		else if (strcmp(word, "minItems") == 0 || strcmp(word, "maxItems") == 0)
			good = holds_count(c, rule, value, where, word[1] == 'a');
		else if (strcmp(word, "anyOf") == 0 || strcmp(word, "oneOf") == 0)
			good = holds_some(c, rule, value, where, word[0] == 'o');
		else if (strcmp(word, "pattern") == 0)
			good = holds_pattern(c, rule, value, where);
		else if (strcmp(word, "$ref") == 0)
			good = holds_reference(c, rule, value, where);
		else if (strcmp(word, "required") != 0 && strcmp(word, "additionalProperties") != 0 && strcmp(word, "title") != 0 &&
		         strcmp(word, "description") != 0 && strcmp(word, "$schema") != 0 && strcmp(word, "definitions") != 0)
			return bad(c, where, "the schema's word %s is not known here", word);
		if (!good)
			return false;
	}
	return true;
}

bool schema_holds(const char *schema, const char *json, size_t size, char *why, size_t bytes)
{
	json_error_t error;
	struct check c = { .why = why, .bytes = bytes };
	json_t *value = json_loadb(json, size, JSON_REJECT_DUPLICATES, &error);
	bool good = false;
	if (!value) {
		snprintf(why, bytes, "no JSON: line %d: %s", error.line, error.text);
		return false;
	}
	c.root = json_load_file(schema, 0, &error);
	if (c.root)
		good = holds(&c, c.root, value, "$");
	else
		snprintf(why, bytes, "%s: line %d: %s", schema, error.line, error.text);
	json_decref(value);
	json_decref(c.root);
	return good;
}
